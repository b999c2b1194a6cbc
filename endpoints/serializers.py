"""How an endpoint and a service are shown; the key order is Elasticsearch's."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from endpoints import configuration
from endpoints.models import Endpoint
from endpoints.providers import load, names
from endpoints.providers._settings import Setting, declared
from wire.errors import StatusError


class EndpointSerializer(serializers.BaseSerializer[Endpoint]):
    """An endpoint as GET, PUT and update answer it. It reads no secret.

    Raise StatusError where the endpoint is of a service that is no longer there.
    """

    def to_representation(self, instance: Endpoint) -> dict[str, Any]:
        if instance.service not in names():
            text = f"Unknown service [{instance.service}] for inference endpoint [{instance.inference_id}]."
            raise StatusError(text, status=500)
        # Through the declarations: a database may keep the keys of JSON in an order of its own.
        stored = configuration.shown(instance)
        shown: dict[str, Any] = {
            "inference_id": instance.inference_id,
            "task_type": instance.task_type,
            "service": instance.service,
            "service_settings": stored.service_settings(),
        }
        if task_settings := stored.task_settings():
            shown["task_settings"] = task_settings
        if stored.chunking_settings is not None:
            shown["chunking_settings"] = stored.chunking_settings
        return shown


def service_listing(service: str) -> dict[str, Any]:
    """Return the entry of `service` in the `_services` listing, drawn from its declarations."""
    provider = load(service)
    settings = (*declared(provider.service_settings), *declared(provider.task_settings))
    return {
        "service": service,
        "name": provider.label,
        "task_types": list(provider.task_types),
        "configurations": {one.key: _configuration(one, provider.task_types) for one in settings if one.listed},
    }


def _configuration(one: Setting, task_types: tuple[str, ...]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "description": one.description,
        "label": one.label,
        "required": one.listed_required,
        "sensitive": one.secret,
        "updatable": one.listed_updatable,
        "type": one.kind,
        "supported_task_types": [name for name in task_types if one.applies_to(name)],
    }
    if one.listed_default is not None:
        facts["default_value"] = one.listed_default
    return facts
