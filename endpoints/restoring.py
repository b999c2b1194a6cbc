"""An earlier version of an endpoint, made its newest one again.

Settings and time limits are put back. The secrets stay what they are now, and so do team and state. It is an update
like any other: the provider is asked, and a secret that would go to another host has to be given again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access.actors import Actor
from endpoints import history, lifecycle
from endpoints.models import Change, Endpoint
from endpoints.providers import load, names
from endpoints.providers._settings import Setting, applying
from endpoints.time_limits import MEANINGS
from wire.errors import StatusError


def restore(endpoint: Endpoint, version: int, *, by: Actor) -> bool:
    """Put back the settings of `version`, and return whether anything was different. Raise ApiError."""
    versions = Change.objects.filter(endpoint_id=endpoint.pk)
    earlier = versions.filter(version=version).exclude(action=Change.Action.DELETED).first()
    newest = versions.order_by("-version").first()
    if earlier is None or newest is None:
        raise StatusError(f"Inference endpoint [{endpoint.inference_id}] has no version [{version}]", status=404)
    if endpoint.service not in names():
        raise StatusError(f"Service [{endpoint.service}] not found")
    limits = earlier.settings["time_limits"]
    lifecycle.update(
        endpoint.inference_id,
        None,
        _body(earlier.settings, history.shown(endpoint)),
        gateway={name: limits.get(name) for name in MEANINGS},
        by=by,
        judged=endpoint,
        restored_version=version,
    )
    return versions.filter(restored_version=version, version__gt=newest.version).exists()


def difference(endpoint: Endpoint, earlier: Change) -> list[dict[str, Any]]:
    """Return what a restore of a version would change, as `history.difference` does; nothing of a lost service."""
    if endpoint.service not in names():
        return []
    now = history.shown(endpoint)
    return history.difference(_restorable(now, earlier.settings), _restorable(earlier.settings, now))


def _restorable(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    return {**_body(settings, others), "time_limits": settings["time_limits"]}


def _body(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the update that leads to `settings` from `others`, with null for what was not set.

    All that may be updated is in it, so that nothing comes between; of the rest what differs, to be refused.
    """
    provider, task_type = load(settings["service"]), settings["task_type"]
    body: dict[str, Any] = {}
    for declaration in (provider.service_settings, provider.task_settings):
        section = body[declaration.scope] = {}
        for one in applying(declaration, task_type):
            value = _value(one, settings[declaration.scope])
            if not one.is_encrypted and (one.updatable or value != _value(one, others[declaration.scope])):
                _put(one, value, section)
    if settings["chunking_settings"] is not None:
        body["chunking_settings"] = settings["chunking_settings"]
    return body


def _value(one: Setting, section: Mapping[str, Any]) -> Any:
    *parents, last = one.key.split(".")
    for parent in parents:
        section = section.get(parent) or {}
    return section.get(last)


def _put(one: Setting, value: Any, section: dict[str, Any]) -> None:
    *parents, last = one.key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
