"""Bodies of the security API, read field by field: the two ways in which Elasticsearch refuses one, and our own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from wire import json
from wire.errors import BodyInvalid, ParseFailed

Fields = Mapping[str, type]
"""The fields that a body may have, with the type of their values."""

_NAMES = {str: "string", bool: "boolean", dict: "object", list: "array"}
_WITH_ARTICLE = {str: "a string", bool: "a boolean", dict: "an object", list: "an array"}
_MAX_PROBLEMS = 20


def parse(body: bytes, parser: str, fields: Fields) -> dict[str, Any]:
    """Return the object in `body`. Raise BodyInvalid, with a position and the name of the parser."""
    value = json.decode_object(body, parser)
    for name, item in value.items():
        if name not in fields:
            near = difflib.get_close_matches(name[:80], fields, n=1)
            suggestion = f" did you mean [{near[0]}]?" if near else ""
            raise BodyInvalid(f"{json.key_position(body, name)} [{parser}] unknown field [{name[:80]}]{suggestion}")
        if type(item) is not fields[name]:
            raise BodyInvalid(
                f"{json.value_position(body, name)} [{parser}] {name} doesn't support values of type: "
                f"{json.token(item)}"
            )
    return value


def parse_plain(body: bytes, what: str, fields: Fields, nullable: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the object in `body`, without fields that are null. Raise ParseFailed, which says `what` it was."""
    value = json.decode_object(body, what)
    for name, item in value.items():
        if name not in fields:
            raise ParseFailed(f"failed to parse {what}. unexpected field [{name[:80]}]")
        if type(item) is not fields[name] and not (item is None and name in nullable):
            raise ParseFailed(
                f"expected field [{name}] to be of type {_NAMES[fields[name]]}, but found [{json.token(item)}] instead"
            )
    return {name: item for name, item in value.items() if item is not None}


def parse_all(body: bytes, what: str, fields: Fields, required: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of the object in `body` that can be read, and what is wrong with the others.

    Raise BodyInvalid where there is no such object.
    """
    value = json.decode_object(body, what)
    problems = {name: _problem(name, item, fields) for name, item in value.items()}
    problems |= {name: f"field [{name}] is missing" for name in required if name not in value}
    read = {name: item for name, item in value.items() if not problems[name]}
    return read, [problem for problem in problems.values() if problem][:_MAX_PROBLEMS]


def _problem(name: str, item: Any, fields: Fields) -> str:
    if name not in fields:
        return f"unknown field [{name[:80]}], the fields are [{', '.join(fields)}]"
    if type(item) is not fields[name]:
        return f"field [{name}] takes {_WITH_ARTICLE[fields[name]]}, but found [{json.token(item)}]"
    return ""


def strings(value: Any) -> bool:
    """Return whether `value` is a list of nothing but strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
