"""Deployments of Azure AI Studio: `/token` (also at the root), `/realtime` and `/openai` are the targets.

The prompt chooses what happens: `error:<status>`, `error-first`, `error-midway`, `cut`, `own-events` (a realtime
deployment that does not stream); any other is repeated.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.fakes.behaviours import event
from tests.fakes.http import Exchange

_PARAMETERS = {"temperature": float, "top_p": float, "do_sample": bool, "max_new_tokens": int}
_FIELDS = {
    "chat/completions": {"messages", "parameters", "stream"},
    "embeddings": {"input", "user", "dimensions"},
    "rerank": {"query", "documents", "return_documents", "top_n"},
}
_USAGE = {"completion_tokens": 2, "prompt_tokens": 12, "total_tokens": 14}


async def respond(exchange: Exchange) -> None:
    kind, operation = _asked(exchange)
    if not operation:
        _refuse(exchange, 404, "there is nothing here")
    elif not _is_known(exchange, kind):
        _refuse(exchange, 401, "Access token is missing, invalid, or has expired.")
    elif problem := _problem(exchange.request.json(), kind, operation):
        _refuse(exchange, 422, problem)
    else:
        answer(exchange, operation)


def answer(exchange: Exchange, operation: str) -> None:
    """Answer without a look at who asks, or how."""
    {"embeddings": _embeddings, "rerank": _rerank, "chat/completions": _chat}[operation](exchange)


def _asked(exchange: Exchange) -> tuple[str, str]:
    """Return the kind of the deployment, and what is asked of it, "" where that is nothing."""
    path, body = exchange.request.path, exchange.request.json()
    if found := re.fullmatch(r"(?:/token)?/v1/(chat/completions|embeddings|rerank)", path):
        return "token", found[1]
    if path not in ("/realtime", "/openai") or exchange.request.method != "POST":
        return "", ""
    return path[1:], "embeddings" if "input" in body else "chat/completions"


def _is_known(exchange: Exchange, kind: str) -> bool:
    """Whether the key is where this kind of deployment wants it, and nowhere else."""
    key, headers = exchange.provider.api_key, exchange.request.headers
    found = {name: headers.get(name) for name in ("api-key", "authorization")}
    return (
        found
        == {
            "token": {"api-key": None, "authorization": key},
            "realtime": {"api-key": None, "authorization": f"Bearer {key}"},
            "openai": {"api-key": key, "authorization": None},
        }[kind]
    )


def _problem(body: dict[str, Any], kind: str, operation: str) -> str:
    if kind == "realtime":
        if body.keys() - {"input_data", "stream"} or "input_string" not in body["input_data"]:
            return "not the body of a realtime deployment"
        inner = dict(body["input_data"])
        body = {"messages": inner.pop("input_string"), **inner}
    if unknown := body.keys() - _FIELDS[operation]:
        return f"unknown fields {sorted(unknown)}"
    if body.get("stream") not in (None, True):
        return "stream is said only where it is true"
    for name, value in body.get("parameters", {"max_new_tokens": 1}).items():
        if type(value) is not _PARAMETERS.get(name):
            return f"the parameter {name} is {value!r}"
    return "" if body.get("messages", [{"role": "user"}])[-1].get("role") == "user" else "the last one is not a user"


def _refuse(exchange: Exchange, status: int, message: str) -> None:
    exchange.json({"error": {"code": "Failed", "message": message, "details": message}}, status)


def _chat(exchange: Exchange) -> None:
    body = exchange.request.json()
    messages = body.get("messages") or body["input_data"]["input_string"]
    text = str(messages[-1]["content"])
    name, _, argument = text.partition(":")
    if name == "error":
        sent = exchange.request.headers.get("api-key") or exchange.request.headers["authorization"]
        _refuse(exchange, int(argument), f"refused for {sent}")
    elif body.get("stream") and text != "own-events":
        exchange.start_stream()
        exchange.write(_STREAMS.get(text, _echo)(text))
        exchange.drop() if text == "cut" else exchange.end()
    elif exchange.request.path == "/realtime":
        exchange.json({"output": text})
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        exchange.json({"id": "a1b2c3", "model": "fake-large", "choices": [choice], "usage": _USAGE})


def _chunk(content: str, finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"delta": {"content": content, "role": "assistant"}, "finish_reason": finish_reason, "index": 0}
    return event(json.dumps({"choices": [choice], "id": "a1b2c3", "model": "fake-large", **more}))


def _echo(text: str) -> bytes:
    pieces = b"".join(_chunk(piece) for piece in re.findall(r"\S+\s*|\s+", text))
    return pieces + _chunk("", "stop", usage=_USAGE) + event("[DONE]")


def _error_first(text: str) -> bytes:
    return event('{"error": {"code": "Failed", "message": "it broke"}}')


def _error_midway(text: str) -> bytes:
    return _chunk("one") + _error_first(text)


def _cut(text: str) -> bytes:
    return _chunk("one")


_STREAMS = {"error-first": _error_first, "error-midway": _error_midway, "cut": _cut}


def _embeddings(exchange: Exchange) -> None:
    inputs = exchange.request.json()["input"]
    data = [{"index": place, "embedding": [float(len(one)), 0.5]} for place, one in enumerate(inputs)]
    exchange.json({"object": "list", "data": data, "usage": {"prompt_tokens": len(inputs), "total_tokens": 0}})


def _rerank(exchange: Exchange) -> None:
    """The longest document is the best."""
    body = exchange.request.json()
    documents: list[str] = body["documents"]
    order = sorted(range(len(documents)), key=lambda place: -len(documents[place]))[: body.get("top_n")]
    results: list[dict[str, Any]] = [
        {"index": place, "relevance_score": len(documents[place]) / 100} for place in order
    ]
    if body.get("return_documents"):
        results = [{**one, "document": {"text": documents[one["index"]]}} for one in results]
    exchange.json({"id": "a1b2c3", "results": results, "meta": {"api_version": {"version": "1"}}})
