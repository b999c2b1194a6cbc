"""Answers in OpenAI's shapes, from bytes to chunks, completions and vectors.

https://platform.openai.com/docs/api-reference/chat; what other servers of the family do differently is noted where
it is read. Keys that are not declared here are ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.providers._base import Choice, Chunk, Completion, Delta, Embeddings, ToolCall, Usage, content_text
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures


class _CachedTokens(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _ReasoningTokens(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0
    prompt_tokens_details: _CachedTokens | None = None
    completion_tokens_details: _ReasoningTokens | None = None


class _Message(msgspec.Struct):
    """A delta, or a whole message. Thoughts are `reasoning` or, with llama.cpp, DeepSeek and others,
    `reasoning_content`; content is a list of parts with Mistral's reasoning models."""

    content: str | list[Any] | None = None
    role: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class _Choice(msgspec.Struct):
    """Azure's notes of its content filter have no delta."""

    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    index: int | None = 0


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _PlainChunk(Chunk, gc=False, kw_only=True):
    """What nearly all chunks are: text. It is decoded into what is passed on; what does not fit is an _Answer."""

    choices: list[Choice]
    usage: None = None
    error: None = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Vectors(msgspec.Struct):
    data: list[_Vector] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Answer).decode
_decode_plain = msgspec.json.Decoder(_PlainChunk).decode
_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_OTHER_THOUGHTS = b'"reasoning_content"'
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ChunkReader(EventReader):
    def take(self, name: bytes, data: bytes) -> Chunk | None:
        if data[:1] == b"[" and data.strip().upper() == b"[DONE]":
            self.done = True
            return None
        if name or _OTHER_THOUGHTS in data:
            return self._take_any(name, data)
        try:
            chunk = _decode_plain(data)
        except _UNREADABLE:
            return self._take_any(name, data)
        for choice in chunk.choices:
            if choice.finish_reason:
                return self._take_any(name, data)
        return chunk

    def _take_any(self, name: bytes, data: bytes) -> Chunk | None:
        try:
            answer = _decode(data)
        except _UNREADABLE:
            # Ollama sends an event without data where it should have sent an error; then the stream ends.
            if data.strip():
                self._fail(name, data)
            return None
        if answer.error or name == b"error" or (answer.choices is None and answer.usage is None):
            self._fail(name, data)
            return None
        chunk = self._chunk(answer)
        if self.finish_reason == "error":
            self.fail(data)
        return chunk

    def _chunk(self, answer: _Answer) -> Chunk:
        choices = []
        for choice in answer.choices or ():
            choices.append(Choice(_delta(choice.delta), choice.finish_reason, choice.index or 0))
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
        usage = answer.usage
        return Chunk(answer.id or "", choices, answer.model or "", None if usage is None else _usage(usage))

    def _fail(self, name: bytes, data: bytes) -> None:
        if name == b"error" or self.failures.read_message(data).text:
            self.fail(data)
        else:
            self.fail_unreadable("a chat completion chunk")


def read_completion(body: bytes, failures: Failures) -> Completion:
    """Return the completion in a whole answer. Raise ProviderError."""
    try:
        answer = _decode(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a chat completion") from None
    if answer.error:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if not answer.choices:
        raise failures.not_answered("Required [choices]")
    first = answer.choices[0]
    messages = [choice.message or _Message() for choice in answer.choices]
    return Completion(
        texts=[content_text(message.content) or "" for message in messages],
        tool_calls=messages[0].tool_calls or (),
        finish_reason=first.finish_reason,
        usage=None if answer.usage is None else _usage(answer.usage),
        id=answer.id or "",
        model=answer.model or "",
    )


def read_embeddings(body: bytes, count: int, failures: Failures) -> Embeddings:
    """Return the `count` vectors in a whole answer, in the order of the inputs. Raise ProviderError."""
    try:
        answer = _decode_vectors(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a list of embeddings") from None
    if answer.error:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if answer.data is None:
        raise failures.not_answered("Required [data]")
    vectors = {place if one.index is None else one.index: one.embedding for place, one in enumerate(answer.data)}
    if len(answer.data) != count or vectors.keys() != set(range(count)):
        raise failures.not_answered(f"[{count}] inputs were sent, [{len(answer.data)}] embeddings came back")
    usage = None if answer.usage is None else _usage(answer.usage)
    return Embeddings([vectors[place] for place in range(count)], usage=usage)


def _delta(delta: _Message | None) -> Delta:
    if delta is None:
        return Delta()
    content = delta.content if isinstance(delta.content, str) else content_text(delta.content)
    return Delta(content, delta.role, delta.refusal, delta.reasoning or delta.reasoning_content, delta.tool_calls)


def _usage(usage: _Usage) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        usage.total_tokens or 0,
        None if prompt is None else prompt.cached_tokens,
        None if completion is None else completion.reasoning_tokens,
    )
