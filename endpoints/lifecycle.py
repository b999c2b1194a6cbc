"""The life of an endpoint: created, updated, deleted. The API, the admin and the commands all call these.

The functions are synchronous and must run outside a transaction: they talk to the provider before they write.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from endpoints import catalog, configuration
from endpoints.configuration import Configuration
from endpoints.encryption import SecretUnreadable, encrypt
from endpoints.models import Endpoint, EndpointSecret
from endpoints.providers import load, names
from endpoints.providers._base import TASK_TYPES, VALIDATION_INPUT, Provider, user_message
from endpoints.providers._settings import java_text
from wire import times
from wire.errors import AlreadyExists, ApiError, NotFound, RequestInvalid, StatusError

_ID = re.compile(r"[a-z0-9](?:[a-z0-9_\-.]*[a-z0-9])?", re.ASCII)
_LONGEST_ID = 500
VALIDATION_SECONDS = 30.0
# An update that a killed process left behind stops counting after this time.
_UPDATE_MAY_LAST = timedelta(minutes=3)


def create(
    inference_id: str,
    url_task_type: str | None,
    body: Mapping[str, Any],
    *,
    timeout: float | None = VALIDATION_SECONDS,
    validate: bool = True,
) -> Endpoint:
    """Create an endpoint as `body` says.

    `validate` asks the provider first, `timeout` bounds its answer. Raise ApiError; then nothing was stored.
    """
    _check_id(inference_id)
    task_type = _resolve_task_type(url_task_type, body)
    service = _resolve_service(body)
    if configuration.section(body, "service_settings") is None:
        raise StatusError("Missing required field [service_settings]")
    if task_type not in load(service).task_types:
        raise StatusError(f"The [{service}] service does not support task type [{task_type}]")
    chosen = configuration.created(service, task_type, body)
    endpoint = Endpoint(inference_id=inference_id, task_type=task_type, service=service)
    _fill(endpoint, chosen)
    if validate:
        _validate(endpoint, chosen, "creation", timeout)
    return _store_new(endpoint, chosen)


def update(
    inference_id: str, url_task_type: str | None, body: Mapping[str, Any], *, timeout: float | None = VALIDATION_SECONDS
) -> Endpoint:
    """Change an endpoint as `body` says; one that changes nothing does not ask the provider. Raise ApiError."""
    endpoint = Endpoint.objects.filter(inference_id=inference_id).first()
    if endpoint is None:
        raise nothing_to_update(inference_id)
    _check_update(endpoint, url_task_type, body)
    with _being_updated(endpoint):
        secrets = _readable_secrets(endpoint)
        chosen = configuration.updated(endpoint, secrets, body)
        before = (endpoint.service_settings, endpoint.task_settings, endpoint.chunking_settings, secrets)
        _fill(endpoint, chosen)
        after = (endpoint.service_settings, endpoint.task_settings, endpoint.chunking_settings, chosen.secrets())
        if before != after:
            _validate(endpoint, chosen, "update", timeout)
            _store(endpoint, chosen)
    return endpoint


def delete(inference_id: str, task_type: str | None = None, *, dry_run: bool = False) -> None:
    """Delete an endpoint. Raise NotFound, or StatusError while it is being updated."""
    with transaction.atomic():
        endpoint = find(inference_id, task_type)
        if dry_run:
            return
        # The row itself, so that no update can begin between the look and the delete.
        endpoint = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        if _is_being_updated(endpoint):
            raise StatusError(
                f"The inference endpoint(s) [{inference_id}] are currently being updated, "
                "please wait until after they are finished updating to delete.",
                status=409,
            )
        endpoint.delete()


def find(inference_id: str, task_type: str | None = None) -> Endpoint:
    """Return the endpoint. Raise NotFound, or StatusError where it has another task type than `task_type`."""
    endpoint = Endpoint.objects.filter(inference_id=inference_id).first()
    if endpoint is None:
        raise not_found(inference_id)
    if task_type not in (None, "any", endpoint.task_type):
        raise StatusError(
            f"Requested task type [{task_type}] does not match "
            f"the inference endpoint's task type [{endpoint.task_type}]"
        )
    return endpoint


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


def _check_id(inference_id: str) -> None:
    if not _ID.fullmatch(inference_id) or inference_id == "_all":
        raise RequestInvalid(
            f"Invalid inference_id; '{inference_id[:200]}' can contain lowercase alphanumeric (a-z and 0-9), "
            "hyphens or underscores; must start and end with alphanumeric"
        )
    if len(inference_id) > _LONGEST_ID:
        raise RequestInvalid(f"Invalid inference_id; it must not be longer than {_LONGEST_ID} characters")


def _resolve_task_type(url_task_type: str | None, body: Mapping[str, Any]) -> str:
    in_body = body.get("task_type")
    if in_body is not None and not isinstance(in_body, str):
        raise StatusError(_not_a_string("task_type", in_body))
    if in_body is not None:
        in_body = parse_task_type(in_body)
        if in_body == "any":
            raise StatusError("task_type [any] is not valid type for inference")
    in_url = None if url_task_type in (None, "any") else url_task_type
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
    service = body.get("service")
    if service is None:
        raise StatusError("Inference endpoint configuration is missing the [service] setting")
    if not isinstance(service, str):
        raise StatusError(_not_a_string("service", service))
    if service not in names():
        raise StatusError(f"Unknown service [{service[:80]}]")
    return service


def _not_a_string(name: str, value: object) -> str:
    return (
        f"field [{name}] is not of the expected type. The value [{str(value)[:200]}] cannot be converted to a [String]"
    )


def _check_update(endpoint: Endpoint, url_task_type: str | None, body: Mapping[str, Any]) -> None:
    if not body:
        raise StatusError("Request body is empty")
    allowed = ("task_type", *configuration.SECTIONS)
    extra = {key: value for key, value in body.items() if key not in allowed}
    if extra:
        listed = java_text(extra)
        raise StatusError(
            f"Request contained fields which cannot be updated, remove these fields and try again [{listed}]"
        )
    for name in configuration.SECTIONS:
        if name in body and not isinstance(body[name], dict):
            raise StatusError(f"Unable to parse [{name}] in the request [{str(body[name])[:200]}]")
    in_body = body.get("task_type")
    if in_body is not None and not isinstance(in_body, str):
        raise StatusError(_not_a_string("task_type", in_body))
    for named in (url_task_type, in_body and parse_task_type(in_body)):
        if named not in (None, "any", endpoint.task_type):
            raise StatusError("Task type must match the task type of the existing endpoint")
    if endpoint.service not in names():
        raise StatusError(f"Service [{endpoint.service}] not found")


@contextmanager
def _being_updated(endpoint: Endpoint) -> Iterator[None]:
    """Keep other updates and a delete away, in every process, while the provider is asked."""
    free = Q(updating_since=None) | Q(updating_since__lt=timezone.now() - _UPDATE_MAY_LAST)
    mine = Endpoint.objects.filter(pk=endpoint.pk)
    if not mine.filter(free).update(updating_since=timezone.now()):
        raise StatusError(
            f"Endpoint [{endpoint.inference_id}] is currently being updated. Try again once the update completes",
            status=409,
        )
    try:
        # What another update wrote between our first look and the mark.
        endpoint.refresh_from_db()
        yield
    except Endpoint.DoesNotExist:
        raise nothing_to_update(endpoint.inference_id) from None
    finally:
        mine.update(updating_since=None)


def _is_being_updated(endpoint: Endpoint) -> bool:
    since = endpoint.updating_since
    return since is not None and since > timezone.now() - _UPDATE_MAY_LAST


def _readable_secrets(endpoint: Endpoint) -> dict[str, Any]:
    """Return the secrets; where they cannot be read none, so that an update can bring them again."""
    try:
        return catalog.decrypted(endpoint)
    except SecretUnreadable:
        return {}


def _fill(endpoint: Endpoint, chosen: Configuration) -> None:
    endpoint.service_settings = chosen.service_settings()
    endpoint.task_settings = chosen.task_settings()
    endpoint.chunking_settings = dict(chosen.chunking_settings) if chosen.chunking_settings else None


def _validate(endpoint: Endpoint, chosen: Configuration, step: str, timeout: float | None) -> None:
    """Ask the provider a first question, and learn from its answer how long its vectors are."""
    if settings.ENVIRONMENT.skip_validation or not chosen.provider.needs_validation:
        return
    try:
        length = async_to_sync(_ask)(endpoint, chosen.secrets(), timeout)
    except ApiError as error:
        raise StatusError(
            f"Could not complete inference endpoint {step} as validation call to service threw an exception.",
            caused_by=error,
        ) from error
    wanted = chosen.service_values.get("dimensions")
    if length is None:
        return
    if wanted is not None and wanted != length:
        raise StatusError(
            f"The retrieved embeddings size [{length}] does not match the size specified in the settings [{wanted}]. "
            f"Please recreate the [{endpoint.inference_id}] configuration with the correct dimensions"
        )
    endpoint.dimensions = length


async def _ask(endpoint: Endpoint, secrets: Mapping[str, Any], timeout: float | None) -> int | None:
    """Return the length of a vector, None where the task type makes none. Raise ApiError."""
    http = catalog.new_http_client()
    try:
        async with asyncio.timeout(timeout):
            return await _first_answer(catalog.bind(endpoint, secrets, http))
    except TimeoutError:
        raise StatusError(f"Request timed out after [{times.elastic(timeout or 0)}]", status=408) from None
    finally:
        await http.aclose()


async def _first_answer(provider: Provider) -> int | None:
    if provider.task_type in ("text_embedding", "embedding"):
        embeddings = await provider.embed([VALIDATION_INPUT])
        return len(embeddings.vectors[0]) * (8 if embeddings.kind == "bit" else 1)
    if provider.task_type == "rerank":
        await provider.rerank("test query", [VALIDATION_INPUT], top_n=None, return_documents=None)
    else:
        await provider.complete(user_message(VALIDATION_INPUT))
    return None


def _store_new(endpoint: Endpoint, chosen: Configuration) -> Endpoint:
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
            _store_secrets(endpoint, chosen)
    except IntegrityError:
        raise AlreadyExists(f"Inference endpoint [{endpoint.inference_id}] already exists") from None
    return endpoint


def _store(endpoint: Endpoint, chosen: Configuration) -> None:
    with transaction.atomic():
        endpoint.save(
            update_fields=["service_settings", "task_settings", "chunking_settings", "dimensions", "updated_at"]
        )
        endpoint.secrets.all().delete()
        _store_secrets(endpoint, chosen)


def _store_secrets(endpoint: Endpoint, chosen: Configuration) -> None:
    hosts = chosen.destinations()
    for name, value in chosen.secrets().items():
        ciphertext = encrypt(value, endpoint=endpoint.id, name=name, host=hosts.get(name, ""))
        EndpointSecret.objects.create(endpoint=endpoint, name=name, ciphertext=ciphertext)
