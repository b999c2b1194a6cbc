"""Whole answers of Cohere's API, version 2, from bytes to completions, vectors and ranks."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from endpoints.providers._base import Completion, Embeddings, FunctionCall, Ranked, ToolCall, Usage
from endpoints.providers._cohere_events import ERROR_STATUSES, FINISH_REASONS, UNREADABLE, Usages, stopped
from endpoints.providers._failures import Failures

T = TypeVar("T")
KINDS = {"float": "float", "int8": "byte", "binary": "bit"}
"""What the kinds of vectors are called here, by Cohere's names."""


class _Content(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Message(msgspec.Struct):
    content: list[_Content] | None = None
    tool_calls: list[ToolCall] | None = None


class _Chat(msgspec.Struct):
    """An error has a message as well, which is a text."""

    message: _Message | str | None = None
    finish_reason: str | None = None
    usage: Usages | None = None
    id: str | None = None


class _Vectors(msgspec.Struct):
    floats: list[list[float]] | None = msgspec.field(default=None, name="float")
    int8: list[list[int]] | None = None
    binary: list[list[int]] | None = None


class _Embeddings(msgspec.Struct):
    embeddings: _Vectors | None = None
    meta: Usages | None = None
    message: Any = None


class _Ranked(msgspec.Struct, gc=False):
    index: int
    relevance_score: float


class _Ranks(msgspec.Struct):
    results: list[_Ranked] | None = None
    message: Any = None


_chats = msgspec.json.Decoder(_Chat)
_embeddings = msgspec.json.Decoder(_Embeddings)
_ranks = msgspec.json.Decoder(_Ranks)


def read_completion(body: bytes, failures: Failures) -> Completion:
    """Return the completion in a whole answer, one text for each part that is text. Raise ProviderError."""
    chat = _decoded(_chats, body, "a chat", failures)
    if chat.finish_reason in ERROR_STATUSES:
        raise failures.refused("Received an error response", 200, stopped(failures, chat.finish_reason))
    if not isinstance(chat.message, _Message):
        raise _without("message", body, failures)
    calls = [_numbered(index, call) for index, call in enumerate(chat.message.tool_calls or ())]
    return Completion(
        texts=[part.text or "" for part in chat.message.content or () if part.type == "text"] or [""],
        tool_calls=calls,
        finish_reason=FINISH_REASONS.get(chat.finish_reason, "stop") if chat.finish_reason else None,
        usage=chat.usage.as_usage() if chat.usage else None,
        id=chat.id or "",
    )


def read_embeddings(body: bytes, kind: str, failures: Failures) -> Embeddings:
    """Return the vectors of `kind`, which is Cohere's name for it, in a whole answer. Raise ProviderError."""
    answer = _decoded(_embeddings, body, "a list of embeddings", failures)
    if answer.embeddings is None:
        raise _without("embeddings", body, failures)
    vectors = answer.embeddings.floats if kind == "float" else getattr(answer.embeddings, kind)
    if vectors is None:
        raise failures.not_answered(f"Required [embeddings.{kind}]")
    return Embeddings(vectors, KINDS[kind], answer.meta.as_usage() if answer.meta else Usage())


def read_ranked(body: bytes, failures: Failures) -> list[Ranked]:
    """Return the ranks in a whole answer. Raise ProviderError."""
    answer = _decoded(_ranks, body, "a list of ranks", failures)
    if answer.results is None:
        raise _without("results", body, failures)
    return [Ranked(one.index, one.relevance_score) for one in answer.results]


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, expected: str, failures: Failures) -> T:
    try:
        return decoder.decode(body)
    except UNREADABLE:
        raise failures.not_answered(f"the answer is not {expected}") from None


def _without(key: str, body: bytes, failures: Failures) -> Exception:
    """Return the error for an answer without what it is for: it may say why."""
    message = failures.read_message(body)
    if message.text:
        return failures.refused("Received an error response", 200, message)
    return failures.not_answered(f"Required [{key}]")


def _numbered(index: int, call: ToolCall) -> ToolCall:
    return ToolCall(index, call.id, "function", call.function or FunctionCall())
