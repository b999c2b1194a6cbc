"""Gemini's answers, from bytes to chunks and completions.

https://ai.google.dev/api/generate-content#generatecontentresponse. Keys that are not declared here are ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.providers._base import Choice, Chunk, Completion, Delta, FunctionCall, ToolCall, Usage
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._gemini import signed_id
from endpoints.providers._sse import MAX_EVENT_BYTES, Event, EventSplitter, EventTooLarge

# All that is not here is a failure: Google adds reasons, and none of them so far was a success.
_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"), "content_filter"),
    **dict.fromkeys(("MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}


class _FunctionCall(msgspec.Struct):
    name: str = ""
    args: dict[str, Any] | None = None
    id: str | None = None


class _Part(msgspec.Struct, rename="camel"):
    """A text, which is a thought where `thought` says so, or a call."""

    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None
    thought_signature: str | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = 0


class _Usage(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: int | None = 0
    candidates_token_count: int | None = 0
    total_token_count: int | None = 0
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def is_blocked(self) -> bool:
        """Whether the prompt was refused; then there are no candidates."""
        return self.prompt_feedback is not None and self.prompt_feedback.block_reason is not None


_decode = msgspec.json.Decoder(_Answer).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class GeminiSplitter(EventSplitter):
    """Also takes what Gemini sends where it fails midway: a JSON object over several lines, without `data:`."""

    def __init__(self) -> None:
        super().__init__()
        self._object = bytearray()

    def end(self) -> list[Event]:
        events = super().end()
        return [*events, (b"", bytes(self._object))] if self._object else events

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        if not self._object and line[:1] not in (b"{", b"["):
            super()._end_line(line, events)
            return
        first = not self._object
        self._object += line + b"\n"
        if len(self._object) > MAX_EVENT_BYTES:
            raise EventTooLarge
        # Only the outermost bracket closes at the begin of a line.
        if (first or line[:1] in (b"}", b"]")) and _is_whole(self._object):
            events.append((b"", bytes(self._object)))
            self._object.clear()


class GeminiReader(EventReader):
    """There is no end marker: a finish reason and the end of the body are the end of the answer."""

    def __init__(self, failures: Failures, *, error_status: int = 400) -> None:
        super().__init__(failures, error_status=error_status, splitter=GeminiSplitter())
        self._calls = 0
        self._role: str | None = "assistant"

    def take(self, name: bytes, data: bytes) -> Chunk | None:
        try:
            answer = _decode(data)
        except _UNREADABLE:
            self._fail(data)
            return None
        if answer.error or (answer.candidates is None and answer.usage_metadata is None and not answer.is_blocked):
            self._fail(data)
            return None
        return self.chunk(answer)

    def chunk(self, answer: _Answer) -> Chunk:
        choices = [self._choice(answer, candidate) for candidate in answer.candidates or ()]
        if not choices and answer.is_blocked:
            self.finish_reason = "content_filter"
            choices.append(Choice(Delta(), "content_filter"))
        usage = None if answer.usage_metadata is None else _usage(answer.usage_metadata)
        return Chunk(answer.response_id or "", choices, answer.model_version or "", usage)

    def fail(self, data: bytes) -> None:
        """End the stream with the error that `data` holds; its code is the status that it would have had before."""
        message = self.failures.read_message(data)
        code = message.code or ""
        status = int(code) if len(code) == 3 and code.isdecimal() and code.startswith("4") else self.error_status
        self.error = self.failures.error_in_stream(message, status=status)

    def _choice(self, answer: _Answer, candidate: _Candidate) -> Choice:
        delta, content = Delta(role=self._role), candidate.content
        self._role = None
        for part in (content.parts or ()) if content is not None else ():
            if part.function_call is not None:
                delta.tool_calls = [*(delta.tool_calls or ()), self._call(answer, part)]
            elif part.text is not None and part.thought:
                delta.reasoning = (delta.reasoning or "") + part.text
            elif part.text is not None:
                delta.content = (delta.content or "") + part.text
        return Choice(delta, self._finish(candidate), candidate.index or 0)

    def _call(self, answer: _Answer, part: _Part) -> ToolCall:
        """Return a call, which always is a whole one."""
        call, index = part.function_call or _FunctionCall(), self._calls
        self._calls += 1
        given = call.id or f"call_{answer.response_id or ''}_{index}"
        function = FunctionCall(call.name, msgspec.json.encode(call.args or {}).decode())
        return ToolCall(index, signed_id(given, part.thought_signature), "function", function)

    def _finish(self, candidate: _Candidate) -> str | None:
        """Return the finish reason in OpenAI's words; one that means a failure becomes the error of the stream."""
        given = candidate.finish_reason
        if given is None:
            return None
        reason = _FINISH_REASONS.get(given)
        if reason is None:
            self._stopped(given[:80], candidate.finish_message or "")
            return None
        # Gemini says STOP for calls too.
        self.finish_reason = "tool_calls" if reason == "stop" and self._calls else reason
        return self.finish_reason

    def _stopped(self, reason: str, explanation: str) -> None:
        told = self.failures.read_message(msgspec.json.encode({"message": explanation})).text
        text = f"The answer was stopped, finishReason [{reason}]" + (f": {told}" if told else "")
        self.error = self.failures.error_in_stream(ProviderMessage(text, type=reason), status=self.error_status)

    def _fail(self, data: bytes) -> None:
        if self.failures.read_message(data).text:
            self.fail(data)
        elif data.strip():
            self.fail_unreadable("a GenerateContentResponse")


def read_completion(body: bytes, failures: Failures) -> Completion:
    """Return the completion in a whole answer. Raise ProviderError."""
    try:
        answer = _decode(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a GenerateContentResponse") from None
    if answer.error:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if answer.candidates is None and not answer.is_blocked:
        raise failures.not_answered("Required [candidates]")
    reader = GeminiReader(failures)
    chunk = reader.chunk(answer)
    if reader.error is not None:
        raise reader.error
    first = chunk.choices[0] if chunk.choices else Choice(Delta())
    return Completion(
        texts=[choice.delta.content or "" for choice in chunk.choices],
        tool_calls=first.delta.tool_calls or (),
        finish_reason=first.finish_reason,
        usage=chunk.usage,
        id=chunk.id,
        model=chunk.model,
    )


def _is_whole(text: bytearray) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _usage(usage: _Usage) -> Usage:
    prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return Usage(
        prompt,
        completion,
        usage.total_token_count or prompt + completion,
        usage.cached_content_token_count,
        usage.thoughts_token_count,
    )
