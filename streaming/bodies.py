"""The body of an inference request, from JSON to one frozen value or one error that names every problem.

Three forms exist: that of rerank, that of embedding, and the classic one of all other task types but chat_completion.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wire import json
from wire.errors import BadRequest, BodyInvalid, RequestInvalid

Kinds = Mapping[str, tuple[type, ...]]

# `timeout` is accepted and ignored; the parameter of the same name counts.
_CLASSIC: Kinds = {
    "input": (str, list),
    "input_type": (str,),
    "task_settings": (dict,),
    "query": (str,),
    "return_documents": (bool,),
    "top_n": (int,),
    "timeout": (str,),
}
_RERANK: Kinds = {
    "input": (str, dict, list),
    "query": (str, dict),
    "return_documents": (bool,),
    "top_n": (int,),
    "task_settings": (dict,),
}
_EMBEDDING: Kinds = {"input": (str, dict, list), "input_type": (str,), "task_settings": (dict,)}
# Elasticsearch's names for its parsers stand in its errors.
_FORMS: Mapping[str, tuple[str, Kinds]] = {
    "rerank": ("RerankRequest", _RERANK),
    "embedding": ("EmbeddingRequest", _EMBEDDING),
}
_CLASSIC_FORM = ("cluster:internal/xpack/inference", _CLASSIC)
INPUT_TYPES = ("ingest", "search", "classification", "clustering", "unspecified")
_WITH_INPUT_TYPE = ("text_embedding", "embedding", "any")


# Not frozen: that would make each of them several times dearer, and there is one for each request.
@dataclass(slots=True)
class InferenceRequest:
    """What an endpoint is asked; `input_type` is None where it is unspecified."""

    input: tuple[str, ...] = field(repr=False)
    input_type: str | None = None
    # Its `headers` are secret.
    task_settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    query: str | None = field(default=None, repr=False)
    return_documents: bool | None = None
    top_n: int | None = None


def parse(body: bytes, task_type: str) -> InferenceRequest:
    """Return the request in `body`. Raise BodyInvalid for its form, RequestInvalid for what it says."""
    parser, kinds = _FORMS.get(task_type, _CLASSIC_FORM)
    given = json.decode_object(body, parser)
    for name, value in given.items():
        if name not in kinds:
            where = json.key_position(body, name)
            raise BodyInvalid(f"{where} [{parser}] unknown field [{name[:80]}]{_hint(name, kinds)}")
        _check_kind(body, parser, name, value, kinds[name])
    problems = list(_problems(given, task_type))
    if problems:
        raise RequestInvalid(*problems)
    query = given.get("query")
    return InferenceRequest(
        input=_texts(body, parser, given["input"]),
        input_type=_input_type(given.get("input_type")),
        task_settings=given.get("task_settings") or {},
        query=None if query is None else _text(body, parser, "query", query),
        return_documents=given.get("return_documents"),
        top_n=given.get("top_n"),
    )


def _check_kind(body: bytes, parser: str, name: str, value: Any, kinds: tuple[type, ...]) -> None:
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        where = json.value_position(body, name)
        raise BodyInvalid(f"{where} [{parser}] {name} doesn't support values of type: {json.token(value)}")
    if isinstance(value, list) and dict not in kinds:
        for item in value:
            if not isinstance(item, str):
                raise _unreadable(body, parser, name, f"input doesn't support array items of type: {json.token(item)}")


def _problems(given: Mapping[str, Any], task_type: str) -> Iterator[str]:
    if "input" not in given:
        yield "Field [input] cannot be null"
    elif given["input"] == []:
        yield "Field [input] cannot be an empty array"
    if task_type == "rerank":
        yield from _problems_of_rerank(given)
        return
    if task_type == "any":
        return
    for name in ("return_documents", "top_n", "query"):
        if name in given:
            yield f"Field [{name}] cannot be specified for task type [{task_type}]"
    if _input_type(given.get("input_type")) is not None and task_type not in _WITH_INPUT_TYPE:
        yield f"Field [input_type] cannot be specified for task type [{task_type}]"


def _problems_of_rerank(given: Mapping[str, Any]) -> Iterator[str]:
    if "query" not in given:
        yield "Field [query] cannot be null for task type [rerank]"
    elif not given["query"]:
        yield "Field [query] cannot be empty for task type [rerank]"
    if given.get("top_n", 1) < 1:
        yield "Field [top_n] must be greater than or equal to 1"


def _texts(body: bytes, parser: str, value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(item if isinstance(item, str) else _text(body, parser, "input", item) for item in items)


def _text(body: bytes, parser: str, name: str, value: Any) -> str:
    """Return the text that `value` is or holds: `{"type": "text", "value": "..."}`, for embeddings in `content`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.keys() == {"content"}:
        content = value["content"]
        value = content[0] if isinstance(content, list) and len(content) == 1 else content
    if not isinstance(value, dict) or value.keys() - {"type", "value", "format"}:
        raise _unreadable(body, parser, name, 'expected a string or {"type": "text", "value": "..."}')
    if value.get("type") != "text" or value.get("format", "text") != "text":
        raise _unreadable(body, parser, name, "only content of type [text] is supported")
    if not isinstance(value.get("value"), str):
        raise _unreadable(body, parser, name, "Required [value]")
    text: str = value["value"]
    return text


def _unreadable(body: bytes, parser: str, name: str, problem: str) -> BodyInvalid:
    where = json.value_position(body, name)
    return BodyInvalid(f"{where} [{parser}] failed to parse field [{name}]", caused_by=BadRequest(problem))


def _input_type(text: str | None) -> str | None:
    if text is None:
        return None
    kind = text.lower()
    if kind not in INPUT_TYPES:
        raise BadRequest(f"Unrecognized input_type [{text[:80]}]")
    return None if kind == "unspecified" else kind


def _hint(name: str, kinds: Kinds) -> str:
    near = difflib.get_close_matches(name[:80], kinds)
    return f" did you mean [{near[0]}]?" if near else ""
