"""The settings of services as JSON schemas, drawn from their declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from endpoints import chunking
from endpoints.providers import load, names
from endpoints.providers._base import Provider
from endpoints.providers._settings import Setting, Settings, declared
from inference_project.openapi.schemas import Schema, any_of, described, mapping, nullable, reference, request

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "map": "object"}
_SECTIONS = ("service_settings", "task_settings")


def schemas() -> dict[str, Schema]:
    """Return the body that makes an endpoint of each service, and the bodies that all share."""
    found: dict[str, Schema] = {"ChunkingSettings": _chunking_settings(), "UpdateRequest": _update_request()}
    for service in names():
        provider = load(service)
        for section in _SECTIONS:
            declaration = getattr(provider, section)
            found[f"{service}.{section}"] = _section(declaration, provider.task_types)
            found[f"{service}.{section}.update"] = _section(declaration, provider.task_types, updating=True)
        found[f"{service}.create"] = _create_request(service, provider)
    found["CreateRequest"] = {
        "oneOf": [reference(f"{service}.create") for service in names()],
        "discriminator": {
            "propertyName": "service",
            "mapping": {service: f"#/components/schemas/{service}.create" for service in names()},
        },
    }
    return found


def _create_request(service: str, provider: type[Provider]) -> Schema:
    properties: dict[str, Schema] = {
        "service": {"const": service},
        "task_type": described(
            {"type": "string", "enum": list(provider.task_types)}, "Required where the path names none."
        ),
        **{section: reference(f"{service}.{section}") for section in _SECTIONS},
    }
    if not set(chunking.TASK_TYPES).isdisjoint(provider.task_types):
        properties["chunking_settings"] = reference("ChunkingSettings")
    body = request(properties, required=("service", "service_settings"))
    return described(body, f"{provider.label}. {provider.description}")


def _update_request() -> Schema:
    properties = {
        section: any_of(reference(f"{service}.{section}.update") for service in names()) for section in _SECTIONS
    }
    task_type: Schema = {"type": "string", "description": "The task type of the endpoint, which cannot change."}
    body = request({"task_type": task_type, **properties, "chunking_settings": reference("ChunkingSettings")})
    return described(
        {**body, "minProperties": 1},
        "Service and task settings are merged into the stored ones, `null` standing for the default; chunking settings "
        "replace them. A setting that cannot be updated may only be there with its stored value.",
    )


def _section(declaration: type[Settings], task_types: Iterable[str], *, updating: bool = False) -> Schema:
    """Return the schema of a section, with settings whose key is dotted in objects of their own."""
    root = request({})
    for one in declared(declaration):
        *parents, last = one.key.split(".")
        section = root
        for parent in parents:
            section = section["properties"].setdefault(parent, request({}))
        value = _value(one, task_types)
        section["properties"][last] = nullable(value) if updating else value
        if one.required and not one.task_types and not parents and not updating:
            section.setdefault("required", []).append(last)
    return root


def _value(one: Setting, task_types: Iterable[str]) -> Schema:
    schema: Schema = {"type": _TYPES[one.kind], "title": one.label, "description": _description(one)}
    if one.kind == "str":
        schema |= {"enum": list(one.allowed)} if one.allowed else {"pattern": r"\S"}
    elif one.kind == "list":
        schema |= {"items": {"type": "string"}, "minItems": 1}
    elif one.kind == "map":
        schema |= mapping({"type": "string"})
    elif one.kind == "int":
        schema["format"] = "int32"
    limits = {"minimum": one.minimum, "maximum": one.maximum, "default": _default(one, task_types)}
    schema |= {name: value for name, value in limits.items() if value is not None}
    if one.url and not one.bare_host:
        schema["format"] = "uri"
    return {**schema, "writeOnly": True} if one.is_encrypted or not one.returned else schema


def _default(one: Setting, task_types: Iterable[str]) -> Any:
    """Return the default where it is the same for all task types."""
    first, *others = [one.default_for(name) for name in task_types if one.applies_to(name)]
    return first if all(other == first for other in others) else None


def _description(one: Setting) -> str:
    sentences = [one.description]
    if one.task_types:
        sentences.append(f"Only for {', '.join(f'`{name}`' for name in one.task_types)}.")
    sentences.append("Can be updated." if one.updatable else "Cannot be updated.")
    return " ".join(sentences)


def _chunking_settings() -> Schema:
    strategies = []
    for name, declaration in chunking.STRATEGIES.items():
        schema = _section(declaration, chunking.TASK_TYPES)
        schema["properties"]["strategy"] = {"const": name}
        strategies.append(schema)
    return described(any_of([request({}), *strategies]), "How long inputs are cut; empty stands for the default.")
