"""The body of an inference request, from JSON to one frozen value or one error that names every problem."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wire import json
from wire.errors import BadRequest, BodyInvalid, RequestInvalid

_PARSER = "cluster:internal/xpack/inference"
# `timeout` is accepted and ignored; the parameter of the same name counts.
_KINDS: dict[str, tuple[type, ...]] = {
    "input": (str, list),
    "input_type": (str,),
    "task_settings": (dict,),
    "query": (str,),
    "return_documents": (bool,),
    "top_n": (int,),
    "timeout": (str,),
}
_INPUT_TYPES = ("ingest", "search", "classification", "clustering", "unspecified")
_RERANK = ("rerank", "any")
_TEXT_EMBEDDING = ("text_embedding", "any")


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A classic body; `input_type` is None where it is unspecified."""

    input: tuple[str, ...]
    input_type: str | None = None
    task_settings: Mapping[str, Any] = field(default_factory=dict)
    query: str | None = None
    return_documents: bool | None = None
    top_n: int | None = None


def parse(body: bytes, task_type: str) -> InferenceRequest:
    """Return the request in `body`. Raise BodyInvalid for its form, RequestInvalid for what it says."""
    given = json.decode_object(body, _PARSER)
    for name, value in given.items():
        if name not in _KINDS:
            raise BodyInvalid(f"{json.key_position(body, name)} [{_PARSER}] unknown field [{name[:80]}]{_hint(name)}")
        _check_kind(body, name, value)
    _validate(given, task_type)
    value = given["input"]
    return InferenceRequest(
        input=(value,) if isinstance(value, str) else tuple(value),
        input_type=_input_type(given.get("input_type")),
        task_settings=given.get("task_settings") or {},
        query=given.get("query"),
        return_documents=given.get("return_documents"),
        top_n=given.get("top_n"),
    )


def _check_kind(body: bytes, name: str, value: Any) -> None:
    kinds = _KINDS[name]
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        where = json.value_position(body, name)
        raise BodyInvalid(f"{where} [{_PARSER}] {name} doesn't support values of type: {json.token(value)}")
    if name == "input" and isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                cause = BadRequest(f"input doesn't support array items of type: {json.token(item)}")
                where = json.value_position(body, name)
                raise BodyInvalid(f"{where} [{_PARSER}] failed to parse field [{name}]", caused_by=cause)


def _validate(given: Mapping[str, Any], task_type: str) -> None:
    problems = [*_problems_of_input(given), *_problems_of_rerank(given, task_type)]
    kind = _input_type(given.get("input_type"))
    if kind is not None and task_type not in _TEXT_EMBEDDING:
        problems.append(f"Field [input_type] cannot be specified for task type [{task_type}]")
    if problems:
        raise RequestInvalid(*problems)


def _problems_of_input(given: Mapping[str, Any]) -> list[str]:
    if "input" not in given:
        return ["Field [input] cannot be null"]
    return ["Field [input] cannot be an empty array"] if given["input"] == [] else []


def _problems_of_rerank(given: Mapping[str, Any], task_type: str) -> list[str]:
    if task_type == "rerank":
        query = given.get("query")
        if query is None:
            return ["Field [query] cannot be null for task type [rerank]"]
        return [] if query else ["Field [query] cannot be empty for task type [rerank]"]
    problems = [
        f"Field [{name}] cannot be specified for task type [{task_type}]"
        for name in ("return_documents", "top_n")
        if name in given and task_type not in _RERANK
    ]
    if "query" in given and task_type not in _RERANK:
        problems.append(f"Field [query] cannot be specified for task type [{task_type}]")
    return problems


def _input_type(text: str | None) -> str | None:
    if text is None:
        return None
    kind = text.lower()
    if kind not in _INPUT_TYPES:
        raise BadRequest(f"Unrecognized input_type [{text[:80]}]")
    return None if kind == "unspecified" else kind


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, _KINDS)
    return f" did you mean [{near[0]}]?" if near else ""
