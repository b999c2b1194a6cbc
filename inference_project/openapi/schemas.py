"""JSON schemas in few words (https://json-schema.org/draft/2020-12).

Objects of requests are closed, since the API refuses unknown keys; those of answers are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from endpoints.providers._base import TASK_TYPES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
TASK_TYPE: Schema = {"type": "string", "enum": list(TASK_TYPES)}
TIME_VALUE: Schema = {
    "type": "string",
    "pattern": r"^(0|[0-9]{1,9}(nanos|micros|ms|s)|[0-9]{1,4}(m|h|d))$",
    "examples": ["30s", "1d", "500ms"],
}


def answer(properties: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
    """Return the schema of an object in an answer: all properties are there but the `optional` ones."""
    left_out = set(optional)
    required = [name for name in properties if name not in left_out]
    return {"type": "object", "properties": dict(properties), "required": required}


def request(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """Return the schema of an object in a request."""
    needed = list(required)
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**schema, "required": needed} if needed else schema


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def nullable(schema: Schema) -> Schema:
    """Return `schema`, which has one type, for a value that may be null as well."""
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **enum}


def described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def any_of(schemas: Iterable[Schema]) -> Schema:
    return {"anyOf": list(schemas)}


TEXTS = array(TEXT)
