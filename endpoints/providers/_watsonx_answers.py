"""Vectors and ranks of watsonx.ai, from bytes to values.

https://cloud.ibm.com/apidocs/watsonx-ai#text-embeddings, https://cloud.ibm.com/apidocs/watsonx-ai#text-rerank
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from endpoints.providers._base import Embeddings, Ranked, Usage
from endpoints.providers._failures import Failures

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Vectors(msgspec.Struct):
    results: list[_Vector] | None = None
    input_token_count: int | None = 0
    errors: Any = None


class _Rank(msgspec.Struct):
    """`input` is there where the texts were asked for."""

    index: int
    score: float
    input: Any = None


class _Ranks(msgspec.Struct):
    results: list[_Rank] | None = None
    errors: Any = None


_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_decode_ranks = msgspec.json.Decoder(_Ranks).decode


def read_embeddings(body: bytes, failures: Failures) -> Embeddings:
    """Raise ProviderError."""
    try:
        answer = _decode_vectors(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a list of embeddings") from None
    if answer.errors:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if answer.results is None:
        raise failures.not_answered("Required [results]")
    tokens = answer.input_token_count or 0
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    return Embeddings([one.embedding for one in answer.results], usage=usage)


def read_ranked(body: bytes, texts: Sequence[str], failures: Failures) -> list[Ranked]:
    """Raise ProviderError."""
    try:
        answer = _decode_ranks(body)
    except _UNREADABLE:
        raise failures.not_answered("the answer is not a list of ranked documents") from None
    if answer.errors:
        raise failures.refused("Received an error response", 200, failures.read_message(body))
    if answer.results is None:
        raise failures.not_answered("Required [results]")
    return [_ranked(one, texts) for one in answer.results]


def _ranked(one: _Rank, texts: Sequence[str]) -> Ranked:
    known = one.input is not None and 0 <= one.index < len(texts)
    return Ranked(one.index, one.score, texts[one.index] if known else None)
