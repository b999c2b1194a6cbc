"""Answers that are not what they say, or not what was asked for."""

from __future__ import annotations

import gzip
from typing import Any

from conformance.provider.fault import ANY, CUT, EITHER, REFUSED, Fault
from conformance.provider.steps import (
    HEAD,
    LAST_CHUNK,
    STREAM_HEAD,
    End,
    Pause,
    Script,
    Send,
    Step,
    answer,
    body,
    chunked,
    ended,
    said,
    started,
)
from conformance.provider.wires import TEXTS, OpenAI, Wire

_OPENAI = ("openai",)
_HTML = b"<!doctype html><title>Login</title><form>Please log in</form>"


def _midway(event: str | bytes) -> Script:
    """Send `event` between two texts; a text is the data of an event."""

    def script(wire: Wire) -> list[Step]:
        odd = wire.event(event) if isinstance(event, str) else event
        return [*started(wire, "one"), Pause(0.3), body(odd), said(wire, " two"), *ended(wire)]

    return script


def _cut_midway(event: str | bytes) -> Script:
    """Send a text and `event`, which a gateway cannot go on from; what follows is not to be seen."""

    def script(wire: Wire) -> list[Step]:
        odd = wire.event(event) if isinstance(event, str) else event
        return [
            *started(wire, "one"),
            Pause(0.3),
            body(odd + wire.delta(" two") + wire.finish() + wire.done),
            LAST_CHUNK,
        ]

    return script


def _chunk(delta: dict[str, Any] | None, **more: Any) -> Script:
    """Send one of OpenAI's chunks between two texts."""
    return _midway(OpenAI().chunk(delta, **more))


def _typed(kind: str) -> Script:
    """Send an ordinary stream that says it is something else."""

    def script(wire: Wire) -> list[Step]:
        head = STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", kind.encode())
        return [Send(head), body(wire.stream(), "".join(TEXTS)), LAST_CHUNK]

    return script


def _gzipped(wire: Wire) -> list[Step]:
    head = STREAM_HEAD.removesuffix(b"\r\n") + b"Content-Encoding: gzip\r\n\r\n"
    return [Send(head), body(gzip.compress(wire.stream()), "".join(TEXTS)), LAST_CHUNK]


def _not_gzipped(wire: Wire) -> list[Step]:
    head = STREAM_HEAD.removesuffix(b"\r\n") + b"Content-Encoding: gzip\r\n\r\n"
    return [Send(head), body(wire.stream()), LAST_CHUNK]


def _too_short(wire: Wire) -> list[Step]:
    """Give a length that ends inside the second text; what follows is no answer to anything."""
    stream = wire.stream(("one", " two"))
    length = len(wire.opening + wire.delta("one")) + 20
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {length}\r\n\r\n"
    return [Send(head.encode() + stream[:length], "one"), Pause(0.3), Send(stream[length:]), End.CLOSE]


def _second(wire: Wire) -> bytes:
    """Return the bytes of an answer that nobody asked for."""
    return STREAM_HEAD + chunked(wire.stream(("somebody", " else's"))) + LAST_CHUNK.data


def _and_a_second(wire: Wire) -> list[Step]:
    return [Send(STREAM_HEAD + chunked(wire.stream()) + LAST_CHUNK.data + _second(wire))]


def _and_a_second_later(wire: Wire) -> list[Step]:
    return [Send(STREAM_HEAD + chunked(wire.stream()) + LAST_CHUNK.data), Pause(0.02), Send(_second(wire))]


def _own(wire: Wire) -> list[Step]:
    return [*started(wire, "one's", " own"), *ended(wire)]


def _error_then(wire: Wire, more: bytes) -> list[Step]:
    return [*started(wire, "one"), Pause(0.3), body(wire.error_event("the model fell over") + more), LAST_CHUNK]


FAULTS = (
    Fault(
        "200-json-error",
        "Status 200 with an error as JSON.",
        lambda wire: [answer("200 OK", wire.refusal("no"))],
        REFUSED,
    ),
    Fault("200-html", "Status 200 with a web page.", lambda wire: [answer("200 OK", _HTML, "text/html")], REFUSED),
    Fault("200-text", "Status 200 with plain words.", lambda wire: [answer("200 OK", b"OK\n", "text/plain")], REFUSED),
    Fault("200-empty-object", "Status 200 with `{}`.", lambda wire: [answer("200 OK", b"{}")], REFUSED),
    Fault("204-no-content", "Status 204.", lambda wire: [Send(b"HTTP/1.1 204 No Content\r\n\r\n")], REFUSED),
    Fault(
        "error-first",
        "An error as the first event.",
        lambda wire: [HEAD, body(wire.error_event("overloaded")), LAST_CHUNK],
        REFUSED,
    ),
    Fault(
        "error-mid-stream", "A text, then an error as an event.", lambda wire: _error_then(wire, b""), CUT, attempts=1
    ),
    Fault(
        "error-then-done",
        "An error as an event, then the last event as if nothing had happened.",
        lambda wire: _error_then(wire, wire.done),
        CUT,
    ),
    Fault(
        "error-then-text",
        "An error as an event, then more texts and the end.",
        lambda wire: _error_then(wire, wire.delta(" two") + wire.finish() + wire.done),
        CUT,
    ),
    Fault(
        "named-error",
        "An error in an event with the name `error`, and nothing behind it.",
        lambda wire: [
            *started(wire, "one"),
            Pause(0.3),
            body(b'event: error\ndata: {"error":{"message":"x"}}\n\n'),
            LAST_CHUNK,
        ],
        CUT,
    ),
    Fault(
        "error-as-text",
        "An error that is a text, not an object.",
        _cut_midway(b'data: {"error":"out of memory"}\n\n'),
        CUT,
        wires=_OPENAI,
    ),
    Fault("type-text", "A stream that says it is plain text.", _typed("text/plain"), ANY),
    Fault("type-octets", "A stream that says it is bytes.", _typed("application/octet-stream"), ANY),
    Fault("type-json", "A stream that says it is JSON.", _typed("application/json"), ANY),
    Fault("invalid-json", "An event whose data is no JSON.", _cut_midway("{not json"), CUT),
    Fault(
        "half-json",
        "An event whose JSON ends too early.",
        _cut_midway('{"choices":[{"delta":{"content":"x'),
        CUT,
    ),
    Fault(
        "invalid-json-first",
        "The first event is no JSON.",
        lambda wire: [HEAD, body(wire.event("{not json")), LAST_CHUNK],
        REFUSED,
    ),
    Fault(
        "choices-a-text",
        "`choices` is a text.",
        _cut_midway(b'data: {"choices":"none"}\n\n'),
        EITHER,
        free_text=True,
        wires=_OPENAI,
    ),
    Fault(
        "content-a-number",
        "A text is a number.",
        _cut_midway(OpenAI().chunk({"content": 7})),
        EITHER,
        free_text=True,
        wires=_OPENAI,
    ),
    Fault("event-a-list", "An event is a list.", _cut_midway("[1, 2]"), EITHER, free_text=True),
    Fault("event-null", "An event is `null`.", _cut_midway("null"), EITHER, free_text=True),
    Fault(
        "not-streamed",
        "One JSON answer although a stream was asked for.",
        lambda wire: [answer("200 OK", wire.whole("one two"), text="one two")],
        ANY,
    ),
    Fault("gzip", "A compressed stream although none was asked for.", _gzipped),
    Fault(
        "not-gzip", "A stream that says it is compressed and is not.", _not_gzipped, ANY, prefix=True, free_text=True
    ),
    Fault(
        "second-answer",
        "Behind an answer one that nobody asked for: it may not become that of the next request.",
        _own,
        ANY,
        before=(_and_a_second,),
        twice=0,
    ),
    Fault(
        "second-answer-later",
        "The same, a moment later, before the next request.",
        _own,
        ANY,
        before=(_and_a_second_later,),
        twice=0.3,
        # Another request that took the connection in that moment would get it, and could not know.
        alone=True,
    ),
    Fault("content-length-too-short", "A body that is longer than it says.", _too_short, CUT, alone=True),
    Fault(
        "chunk-size-garbage",
        "A chunk of HTTP whose size is no number.",
        lambda wire: [*started(wire, "one"), Pause(0.3), Send(b"zz\r\nxx\r\n"), Pause(0.3), End.CLOSE],
        CUT,
    ),
    Fault(
        "usage-negative",
        "Fewer than no tokens.",
        _chunk(None, usage={"prompt_tokens": -5, "completion_tokens": -1}),
        wires=_OPENAI,
    ),
    Fault("usage-a-text", "The tokens are a text.", _chunk(None, usage="many"), EITHER, wires=_OPENAI, prefix=True),
    Fault(
        "usage-huge",
        "More tokens than a 64-bit number counts.",
        _chunk(None, usage={"prompt_tokens": 10**30}),
        EITHER,
        wires=_OPENAI,
        prefix=True,
    ),
    Fault("choices-empty", "An event without choices and without tokens.", _chunk(None), wires=_OPENAI),
    Fault(
        "delta-missing",
        "A choice without a delta.",
        _midway(OpenAI().chunk(None, choices=[{"index": 0, "finish_reason": None}])),
        wires=_OPENAI,
    ),
    Fault(
        "delta-null",
        "A delta that is null.",
        _midway(OpenAI().chunk(None, choices=[{"index": 0, "delta": None}])),
        EITHER,
        wires=_OPENAI,
        prefix=True,
    ),
    Fault("content-null", "A text that is null.", _chunk({"content": None}), wires=_OPENAI),
    Fault(
        "unknown-keys",
        "Keys that nobody knows.",
        _chunk({"content": "", "mood": "fine"}, obfuscation="xxxx", x={"y": [1]}),
        wires=_OPENAI,
    ),
    Fault(
        "unknown-event",
        "An event of a type that nobody knows.",
        _midway(b'event: weather\ndata: {"type":"weather"}\n\n'),
        wires=("anthropic",),
    ),
    Fault("role-again", "The role in every event.", _chunk({"role": "assistant", "content": ""}), wires=_OPENAI),
    Fault(
        "no-id-no-model",
        "Events without id, model and time.",
        _midway(b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n'),
        wires=_OPENAI,
    ),
    Fault(
        "index-one",
        "A text of a second choice that nobody asked for.",
        _midway(OpenAI().chunk(None, choices=[{"index": 1, "delta": {"content": "x"}}])),
        free_text=True,
        wires=_OPENAI,
    ),
    Fault(
        "reason-error",
        "The reason of the end is `error`.",
        lambda wire: [*started(wire, "one"), body(OpenAI().chunk({}, "error") + wire.done), LAST_CHUNK],
        EITHER,
        wires=_OPENAI,
    ),
)
