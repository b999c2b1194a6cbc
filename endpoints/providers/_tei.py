"""Vectors and ranks of Text Embeddings Inference and of the pipelines before it, from bytes to values.

https://huggingface.github.io/text-embeddings-inference
"""

from __future__ import annotations

from typing import Any

import msgspec

from endpoints.providers._base import Embeddings, Ranked
from endpoints.providers._failures import Failures

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Vectors(msgspec.Struct):
    embeddings: list[list[float]] | None = None
    error: Any = None


class _Rank(msgspec.Struct):
    index: int
    score: float
    text: str | None = None


class _NoRanks(msgspec.Struct):
    error: Any = None


_decode_vectors = msgspec.json.Decoder(list[list[float]] | _Vectors).decode
_decode_ranks = msgspec.json.Decoder(list[_Rank] | _NoRanks).decode


def read_embeddings(body: bytes, failures: Failures) -> Embeddings:
    """Raise ProviderError."""
    try:
        answer = _decode_vectors(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a list of embeddings") from None
    if isinstance(answer, list):
        return Embeddings(answer)
    if answer.error:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if answer.embeddings is None:
        raise failures.not_answered("Required [embeddings]")
    return Embeddings(answer.embeddings)


def read_ranked(body: bytes, failures: Failures) -> list[Ranked]:
    """Raise ProviderError."""
    try:
        answer = _decode_ranks(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a list of ranked documents") from None
    if isinstance(answer, list):
        return [Ranked(one.index, one.score, one.text) for one in answer]
    if answer.error:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    raise failures.not_answered("the answer is not a list of ranked documents")
