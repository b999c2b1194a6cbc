"""The life of an endpoint: created, updated, deleted. The API, the admin and the commands all call these.

The functions are synchronous and must run outside a transaction: they talk to the provider before they write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from access.actors import NOBODY, Actor
from access.models import Team
from endpoints import catalog, configuration, history, validation
from endpoints.configuration import Configuration
from endpoints.encryption import encrypt
from endpoints.models import LONGEST_ID, LONGEST_SETTER, Endpoint, EndpointSecret, is_inference_id
from endpoints.providers import load, names
from endpoints.providers._base import TASK_TYPES
from endpoints.providers._values import java_text
from wire.errors import AlreadyExists, NotFound, RequestInvalid, StatusError

GatewaySettings = Mapping[str, Any]
"""Columns of the row that are the gateway's own and not part of the API: `enabled`, `team_id`, and the time limits by
the names in `time_limits`, None for those of the environment."""

VALIDATION_SECONDS = 30.0
_SETTINGS_COLUMNS = ("service_settings", "task_settings", "chunking_settings", "dimensions")
# An update that a killed process left behind stops counting after this time.
_UPDATE_MAY_LAST = timedelta(minutes=3)


def create(
    inference_id: str,
    url_task_type: str | None,
    body: Mapping[str, Any],
    *,
    timeout: float | None = VALIDATION_SECONDS,
    validate: bool = True,
    team_id: int | None = None,
    gateway: GatewaySettings | None = None,
    by: Actor = NOBODY,
) -> Endpoint:
    """Create an endpoint as `body` and `gateway` say, shared without a team; `by` names who does it.

    `validate` asks the provider first, `timeout` (in seconds) bounds its answer. Raise ApiError; then nothing was
    stored.
    """
    check_id(inference_id)
    task_type = _resolve_task_type(url_task_type, body)
    service = _resolve_service(body)
    if configuration.section(body, "service_settings") is None:
        raise StatusError("Missing required field [service_settings]")
    check_supported(service, task_type)
    chosen = configuration.created(service, task_type, body)
    chosen.provider.check_id(inference_id, chosen.service_values)
    stored_as = chosen.provider.alias_of or service
    endpoint = Endpoint(inference_id=inference_id, task_type=task_type, service=stored_as, team_id=team_id)
    _assign(endpoint, gateway or {})
    _fill(endpoint, chosen)
    if validate:
        endpoint.dimensions = validation.validate(inference_id, chosen, "creation", timeout)
    return _store_new(endpoint, chosen, by)


def update(
    inference_id: str,
    url_task_type: str | None,
    body: Mapping[str, Any],
    *,
    timeout: float | None = VALIDATION_SECONDS,
    gateway: GatewaySettings | None = None,
    by: Actor = NOBODY,
    judged: Endpoint | None = None,
    restored_version: int | None = None,
) -> Endpoint:
    """Change an endpoint as `body` and `gateway` say, all of it or nothing; `by` names who does it.

    `judged` is what the right to do so was found for; another endpoint that has its id by now is left alone. An update
    that changes no setting of the service does not ask the provider. `restored_version` is what history says of where
    the settings come from. Raise ApiError.
    """
    endpoint = Endpoint.objects.named(inference_id)
    if endpoint is None or judged not in (None, endpoint):
        raise nothing_to_update(inference_id)
    _check_update(endpoint, url_task_type, body)
    with _being_updated(endpoint) as mark:
        old, unreadable = catalog.opened(endpoint)
        chosen = configuration.updated(old, body, unreadable)
        if chosen != old:
            _fill(endpoint, chosen)
            length = validation.validate(inference_id, chosen, "update", timeout)
            endpoint.dimensions = length or endpoint.dimensions
        if _assign(endpoint, gateway or {}) or chosen != old:
            with _still_being_updated(endpoint, mark):
                _store(endpoint, old, chosen, gateway or {}, by)
                secrets = history.changed_secrets({**dict.fromkeys(unreadable), **old.secrets()}, chosen.secrets())
                history.record(endpoint, by, secrets, restored_version)
    return endpoint


def set_gateway(
    inference_id: str, gateway: GatewaySettings, *, by: Actor = NOBODY, judged: Endpoint | None = None
) -> bool:
    """Change what is the gateway's own, also of an endpoint that cannot be used. Return whether it was different.

    `judged` is as for `update`. Raise NotFound.
    """
    with transaction.atomic():
        endpoint = Endpoint.objects.select_for_update().filter(inference_id=inference_id).first()
        if endpoint is None or judged not in (None, endpoint):
            raise not_found(inference_id)
        changed = _assign(endpoint, gateway)
        if changed:
            endpoint.save(update_fields=[*gateway, "updated_at"])
            history.record(endpoint, by)
        return changed


def delete(
    inference_id: str,
    task_type: str | None = None,
    *,
    dry_run: bool = False,
    by: Actor = NOBODY,
    judged: Endpoint | None = None,
) -> None:
    """Delete an endpoint; `judged` is as for `update`. Raise NotFound, or StatusError while it is being updated."""
    with transaction.atomic():
        # The row is locked, so that no update can begin between the look and the delete.
        endpoint = Endpoint.objects.select_for_update().filter(inference_id=inference_id).first()
        if endpoint is None or judged not in (None, endpoint):
            raise not_found(inference_id)
        check_task_type(endpoint, task_type)
        if dry_run:
            return
        if _is_being_updated(endpoint):
            raise StatusError(
                f"The inference endpoint(s) [{inference_id}] are currently being updated, "
                "please wait until after they are finished updating to delete.",
                status=409,
            )
        history.record_deletion(endpoint, by)
        endpoint.delete()


def not_found(inference_id: str) -> NotFound:
    return NotFound(f"Inference endpoint not found [{inference_id}]")


def nothing_to_update(inference_id: str) -> StatusError:
    return StatusError(f"The inference endpoint [{inference_id}] does not exist and cannot be updated", status=404)


def parse_task_type(text: str) -> str:
    """Return the task type that a path or a body names, `any` among them. Raise StatusError."""
    task_type = text.strip().lower()
    if task_type not in TASK_TYPES and task_type != "any":
        raise StatusError(f"Unknown task_type [{text[:80]}]")
    return task_type


def check_id(inference_id: str) -> None:
    """Raise RequestInvalid where no endpoint may be called `inference_id`."""
    if not is_inference_id(inference_id):
        raise RequestInvalid(
            f"Invalid inference_id; '{inference_id[:200]}' can contain lowercase alphanumeric (a-z and 0-9), "
            "hyphens or underscores; must start and end with alphanumeric"
        )
    if len(inference_id) > LONGEST_ID:
        raise RequestInvalid(f"Invalid inference_id; it must not be longer than {LONGEST_ID} characters")


def check_task_type(endpoint: Endpoint, task_type: str | None) -> None:
    """Raise StatusError where `endpoint` has another task type than the one that was asked for, if one was."""
    if task_type not in (None, "any", endpoint.task_type):
        raise StatusError(
            f"Requested task type [{task_type}] does not match "
            f"the inference endpoint's task type [{endpoint.task_type}]"
        )


def check_supported(service: str, task_type: str) -> None:
    """Raise StatusError where `service` does not offer `task_type`."""
    if task_type not in load(service).task_types:
        raise StatusError(f"The [{service}] service does not support task type [{task_type}]")


def _resolve_task_type(url_task_type: str | None, body: Mapping[str, Any]) -> str:
    in_body = _text(body, "task_type")
    if in_body is not None:
        in_body = parse_task_type(in_body)
        if in_body == "any":
            raise StatusError("task_type [any] is not valid type for inference")
    in_url = None if url_task_type == "any" else url_task_type
    if in_url and in_body and in_url != in_body:
        raise StatusError(
            "Cannot resolve conflicting task_type parameter in the request URL "
            f"[{in_url}] and the request body [{in_body}]"
        )
    task_type = in_url or in_body
    if task_type is None:
        raise StatusError("model is missing required setting [task_type]")
    return task_type


def _resolve_service(body: Mapping[str, Any]) -> str:
    service = _text(body, "service")
    if service is None:
        raise StatusError("Inference endpoint configuration is missing the [service] setting")
    if service not in names():
        raise StatusError(f"Unknown service [{service[:80]}]")
    return service


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    shown = java_text(value)[:200]
    raise StatusError(
        f"field [{name}] is not of the expected type. The value [{shown}] cannot be converted to a [String]"
    )


def _check_update(endpoint: Endpoint, url_task_type: str | None, body: Mapping[str, Any]) -> None:
    if not body:
        raise StatusError("Request body is empty")
    extra = {key: value for key, value in body.items() if key not in ("task_type", *configuration.SECTIONS)}
    if extra:
        raise StatusError(
            f"Request contained fields which cannot be updated, remove these fields and try again [{java_text(extra)}]"
        )
    for name in configuration.SECTIONS:
        if name in body and not isinstance(body[name], dict):
            raise StatusError(f"Unable to parse [{name}] in the request [{java_text(body[name])[:200]}]")
    in_body = _text(body, "task_type")
    for named in (url_task_type, in_body and parse_task_type(in_body)):
        if named not in (None, "any", endpoint.task_type):
            raise StatusError("Task type must match the task type of the existing endpoint")
    if endpoint.service not in names():
        raise StatusError(f"Service [{endpoint.service}] not found")


@contextmanager
def _being_updated(endpoint: Endpoint) -> Iterator[datetime]:
    """Keep other updates and a delete away, in every process, while the provider is asked.

    Yield the mark in the row; an update whose mark is gone has lasted too long and must not be stored.
    """
    mark = timezone.now()
    free = Q(updating_since=None) | Q(updating_since__lt=mark - _UPDATE_MAY_LAST)
    if not Endpoint.objects.filter(free, pk=endpoint.pk).update(updating_since=mark):
        raise _is_busy(endpoint)
    try:
        # What another update wrote between our first look and the mark.
        endpoint.refresh_from_db()
        yield mark
    finally:
        Endpoint.objects.filter(pk=endpoint.pk, updating_since=mark).update(updating_since=None)


def _is_busy(endpoint: Endpoint) -> StatusError:
    return StatusError(
        f"Endpoint [{endpoint.inference_id}] is currently being updated. Try again once the update completes",
        status=409,
    )


def _is_being_updated(endpoint: Endpoint) -> bool:
    since = endpoint.updating_since
    return since is not None and since > timezone.now() - _UPDATE_MAY_LAST


def _fill(endpoint: Endpoint, chosen: Configuration) -> None:
    endpoint.service_settings = chosen.service_settings(hidden=True)
    endpoint.task_settings = chosen.task_settings(hidden=True)
    endpoint.chunking_settings = chosen.chunking_settings


def _assign(endpoint: Endpoint, gateway: GatewaySettings) -> bool:
    """Put `gateway` into the row as it is in memory, and return whether it was different."""
    changed = any(getattr(endpoint, name) != value for name, value in gateway.items())
    for name, value in gateway.items():
        setattr(endpoint, name, value)
    return changed


def _store_new(endpoint: Endpoint, chosen: Configuration, by: Actor) -> Endpoint:
    try:
        with transaction.atomic():
            # Locked, so that the team stays; it may have been deleted while the provider was asked.
            team_id = endpoint.team_id
            if team_id is not None and not Team.objects.select_for_update().filter(pk=team_id).exists():
                raise StatusError("The team of the new endpoint was deleted meanwhile", status=409)
            endpoint.save(force_insert=True)
            _store_secrets(endpoint, chosen, {}, by)
            history.record(endpoint, by, history.changed_secrets({}, chosen.secrets()))
    except IntegrityError:
        raise AlreadyExists(f"Inference endpoint [{endpoint.inference_id}] already exists") from None
    return endpoint


@contextmanager
def _still_being_updated(endpoint: Endpoint, mark: datetime) -> Iterator[None]:
    """Hold the lock of the row, in a transaction. Raise StatusError where the mark is gone."""
    with transaction.atomic():
        if not Endpoint.objects.select_for_update().filter(pk=endpoint.pk, updating_since=mark).exists():
            raise _is_busy(endpoint)
        yield


def _store(endpoint: Endpoint, old: Configuration, chosen: Configuration, gateway: GatewaySettings, by: Actor) -> None:
    # The gateway's own may have been changed while the provider was asked; only what is given is written over it.
    endpoint.save(update_fields=[*_SETTINGS_COLUMNS, *gateway, "updated_at"])
    if chosen == old:
        return
    before, after = old.secrets(), chosen.secrets()
    unchanged = {one.name: one for one in endpoint.secrets.all() if before.get(one.name) == after.get(one.name)}
    endpoint.secrets.all().delete()
    _store_secrets(endpoint, chosen, unchanged, by)


def _store_secrets(
    endpoint: Endpoint, chosen: Configuration, unchanged: Mapping[str, EndpointSecret], by: Actor
) -> None:
    """Store all secrets anew, since the host that one is bound to may be another; an unchanged one stays as old."""
    hosts = chosen.destinations()
    for name, value in chosen.secrets().items():
        ciphertext = encrypt(value, endpoint=endpoint.id, name=name, host=hosts.get(name, ""))
        before = unchanged.get(name)
        set_at, set_by = (before.set_at, before.set_by) if before else (timezone.now(), str(by)[:LONGEST_SETTER])
        EndpointSecret.objects.create(endpoint=endpoint, name=name, ciphertext=ciphertext, set_at=set_at, set_by=set_by)
