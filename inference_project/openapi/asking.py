"""Asking endpoints: the bodies of requests, results, and the events of streams."""

from __future__ import annotations

from collections.abc import Iterable

from inference_project.openapi import errors
from inference_project.openapi.operations import Operation
from inference_project.openapi.schemas import (
    FLAG,
    OBJECT,
    TEXT,
    Schema,
    answer,
    any_of,
    array,
    described,
    mapping,
    reference,
    request,
)
from streaming.asking import ACTION
from streaming.bodies import INPUT_TYPES
from wire.media_types import EVENT_STREAM, JSON

_TEXT_CONTENT = request(
    {"type": {"const": "text"}, "format": {"const": "text"}, "value": TEXT}, required=("type", "value")
)
_WRAPPED_CONTENT = request(
    {"content": any_of([_TEXT_CONTENT, {**array(_TEXT_CONTENT), "minItems": 1, "maxItems": 1}])}, required=("content",)
)
_INPUT_TYPE: Schema = {"type": "string", "enum": list(INPUT_TYPES), "description": "What the vectors are for."}
_TASK_SETTINGS = described(OBJECT, "Task settings of the service, over the stored ones, for this request.")
_FLOATS = array({"type": "number"})
_BYTES = array({"type": "integer", "minimum": -128, "maximum": 127})


def _one_or_more(*kinds: Schema) -> Schema:
    return any_of([*kinds, {**array(any_of(kinds)), "minItems": 1}])


def _vectors(key: str) -> Schema:
    """Return the schema of vectors, whose key says what they are made of."""
    kinds = {key: _FLOATS, f"{key}_bytes": _BYTES, f"{key}_bits": _BYTES}
    return any_of(answer({name: array(answer({"embedding": vector}))}) for name, vector in kinds.items())


REQUESTS: dict[str, Schema] = {
    "completion": request(
        {
            "input": any_of([TEXT, {**array(TEXT), "minItems": 1, "maxItems": 1}]),
            "task_settings": _TASK_SETTINGS,
            "timeout": described(TEXT, "Ignored; the parameter of this name counts."),
        },
        required=("input",),
    ),
    "text_embedding": request(
        {"input": _one_or_more(TEXT), "input_type": _INPUT_TYPE, "task_settings": _TASK_SETTINGS}, required=("input",)
    ),
    "sparse_embedding": request({"input": _one_or_more(TEXT), "task_settings": _TASK_SETTINGS}, required=("input",)),
    "embedding": request(
        {
            "input": _one_or_more(TEXT, _WRAPPED_CONTENT),
            "input_type": _INPUT_TYPE,
            "task_settings": _TASK_SETTINGS,
        },
        required=("input",),
    ),
    "rerank": request(
        {
            "input": _one_or_more(TEXT, _TEXT_CONTENT),
            "query": any_of([{**TEXT, "minLength": 1}, _TEXT_CONTENT]),
            "return_documents": FLAG,
            "top_n": {"type": "integer", "minimum": 1},
            "task_settings": _TASK_SETTINGS,
        },
        required=("input", "query"),
    ),
}
_RANKED = answer(
    {"index": {"type": "integer"}, "relevance_score": {"type": "number"}, "text": TEXT}, optional=("text",)
)
_RESULTS: dict[str, Schema] = {
    "completion": answer({"completion": array(answer({"result": TEXT}))}),
    "text_embedding": _vectors("text_embedding"),
    "sparse_embedding": answer(
        {"sparse_embedding": array(answer({"is_truncated": FLAG, "embedding": mapping({"type": "number"})}))}
    ),
    "embedding": _vectors("embeddings"),
    "rerank": answer({"rerank": array(_RANKED)}),
}


def _event(name: str, data: Schema) -> Schema:
    return answer({"event": {"const": name}, "data": data})


def _json(name: str) -> Schema:
    return {"type": "string", "contentMediaType": JSON, "contentSchema": reference(name)}


def _named(kind: str, task_types: Iterable[str]) -> list[Schema]:
    return [reference(f"{name}.{kind}") for name in task_types]


SCHEMAS: dict[str, Schema] = {
    **{f"{task_type}.request": schema for task_type, schema in REQUESTS.items()},
    **{f"{task_type}.result": schema for task_type, schema in _RESULTS.items()},
    "CompletionEvent": described(
        answer({"completion": array(answer({"delta": TEXT}))}),
        "Deltas that arrived together; the completion is the texts of all deltas of all events, one behind the other.",
    ),
    "MessageEvent": _event("message", {"anyOf": [{"const": "[DONE]"}, _json("CompletionEvent")]}),
    "ErrorEvent": _event("error", _json("Error")),
    "StreamEvent": described(
        any_of([reference("MessageEvent"), reference("ErrorEvent")]),
        "One event of the stream. The last one has the data `[DONE]`, or is an error; a stream without either was cut.",
    ),
}

OPERATIONS = (
    Operation(
        id="stream",
        method="POST",
        paths=("/_inference/{inference_id}/_stream", "/_inference/{task_type}/{inference_id}/_stream"),
        tag="inference",
        summary="Stream a completion",
        description="A failure before the first delta has a status of its own; a later one is an event.",
        action=ACTION,
        parameters=("timeout",),
        body=reference("completion.request"),
        result=reference("StreamEvent"),
        result_description="Server-Sent Events; the schema is that of each of them.",
        errors=(405, *errors.OF_PROVIDERS),
        media_type=EVENT_STREAM,
    ),
    Operation(
        id="infer",
        method="POST",
        paths=("/_inference/{inference_id}", "/_inference/{task_type}/{inference_id}"),
        tag="inference",
        summary="Ask an endpoint",
        description="The body is that of the endpoint's task type.",
        action=ACTION,
        parameters=("timeout",),
        body=any_of(_named("request", REQUESTS)),
        result=any_of(_named("result", _RESULTS)),
        result_description="The result, under the name of what it is.",
        errors=errors.OF_PROVIDERS,
    ),
)
