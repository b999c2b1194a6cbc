"""How an endpoint and a service are shown; the key order is Elasticsearch's."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from endpoints.models import Endpoint
from endpoints.providers import load
from endpoints.providers._settings import Setting, declared

_LISTED_KINDS = {"str": "str", "int": "int", "float": "float", "bool": "bool", "list": "list", "map": "map"}


class EndpointSerializer(serializers.BaseSerializer[Endpoint]):
    """An endpoint as GET, PUT and update answer it. It reads no secret."""

    def to_representation(self, instance: Endpoint) -> dict[str, Any]:
        service_settings = dict(instance.service_settings)
        if instance.dimensions is not None:
            service_settings.setdefault("dimensions", instance.dimensions)
        shown: dict[str, Any] = {
            "inference_id": instance.inference_id,
            "task_type": instance.task_type,
            "service": instance.service,
            "service_settings": service_settings,
        }
        if instance.task_settings:
            shown["task_settings"] = instance.task_settings
        if instance.chunking_settings is not None:
            shown["chunking_settings"] = instance.chunking_settings
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
        "type": _LISTED_KINDS[one.kind],
        "supported_task_types": [name for name in task_types if one.applies_to(name)],
    }
    if one.default is not None:
        facts["default_value"] = one.default
    return facts
