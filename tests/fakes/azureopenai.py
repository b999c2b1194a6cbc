"""Azure OpenAI and Microsoft Entra: one server that is a resource and the token service.

The deployment's name chooses what happens: `tool-call`, `filtered`, `error:<status>`, `error-midway`, `cut`; any
other repeats the prompt. For tokens the client id chooses: `refused`, `not-json`, `elsewhere`; others get a token.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any
from urllib.parse import unquote

from tests.fakes.behaviours import USAGE, event
from tests.fakes.http import Exchange

_RESOURCE = re.compile(r"/openai/deployments/([^/?]+)/(chat/completions|embeddings)\?api-version=([^&]+)")
_TOKEN = re.compile(r"/([^/?]+)/oauth2/v2\.0/token")
_CHAT_FIELDS = {
    *("messages", "stop", "temperature", "tool_choice", "tools", "top_p", "max_completion_tokens", "model", "n"),
    *("stream", "stream_options", "user", "reasoning_effort"),
}
_EMBEDDING_FIELDS = {"input", "user", "dimensions", "model", "encoding_format"}
_numbers = itertools.count(1)
PROMPT_VERDICT = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
}


async def respond(exchange: Exchange) -> None:
    request = exchange.request
    if token := _TOKEN.fullmatch(request.path):
        _token(exchange, unquote(token[1]))
    elif not (found := _RESOURCE.fullmatch(request.path)):
        _refuse(exchange, 404, "404", "Resource not found")
    elif not _is_known(exchange):
        _refuse(exchange, 401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
    elif problem := _problem(exchange, found[2]):
        _refuse(exchange, 400, "BadRequest", problem)
    elif found[2] == "embeddings":
        _embeddings(exchange)
    else:
        _chat(exchange, unquote(found[1]))


def _is_known(exchange: Exchange) -> bool:
    """Whether there is the key or a token, and only one of both."""
    provider, headers = exchange.provider, exchange.request.headers
    if "api-key" in headers:
        return headers["api-key"] == provider.api_key and "authorization" not in headers
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return scheme == "Bearer" and (token in provider.tokens or token == provider.api_key)


def _problem(exchange: Exchange, operation: str) -> str:
    request = exchange.request
    if request.method != "POST" or request.headers.get("content-type") != "application/json":
        return "not a POST of JSON"
    body = request.json()
    unknown = body.keys() - (_CHAT_FIELDS if operation == "chat/completions" else _EMBEDDING_FIELDS)
    if unknown:
        return f"unknown fields {sorted(unknown)}"
    if operation == "embeddings":
        return "" if body["input"] and all(isinstance(one, str) for one in body["input"]) else "input is not texts"
    if not all(message.get("role") for message in body["messages"]):
        return "a message has no role"
    return (
        ""
        if body.get("stream", False) == ("stream_options" in body)
        else "stream_options without stream, or the other way"
    )


def _refuse(exchange: Exchange, status: int, code: str, message: str) -> None:
    exchange.json({"error": {"code": code, "message": message}}, status, {"x-ratelimit-remaining-tokens": "17"})


def _chat(exchange: Exchange, deployment: str) -> None:
    body = exchange.request.json()
    name, _, argument = deployment.partition(":")
    text = str(body["messages"][-1]["content"])
    if name == "error":
        sent = exchange.request.headers.get("api-key") or exchange.request.headers["authorization"]
        _refuse(exchange, int(argument), "RateLimitReached", f"refused for {sent}")
    elif not body["stream"]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "content_filter_results": {}}
        exchange.json({"id": "chatcmpl-1", "model": "gpt-fake", "choices": [choice], "usage": USAGE})
    else:
        exchange.start_stream()
        exchange.write(event(json.dumps(PROMPT_VERDICT)) + _STREAMS.get(name, _echo)(text))
        exchange.drop() if name == "cut" else exchange.end()


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, usage: Any = None) -> bytes:
    choice = {"content_filter_results": {}, "delta": delta, "finish_reason": finish_reason, "index": 0}
    choices = [] if delta is None else [choice]
    return event(json.dumps({"choices": choices, "id": "chatcmpl-1", "model": "gpt-fake", "usage": usage}))


_DONE = event("[DONE]")


def _echo(text: str) -> bytes:
    pieces = re.findall(r"\S+\s*|\s+", text)
    deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    return b"".join(chunk(delta) for delta in deltas) + chunk({}, "stop") + chunk(None, usage=USAGE) + _DONE


def _tool_call(text: str) -> bytes:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_capital", "arguments": "{}"}}
    return chunk({"role": "assistant", "content": None, "tool_calls": [call]}) + chunk({}, "tool_calls") + _DONE


def _filtered(text: str) -> bytes:
    return chunk({"content": "so far"}) + chunk({}, "content_filter") + _DONE


def _error_midway(text: str) -> bytes:
    return chunk({"content": "one"}) + event('{"error": {"code": "InternalServerError", "message": "it broke"}}')


def _cut(text: str) -> bytes:
    return chunk({"content": "one"})


_STREAMS = {"tool-call": _tool_call, "filtered": _filtered, "error-midway": _error_midway, "cut": _cut}


def _embeddings(exchange: Exchange) -> None:
    inputs = exchange.request.json()["input"]
    data = [
        {"object": "embedding", "index": place, "embedding": [float(len(one)), 0.5]} for place, one in enumerate(inputs)
    ]
    exchange.json({"object": "list", "data": data[::-1], "usage": {"prompt_tokens": len(inputs), "total_tokens": 0}})


def _token(exchange: Exchange, tenant: str) -> None:
    form = exchange.request.form()
    wanted = {"grant_type", "client_id", "client_secret", "scope"}
    kind = exchange.request.headers.get("content-type")
    if form.get("client_id") == "refused":
        text = f"AADSTS7000215: Invalid client secret {form['client_secret']} for {tenant}"
        exchange.json({"error": "invalid_client", "error_description": text}, 401)
    elif form.get("client_id") == "not-json":
        exchange.whole(b"<html>" + form["client_secret"].encode(), "text/html")
    elif not form.keys() >= wanted or form["grant_type"] != "client_credentials" or "x-www-form" not in str(kind):
        exchange.json({"error": "invalid_request", "error_description": f"not a request for a token: {form}"}, 400)
    else:
        value = f"entra-token-{next(_numbers)}"
        exchange.provider.tokens.add(value)
        more = {"token_endpoint": "http://127.0.0.1:9/token"} if form["client_id"] == "elsewhere" else {}
        exchange.json(
            {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": value} | more
        )
