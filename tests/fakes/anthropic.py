"""A fake of Anthropic's Messages API. It checks what it is sent, and the model chooses what it does:

`error:<status>` refuses, `tool` calls a tool, `think` thinks first, `overloaded` fails midway, `cut` ends early,
`drop` breaks the connection midway, `recorded:<case>` plays a recording. Every other model repeats the prompt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.fakes.http import Exchange, Request

RECORDED = Path(__file__).parents[1] / "providers" / "recorded" / "anthropic"
LIMITS = {
    "anthropic-ratelimit-tokens-limit": "80000",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "2026-07-02T01:30:17Z",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-07-02T01:30:18Z",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class Source(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["url", "base64"]
    url: str | None = None
    media_type: str | None = None
    data: str | None = None


class Image(msgspec.Struct, tag_field="type", tag="image", forbid_unknown_fields=True):
    source: Source


class Document(msgspec.Struct, tag_field="type", tag="document", forbid_unknown_fields=True):
    source: Source
    title: str | None = None


class ToolUse(msgspec.Struct, tag_field="type", tag="tool_use", forbid_unknown_fields=True):
    id: str
    name: str
    input: dict[str, Any]


class ToolResult(msgspec.Struct, tag_field="type", tag="tool_result", forbid_unknown_fields=True):
    tool_use_id: str
    content: str | list[Text | Image | Document]


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    content: str | list[Text | Image | Document | ToolUse | ToolResult]


class InputSchema(msgspec.Struct):
    type: Literal["object"]


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class Thinking(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["enabled", "disabled"]
    budget_tokens: int | None = None
    display: Literal["omitted", "summarized"] | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    max_tokens: int
    messages: list[Turn]
    system: str | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    stream: bool = False


async def respond(exchange: Exchange) -> None:
    try:
        body = checked(exchange.request, exchange.provider.api_key)
    except Refused as refusal:
        exchange.json(error_object(str(refusal), refusal.type), refusal.status)
        return
    name, _, argument = body.model.partition(":")
    if name == "error":
        refuse(exchange, int(argument))
    elif not body.stream:
        exchange.json(whole(body))
    else:
        await stream(exchange, body, name, argument)


class Refused(Exception):
    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.type = _TYPES[status]


def checked(request: Request, api_key: str) -> Body:
    """Return the body of a request that is as it has to be. Raise Refused."""
    if request.method != "POST" or not request.path.endswith("/v1/messages"):
        raise Refused(f"no route {request.method} {request.path}", 404)
    # Some versions of the official client send the key as a token.
    if _who_asks(request) not in ([api_key, None], [None, f"Bearer {api_key}"]):
        raise Refused("invalid x-api-key", 401)
    wanted = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    for name, value in wanted.items():
        if request.headers.get(name) != value:
            raise Refused(f"{name}: {request.headers.get(name)}")
    return checked_body(request.body)


def _who_asks(request: Request) -> list[str | None]:
    return [request.headers.get(name) for name in ("x-api-key", "authorization")]


def checked_body(data: bytes) -> Body:
    try:
        body = msgspec.json.decode(data, type=Body)
    except msgspec.DecodeError as error:
        raise Refused(str(error)) from None
    if body.max_tokens < 1:
        raise Refused("max_tokens: must be at least 1")
    if not body.messages or body.messages[0].role != "user":
        raise Refused("messages: the first has to be of the user")
    thinking = body.thinking
    if thinking and thinking.type == "enabled" and not 1024 <= (thinking.budget_tokens or 0) < body.max_tokens:
        raise Refused("thinking.budget_tokens: from 1024 to max_tokens")
    if body.tool_choice and not body.tools:
        raise Refused("tool_choice: there are no tools")
    return body


def refuse(exchange: Exchange, status: int) -> None:
    """The message repeats the key, which a provider should not do."""
    text = f"fake failure for {exchange.provider.api_key}"
    exchange.json(error_object(text, _TYPES.get(status, "api_error")), status, LIMITS if status == 429 else None)


def error_object(text: str, kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_011CdufXo8Y2LVfY2veyuQWG"}


def prompt(body: Body) -> str:
    content = body.messages[-1].content
    return content if isinstance(content, str) else " ".join(part.text for part in content if isinstance(part, Text))


def whole(body: Body) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt(body)}]
    reason = "end_turn"
    if body.model == "think":
        content.insert(0, {"type": "thinking", "thinking": "hm", "signature": "EqQBCg"})
    if body.model == "tool":
        call = {"type": "tool_use", "id": "toolu_01", "name": "get_capital", "input": {"country": "UK"}}
        content, reason = [*content, call], "tool_use"
    if body.model == "two-texts":
        content.append({"type": "text", "text": "again"})
    return {
        "id": "msg_01ALwQ87pTS7hH1PjSdC9wJD",
        "type": "message",
        "role": "assistant",
        "model": body.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 2,
            "output_tokens": 7,
        },
    }


async def stream(exchange: Exchange, body: Body, name: str, argument: str) -> None:
    exchange.start_stream()
    if name == "recorded":
        exchange.write((RECORDED / f"{argument}.stream").read_bytes())
        exchange.end()
        return
    for piece in pieces(body, name):
        await exchange.write_slowly(piece)
    if name == "drop":
        exchange.drop()
    else:
        exchange.end()


def pieces(body: Body, name: str) -> list[bytes]:
    """Return the events of a stream, to where it ends by the name of the behaviour."""
    message = {**whole(body), "content": [], "stop_reason": None}
    events = [event("message_start", message=message), event("ping")]
    if name == "think":
        events += block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    words = [{"type": "text_delta", "text": word} for word in prompt(body).split(" ")]
    for word in words[1:]:
        word["text"] = " " + word["text"]
    events += block(1, {"type": "text", "text": ""}, *words)
    if name == "overloaded":
        return [*events, _sse("error", error_object("Overloaded", "overloaded_error"))]
    if name in ("cut", "drop"):
        return events
    reason = "end_turn"
    if name == "tool":
        reason = "tool_use"
        call = {"type": "tool_use", "id": "toolu_01", "name": "get_capital", "input": {}}
        events += block(2, call, {"type": "input_json_delta", "partial_json": '{"country":"UK"}'})
    end = event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 7})
    return [*events, end, event("message_stop")]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def event(kind: str, **fields: Any) -> bytes:
    return _sse(kind, {"type": kind, **fields})


def _sse(kind: str, value: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
