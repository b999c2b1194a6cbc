"""A fake of Hugging Face: TGI and the router at `/v1/chat/completions`, TEI at `/embed` and `/rerank`.

It checks what it is sent. Of chats the model chooses what it does: `error:<status>` and `error-string:<status>` refuse,
`tool` calls a tool, `cut` ends early, `drop` breaks the connection midway, `whole` does not stream, `page` answers as
a load balancer does, `recorded:<case>` plays a recording; every other model repeats the prompt. Of vectors and ranks
the first text does: `error:<status>`, `wrapped`, `short`, `garbage`, `in-200`, `odd-index`; else they are made of lengths.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tests.fakes.behaviours import event
from tests.fakes.http import Exchange, Request
from tests.fakes.watsonxai import Strict, Tool, ToolChoice, Turn

RECORDED = Path(__file__).parents[1] / "providers" / "recorded" / "hugging_face"
CALL_ID = "call_0a1b2c3d4e5f60718293a4b5"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
_MOST_TEXTS = 32


class StreamOptions(Strict):
    include_usage: bool


class Chat(Strict):
    messages: list[Turn]
    n: int
    stream: bool
    model: str | UnsetType = UNSET
    stop: list[str] | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: ToolChoice | Literal["auto", "none", "required"] | UnsetType = UNSET
    stream_options: StreamOptions | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET


class Embed(Strict):
    inputs: list[str]


class Rerank(Strict):
    query: str
    texts: list[str]
    return_text: bool | UnsetType = UNSET
    top_n: int | UnsetType = UNSET


Body = Chat | Embed | Rerank
BODIES: dict[str, type[Body]] = {"/v1/chat/completions": Chat, "/embed": Embed, "/rerank": Rerank}


class Refused(Exception):
    def __init__(self, text: str, status: int = 422, kind: str = "Validation") -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind


async def respond(exchange: Exchange) -> None:
    try:
        body = checked(exchange.request, exchange.provider.api_key)
    except Refused as refusal:
        exchange.json({"error": str(refusal), "error_type": refusal.kind}, refusal.status)
        return
    name, _, argument = chosen(body).partition(":")
    # The messages repeat the key, which a provider should not do.
    text = f"fake failure for {exchange.request.headers['authorization']}"
    if name == "error" and isinstance(body, Chat):
        error = {"message": text, "type": "fake_error", "code": "fake_code"}
        exchange.json({"error": error}, int(argument))
    elif name in ("error", "error-string"):
        exchange.json({"error": text, "error_type": "Fake"}, int(argument))
    elif isinstance(body, Embed):
        embeddings(exchange, body, name)
    elif isinstance(body, Rerank):
        ranks(exchange, body, name)
    elif name == "page":
        exchange.whole(b"<html>504 Gateway Time-out</html>", "text/html")
    elif body.stream and name != "whole":
        await stream(exchange, body, name, argument)
    else:
        exchange.json(whole(body))


def checked(request: Request, api_key: str) -> Body:
    """Return the body. Raise Refused."""
    if request.headers.get("authorization") != f"Bearer {api_key}":
        raise Refused("Invalid credentials in Authorization header", 401)
    kind = BODIES.get(request.path)
    if request.method != "POST" or kind is None:
        raise Refused(f"there is no {request.method} {request.path}", 404)
    if request.headers.get("content-type") != "application/json":
        raise Refused("wrong Content-Type", 415)
    try:
        body = msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(f"Input validation error: {error}") from None
    if isinstance(body, Chat) and bool(body.stream_options) != body.stream:
        raise Refused("stream_options without stream, or the other way")
    if isinstance(body, Embed) and len(body.inputs) > _MOST_TEXTS:
        raise Refused(f"batch size {len(body.inputs)} > maximum allowed batch size {_MOST_TEXTS}")
    return body


def chosen(body: Body) -> str:
    if isinstance(body, Chat):
        return body.model or ""
    return (body.inputs if isinstance(body, Embed) else body.texts)[0]


def prompt(body: Chat) -> str:
    content = body.messages[-1].content
    return content if isinstance(content, str) else ""


async def stream(exchange: Exchange, body: Chat, name: str, argument: str) -> None:
    exchange.start_stream({"x-accel-buffering": "no"})
    if name == "recorded":
        exchange.write((RECORDED / f"{argument}.stream").read_bytes())
        exchange.end()
        return
    exchange.write(b":\n\n")
    if name == "tool":
        function = {"name": "get_capital", "arguments": '{"country": "UK"}'}
        exchange.write(chunk({"tool_calls": [{"index": 0, "id": CALL_ID, "type": "function", "function": function}]}))
    for word in re.findall(r"\S+\s*", "" if name == "tool" else prompt(body)):
        await exchange.write_slowly(chunk({"content": word}))
    if name == "drop":
        exchange.drop()
        return
    if name != "cut":
        exchange.write(chunk({"content": ""}, "tool_calls" if name == "tool" else "stop"))
        exchange.write(chunk(None, usage=USAGE) + b":\n\n" + event("[DONE]"))
    exchange.end()


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", **(delta or {})}, "logprobs": None}
    choices = [] if delta is None else [{**choice, "finish_reason": finish_reason}]
    value = {"object": "chat.completion.chunk", "id": "", "model": "fake", "choices": choices, "usage": None}
    return event(json.dumps({**value, **more}, ensure_ascii=False))


def whole(body: Chat) -> dict[str, Any]:
    message = {"role": "assistant", "content": prompt(body)}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "eos_token"}]
    return {"object": "chat.completion", "id": "", "model": "fake", "choices": choices, "usage": USAGE}


def embeddings(exchange: Exchange, body: Embed, name: str) -> None:
    """Each vector begins with the length of its text."""
    vectors = [[float(len(text)), 0.5, -1.0] for text in body.inputs]
    answers: dict[str, Any] = {
        "wrapped": {"embeddings": vectors},
        "short": vectors[1:],
        "garbage": [vectors],
        "in-200": {"error": "not today"},
        "empty": {},
    }
    exchange.json(answers.get(name, vectors))


def ranks(exchange: Exchange, body: Rerank, name: str) -> None:
    """As TEI does: all of them, whatever `top_n` says."""
    found: list[dict[str, Any]] = [
        {"index": place, "score": float(len(text))} | ({"text": text} if body.return_text is True else {})
        for place, text in enumerate(body.texts)
    ]
    found.sort(key=lambda one: -one["score"])
    if name == "odd-index":
        found[0]["index"] = len(found)
    answers: dict[str, Any] = {"garbage": "ranks", "in-200": {"error": "not today"}, "empty": {}}
    exchange.json(answers.get(name, found))
