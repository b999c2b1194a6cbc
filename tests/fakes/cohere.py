"""A fake of Cohere's API, version 2. It checks what it is sent, and the model chooses what it does:

`error:<status>` refuses, `tool` calls a tool, `think` thinks first, `fail` fails midway, `cut` ends early, `drop`
breaks the connection midway, `v1` answers as version 1 did, `short` leaves one embedding out, `recorded:<case>` plays
a recording. Every other model repeats the prompt, embeds by length, or ranks longer documents higher.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.fakes.http import Exchange, Request

RECORDED = Path(__file__).parents[1] / "providers" / "recorded" / "cohere"
USAGE = {
    "billed_units": {"input_tokens": 1, "output_tokens": 9},
    "tokens": {"input_tokens": 496, "output_tokens": 11},
    "cached_tokens": 0,
}
_MOST_TEXTS = 96


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system", "tool"]
    content: str


class Chat(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[Turn]
    stream: bool


class Embed(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    texts: list[str]
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    embedding_types: list[Literal["float", "int8", "binary"]]
    truncate: Literal["NONE", "START", "END"] | None = None


class Rerank(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    query: str
    documents: list[str]
    top_n: int | None = None


Body = Chat | Embed | Rerank
BODIES: dict[str, type[Body]] = {"/v2/chat": Chat, "/v2/embed": Embed, "/v2/rerank": Rerank}


class Refused(Exception):
    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


async def respond(exchange: Exchange) -> None:
    try:
        body = checked(exchange.request, exchange.provider.api_key)
    except Refused as refusal:
        exchange.json(error_object(str(refusal)), refusal.status)
        return
    name, _, argument = body.model.partition(":")
    if name == "error":
        # The message repeats the key, which a provider should not do.
        exchange.json(error_object(f"fake failure for {exchange.request.headers['authorization']}"), int(argument))
    elif isinstance(body, Embed):
        exchange.json(embeddings(body))
    elif isinstance(body, Rerank):
        exchange.json(ranks(body))
    elif body.stream:
        await stream(exchange, body, name, argument)
    else:
        exchange.json(whole(body))


def checked(request: Request, api_key: str) -> Body:
    """Return the body of a request that is as it has to be. Raise Refused."""
    kind = next((kind for path, kind in BODIES.items() if request.path.endswith(path)), None)
    if request.method != "POST" or kind is None:
        raise Refused(f"no route {request.method} {request.path}", 404)
    if request.headers.get("authorization") != f"Bearer {api_key}":
        raise Refused("invalid api token", 401)
    if request.headers.get("content-type") != "application/json":
        raise Refused(f"content-type: {request.headers.get('content-type')}")
    return checked_body(request.body, kind)


def checked_body(data: bytes, kind: type[Body]) -> Body:
    try:
        body = msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise Refused(f"invalid request: {error}") from None
    if isinstance(body, Embed) and len(body.texts) > _MOST_TEXTS:
        raise Refused(
            f"invalid request: total number of texts must be at most {_MOST_TEXTS}, received {len(body.texts)}"
        )
    if isinstance(body, Chat) and not body.messages:
        raise Refused("invalid request: messages must not be empty")
    return body


def error_object(text: str) -> dict[str, Any]:
    return {"id": "8bd5b608-9a71-4d5b-9a53-2f6ff1c50000", "message": text}


def embeddings(body: Embed) -> dict[str, Any]:
    """Each vector begins with the length of its text."""
    tails: dict[str, list[float]] = {"float": [0.5, -1.0], "int8": [-117, 127], "binary": [-17, 64]}
    texts = body.texts[1:] if body.model == "short" else body.texts
    vectors = {kind: [[len(text), *tails[kind]] for text in texts] for kind in body.embedding_types}
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": len(texts)}}
    return {"id": "1", "embeddings": vectors, "texts": body.texts, "meta": meta, "response_type": "embeddings_by_type"}


def ranks(body: Rerank) -> dict[str, Any]:
    order = sorted(range(len(body.documents)), key=lambda index: -len(body.documents[index]))
    results = [{"index": index, "relevance_score": 1 / (place + 1)} for place, index in enumerate(order)]
    return {"id": "1", "results": results[: body.top_n], "meta": {"billed_units": {"search_units": 1}}}


def whole(body: Chat) -> dict[str, Any]:
    content = [{"type": "text", "text": body.messages[-1].content}]
    if body.model == "think":
        content.insert(0, {"type": "thinking", "thinking": "hm"})
    message: dict[str, Any] = {"role": "assistant", "content": content}
    reason = {"tool": "TOOL_CALL", "fail": "ERROR"}.get(body.model, "COMPLETE")
    if body.model == "tool":
        function = {"name": "get_capital", "arguments": '{"country":"UK"}'}
        message["tool_calls"] = [{"id": "get_capital_a1", "type": "function", "function": function}]
    return {"id": "f17a5f6c", "message": message, "finish_reason": reason, "usage": USAGE}


async def stream(exchange: Exchange, body: Chat, name: str, argument: str) -> None:
    kind = "application/stream+json" if name == "v1" else "text/event-stream"
    exchange.start(headers={"content-type": kind})
    if name == "recorded":
        exchange.write((RECORDED / f"{argument}.stream").read_bytes())
        exchange.end()
        return
    for piece in v1(body) if name == "v1" else pieces(body, name):
        await exchange.write_slowly(piece)
    if name == "drop":
        exchange.drop()
    else:
        exchange.end()


def words(body: Chat) -> list[str]:
    first, *others = body.messages[-1].content.split(" ")
    return [first, *(f" {word}" for word in others)]


def pieces(body: Chat, name: str) -> list[bytes]:
    """Return the events of a stream, to where it ends by the name of the behaviour."""
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events = [event("message-start", id="f17a5f6c", delta={"message": start})]
    if name == "think":
        events += part(0, "thinking", ["hm"])
    events += part(1, "text", words(body))
    if name == "tool":
        events += tool_call()
    if name in ("cut", "drop"):
        return events
    if name == "fail":
        return [*events, event("message-end", delta={"finish_reason": "ERROR", "error": "out of luck"}), DONE]
    reason = "TOOL_CALL" if name == "tool" else "COMPLETE"
    return [*events, event("message-end", delta={"finish_reason": reason, "usage": USAGE}), DONE]


def part(index: int, kind: str, texts: list[str]) -> list[bytes]:
    start = {"message": {"content": {"type": kind, kind: ""}}}
    deltas = [{"message": {"content": {kind: text}}} for text in texts]
    return [
        event("content-start", index=index, delta=start),
        *(event("content-delta", index=index, delta=delta) for delta in deltas),
        event("content-end", index=index),
    ]


def tool_call() -> list[bytes]:
    function = {"name": "get_capital", "arguments": ""}
    start = {"tool_calls": {"id": "get_capital_a1", "type": "function", "function": function}}
    more = {"tool_calls": {"function": {"arguments": '{"country":"UK"}'}}}
    return [
        event("tool-plan-delta", delta={"message": {"tool_plan": "I will look it up."}}),
        event("tool-call-start", index=0, delta={"message": start}),
        event("tool-call-delta", index=0, delta={"message": more}),
        event("tool-call-end", index=0),
    ]


def v1(body: Chat) -> list[bytes]:
    text = body.messages[-1].content
    response = {"response_id": "ac6d", "text": text, "finish_reason": "COMPLETE", "meta": USAGE}
    return [
        _line(event_type="stream-start", generation_id="586ac33f"),
        *(_line(event_type="text-generation", text=word) for word in words(body)),
        _line(event_type="stream-end", finish_reason="COMPLETE", response=response),
    ]


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def _line(**fields: Any) -> bytes:
    value = {"is_finished": fields["event_type"] == "stream-end", **fields}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


DONE = b"data: [DONE]\n\n"
