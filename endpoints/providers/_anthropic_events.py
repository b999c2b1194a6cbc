"""Answers of Anthropic's Messages API, from bytes to chunks and completions.

https://docs.anthropic.com/en/docs/build-with-claude/streaming; what is not declared here is ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.providers._base import Choice, Chunk, Completion, Delta, FunctionCall, ToolCall, Usage
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode


class _OutputTokens(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputTokens | None = None

    def update(self, newer: _Usage) -> None:
        """Take what `newer` says; counts are totals, and those that did not change may be left out."""
        for name in self.__struct_fields__:
            if (value := getattr(newer, name)) is not None:
                setattr(self, name, value)

    def as_usage(self) -> Usage:
        cached = self.cache_read_input_tokens
        prompt = (self.input_tokens or 0) + (self.cache_creation_input_tokens or 0) + (cached or 0)
        output = self.output_tokens or 0
        details = self.output_tokens_details
        return Usage(prompt, output, prompt + output, cached, details.thinking_tokens if details else None)


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    role: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode


class MessageReader(EventReader):
    def __init__(self, failures: Failures) -> None:
        super().__init__(failures)
        self._message = _Message()
        self._usage = _Usage()
        self._calls: dict[int, int] = {}
        """The number of each tool call, by the number of its block; texts and thoughts are blocks as well."""
        self._inputs: dict[int, Any] = {}
        """What is known of the input of calls of which no piece of it has come."""

    def take(self, name: bytes, data: bytes) -> Chunk | None:
        try:
            event = _decode(data)
        except _UNREADABLE:
            self._fail(name, data)
            return None
        if event.type == "content_block_delta" and event.delta is not None:
            return self._piece(event.index, event.delta)
        if event.type in ("error", "") or event.error is not None:
            self._fail(name, data)
            return None
        return self._mark(event)

    def _mark(self, event: _Event) -> Chunk | None:
        """Return the chunk for an event that is no piece of a block; pings and unknown events have none."""
        if event.type == "message_start" and event.message is not None:
            return self._start(event.message)
        if event.type == "content_block_start" and event.content_block is not None:
            return self._start_block(event.index, event.content_block)
        if event.type == "content_block_stop":
            return self._stop_block(event.index)
        if event.type == "message_delta":
            return self._finish(event)
        self.done = event.type == "message_stop"
        return None

    def _start(self, message: _Message) -> Chunk:
        self._message = message
        return self._chunk(Delta(role=message.role), usage=message.usage)

    def _start_block(self, index: int, block: _Block) -> Chunk | None:
        if block.type != "tool_use":
            return self._spoken(block.text, block.thinking)
        call = self._calls[index] = len(self._calls)
        self._inputs[index] = block.input or {}
        function = FunctionCall(block.name, "")
        return self._chunk(Delta(tool_calls=[ToolCall(call, block.id, "function", function)]))

    def _piece(self, index: int, delta: _Delta) -> Chunk | None:
        if not delta.partial_json:
            return self._spoken(delta.text, delta.thinking)
        # Tools that run at Anthropic's have inputs too.
        if index not in self._calls:
            return None
        self._inputs.pop(index, None)
        return self._arguments(index, delta.partial_json)

    def _stop_block(self, index: int) -> Chunk | None:
        """A call without arguments has no piece of them, yet its arguments are JSON."""
        return self._arguments(index, _encode(self._inputs.pop(index)).decode()) if index in self._inputs else None

    def _arguments(self, index: int, piece: str) -> Chunk:
        return self._chunk(Delta(tool_calls=[ToolCall(self._calls[index], function=FunctionCall(arguments=piece))]))

    def _spoken(self, text: str | None, thinking: str | None) -> Chunk | None:
        return self._chunk(Delta(text or None, reasoning=thinking or None)) if text or thinking else None

    def _finish(self, event: _Event) -> Chunk:
        reason = event.delta.stop_reason if event.delta else None
        if reason:
            self.finish_reason = _FINISH_REASONS.get(reason, "stop")
        return self._chunk(Delta(), self.finish_reason or None, event.usage)

    def _chunk(self, delta: Delta, finish_reason: str | None = None, usage: _Usage | None = None) -> Chunk:
        message, total = self._message, None
        if usage is not None:
            self._usage.update(usage)
            total = self._usage.as_usage()
        return Chunk(message.id, [Choice(delta, finish_reason)], message.model, total)

    def _fail(self, name: bytes, data: bytes) -> None:
        message = self.failures.read_message(data)
        if name == b"error" or message.text:
            self.error = self.failures.error_in_stream(message, status=_STATUSES.get(message.type or "", 500))
        else:
            self.fail_unreadable("an event of a message")


def read_completion(body: bytes, failures: Failures) -> Completion:
    """Return the completion in a whole answer, one text for each block of text. Raise ProviderError."""
    try:
        message = _decode_message(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a message") from None
    if message.error is not None:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if message.content is None:
        raise failures.not_answered("Required [content]")
    calls = [block for block in message.content if block.type == "tool_use"]
    reason = message.stop_reason
    return Completion(
        texts=[block.text or "" for block in message.content if block.type == "text"] or [""],
        tool_calls=[_whole_call(index, block) for index, block in enumerate(calls)],
        finish_reason=_FINISH_REASONS.get(reason, "stop") if reason else None,
        usage=message.usage.as_usage() if message.usage else None,
        id=message.id,
        model=message.model,
    )


def _whole_call(index: int, block: _Block) -> ToolCall:
    arguments = _encode(block.input or {}).decode()
    return ToolCall(index, block.id, "function", FunctionCall(block.name, arguments))
