"""What providers send when all is well, in OpenAI's and in Anthropic's words, as bytes of a stream's body.

https://platform.openai.com/docs/api-reference/chat-streaming, https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

TEXTS = ("one", " two", " three")
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Wire(ABC):
    """`key` is what the caller proved itself with, `origin` where this provider is reached."""

    key: str = ""
    origin: str = ""

    name: ClassVar[str]
    path: ClassVar[str]

    @property
    @abstractmethod
    def opening(self) -> bytes:
        """The events before the first text."""

    @abstractmethod
    def delta(self, text: str) -> bytes:
        """Return the event with one text."""

    @abstractmethod
    def finish(self, reason: str = "stop") -> bytes:
        """Return the events that say why the answer ends: `stop`, `length` or `content_filter`."""

    @abstractmethod
    def usage(self, counts: Json | None = None) -> bytes:
        """Return the event with the tokens that were used, and only with them."""

    @property
    @abstractmethod
    def done(self) -> bytes:
        """The last event."""

    @property
    @abstractmethod
    def ping(self) -> bytes:
        """An event, or a comment, that says no more than that the provider is alive."""

    @abstractmethod
    def whole(self, text: str) -> bytes:
        """Return the body of an answer that is not streamed."""

    @abstractmethod
    def error(self, message: str) -> Json:
        """Return an error object, as in a refusal or in an event."""

    @abstractmethod
    def event(self, value: Any) -> bytes:
        """Return the event with `value` as JSON, or as it is where it is a text."""

    def error_event(self, message: str) -> bytes:
        return self.event(self.error(message))

    def refusal(self, message: str) -> bytes:
        return encoded(self.error(message)).encode()

    def stream(self, texts: Iterable[str] = TEXTS) -> bytes:
        """Return the whole body of a stream that nothing is wrong with."""
        deltas = b"".join(map(self.delta, texts))
        return self.opening + deltas + self.finish() + self.usage() + self.done


class OpenAI(Wire):
    name = "openai"
    path = "/v1/chat/completions"

    @property
    def opening(self) -> bytes:
        return self.chunk({"role": "assistant", "content": ""})

    @property
    def done(self) -> bytes:
        return b"data: [DONE]\n\n"

    @property
    def ping(self) -> bytes:
        return b": keep-alive\n\n"

    def delta(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def finish(self, reason: str = "stop") -> bytes:
        return self.chunk({}, reason)

    def usage(self, counts: Json | None = None) -> bytes:
        known = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return self.chunk(None, usage=known if counts is None else counts)

    def whole(self, text: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fault", "choices": [choice]}
        return encoded({**answer, "usage": usage}).encode()

    def error(self, message: str) -> Json:
        return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}

    def event(self, value: Any) -> bytes:
        return f"data: {encoded(value)}\n\n".encode()

    def chunk(self, delta: Json | None, reason: str | None = None, **more: Any) -> bytes:
        """Return one event; without `delta` it has no choices, and `more` replaces keys or adds some."""
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fault"}
        return self.event({**head, "choices": choices, **more})


class Anthropic(Wire):
    name = "anthropic"
    path = "/v1/messages"

    @property
    def opening(self) -> bytes:
        usage = {"input_tokens": 7, "output_tokens": 1}
        message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "fault"}
        message = {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return self.event({"type": "message_start", "message": message}) + self.event(block)

    @property
    def done(self) -> bytes:
        return self.event({"type": "message_stop"})

    @property
    def ping(self) -> bytes:
        return self.event({"type": "ping"})

    def delta(self, text: str) -> bytes:
        return self.event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})

    def finish(self, reason: str = "stop") -> bytes:
        reasons = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
        delta = {"stop_reason": reasons[reason], "stop_sequence": None}
        stop = self.event({"type": "content_block_stop", "index": 0})
        return stop + self.event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}})

    def usage(self, counts: Json | None = None) -> bytes:
        """Tokens are in the events of `opening` and `finish`; only odd ones get an event of their own."""
        return b"" if counts is None else self.event({"type": "message_delta", "delta": {}, "usage": counts})

    def whole(self, text: str) -> bytes:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "fault", "stop_sequence": None}
        content = [{"type": "text", "text": text}]
        usage = {"input_tokens": 7, "output_tokens": 3}
        return encoded({**message, "content": content, "stop_reason": "end_turn", "usage": usage}).encode()

    def error(self, message: str) -> Json:
        return {"type": "error", "error": {"type": "api_error", "message": message}}

    def event(self, value: Any) -> bytes:
        name = value["type"] if isinstance(value, dict) else "content_block_delta"
        return f"event: {name}\ndata: {encoded(value)}\n\n".encode()


WIRES: Mapping[str, type[Wire]] = {wire.name: wire for wire in (OpenAI, Anthropic)}


def encoded(value: Any) -> str:
    """Return JSON with every character as it is; a text is taken for JSON already."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
