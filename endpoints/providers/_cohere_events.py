"""Streams of Cohere's chat API, of both its versions, and what whole answers have in common with them.

https://docs.cohere.com/v2/docs/streaming; what is not declared here is ignored. Servers that still speak version 1
send Server-Sent Events as well, or one JSON object a line; there `event_type` stands for `type`.
"""

from __future__ import annotations

import msgspec

from endpoints.providers._base import Choice, Chunk, Delta, ToolCall, Usage
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._lines import EventsOrLines

FINISH_REASONS = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
ERROR_STATUSES = {"ERROR": 500, "ERROR_TOXIC": 500, "ERROR_LIMIT": 429, "TIMEOUT": 500}
"""The statuses of finish reasons that are errors."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_IGNORED_IN_V1 = frozenset(
    {
        "citation-generation",
        "debug",
        "search-queries-generation",
        "search-results",
        "tool-calls-chunk",
        "tool-calls-generation",
    }
)
_EXPECTED = "an event of a chat"
_encode = msgspec.json.Encoder().encode


class Units(msgspec.Struct, gc=False):
    """Counts of tokens, which Cohere writes as fractions here and there."""

    input_tokens: float | None = None
    output_tokens: float | None = None


class Usages(msgspec.Struct):
    tokens: Units | None = None
    billed_units: Units | None = None
    cached_tokens: float | None = None

    def as_usage(self) -> Usage:
        """What was read and written, which is more than what is billed."""
        units = self.tokens or self.billed_units or Units()
        read, written = int(units.input_tokens or 0), int(units.output_tokens or 0)
        return Usage(read, written, read + written, None if self.cached_tokens is None else int(self.cached_tokens))


class _Content(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct):
    """What grows is an object in its pieces; the message begins with empty lists in their places."""

    role: str | None = None
    content: _Content | list[_Content] | str | None = None
    tool_plan: str | None = None
    tool_calls: ToolCall | list[ToolCall] | None = None


class _Delta(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    error: str | None = None
    usage: Usages | None = None


class _Response(msgspec.Struct):
    text: str | None = None
    meta: Usages | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    event_type: str | None = None
    generation_id: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Event).decode


class ChatReader(EventReader):
    def __init__(self, failures: Failures) -> None:
        super().__init__(failures, splitter=EventsOrLines())
        self._id = ""
        self._calls: dict[int, int] = {}
        """The number of each tool call, by the number that Cohere gives it."""

    def take(self, name: bytes, data: bytes) -> Chunk | None:
        try:
            event = _decode(data)
        except UNREADABLE:
            self._fail(name, data)
            return None
        if event.type == "message-end":
            end = event.delta or _Delta()
            return self._end(end.finish_reason, end.error, end.usage)
        if event.type:
            self._id = self._id or event.id or ""
            return self._piece(event) if event.delta and event.delta.message else None
        if event.event_type:
            return self._take_v1(event.event_type, event)
        self._fail(name, data)
        return None

    def _piece(self, event: _Event) -> Chunk | None:
        """Return what is new in the message; citations and ends of parts bring nothing."""
        message = event.delta.message if event.delta and event.delta.message else _Message()
        if isinstance(message.content, _Content):
            text, thinking = message.content.text or None, message.content.thinking or None
            return self._chunk(Delta(text, reasoning=thinking)) if text or thinking else None
        if isinstance(message.tool_calls, ToolCall):
            return self._call(event.index or 0, message.tool_calls)
        if message.role or message.tool_plan:
            return self._chunk(Delta(role=message.role, reasoning=message.tool_plan or None))
        return None

    def _call(self, index: int, call: ToolCall) -> Chunk:
        call.index = self._calls.setdefault(index, len(self._calls))
        return self._chunk(Delta(tool_calls=[call]))

    def _take_v1(self, kind: str, event: _Event) -> Chunk | None:
        if kind == "text-generation" and event.text is None:
            self.fail_unreadable(_EXPECTED)
            return None
        if kind == "text-generation":
            return self._chunk(Delta(event.text))
        if kind == "stream-start":
            self._id = event.generation_id or ""
            return self._chunk(Delta(role="assistant"))
        if kind == "stream-end":
            # Its text is that of all pieces once more, or what went wrong.
            response = event.response or _Response()
            return self._end(event.finish_reason, response.text, response.meta)
        if kind not in _IGNORED_IN_V1:
            self.error = self.failures.given_up(f"Unknown eventType found: [{kind[:80]}]")
        return None

    def _end(self, reason: str | None, text: str | None, usages: Usages | None) -> Chunk | None:
        if reason in ERROR_STATUSES:
            self.error = self.failures.error_in_stream(
                stopped(self.failures, text or reason), status=ERROR_STATUSES[reason]
            )
            return None
        self.done = True
        self.finish_reason = FINISH_REASONS.get(reason or "", "stop")
        return self._chunk(Delta(), usages.as_usage() if usages else None)

    def _chunk(self, delta: Delta, usage: Usage | None = None) -> Chunk:
        return Chunk(self._id, [Choice(delta, self.finish_reason or None)], usage=usage)

    def _fail(self, name: bytes, data: bytes) -> None:
        if name == b"error" or self.failures.read_message(data).text:
            self.fail(data)
        else:
            self.fail_unreadable(_EXPECTED)


def stopped(failures: Failures, text: str) -> ProviderMessage:
    """Return the message for an answer that ended with an error."""
    return failures.read_message(_encode({"message": f"Cohere stopped the stream due to an error: {text}"}))
