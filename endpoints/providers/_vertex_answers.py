"""Vectors and ranked documents, as Google Cloud sends them.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api,
https://cloud.google.com/generative-ai-app-builder/docs/ranking
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from endpoints.providers._base import Embeddings, Ranked, Usage
from endpoints.providers._failures import Failures
from wire.errors import ProviderError


class _Statistics(msgspec.Struct, gc=False):
    token_count: float | None = 0


class _Vector(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Vector


class _Predictions(msgspec.Struct):
    predictions: list[_Prediction] | None = None
    error: Any = None


class _Record(msgspec.Struct):
    id: str
    score: float
    content: str | None = None


class _Records(msgspec.Struct):
    records: list[_Record] | None = None
    error: Any = None


T = TypeVar("T", _Predictions, _Records)


def read_predictions(body: bytes, failures: Failures) -> Embeddings:
    """Return the vectors in a whole answer. Raise ProviderError."""
    predictions = _read(body, _Predictions, failures, "a list of embeddings").predictions
    if predictions is None:
        raise failures.not_answered("Required [predictions]")
    vectors = [prediction.embeddings for prediction in predictions]
    tokens = int(sum((vector.statistics and vector.statistics.token_count) or 0 for vector in vectors))
    return Embeddings([vector.values for vector in vectors], usage=Usage(prompt_tokens=tokens, total_tokens=tokens))


def read_records(body: bytes, failures: Failures) -> Sequence[Ranked]:
    """Return the ranked documents in a whole answer; their ids are the indexes. Raise ProviderError."""
    records = _read(body, _Records, failures, "a list of records").records
    if records is None:
        raise failures.not_answered("Required [records]")
    try:
        return [Ranked(int(record.id), record.score, record.content) for record in records]
    except ValueError:
        raise failures.not_answered("an id in the answer is not that of a document") from None


def _read(body: bytes, kind: type[T], failures: Failures, expected: str) -> T:
    try:
        answer = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise failures.not_answered(f"the answer is not {expected}") from None
    if answer.error:
        raise _refused(body, failures)
    return answer


def _refused(body: bytes, failures: Failures) -> ProviderError:
    return failures.refused("Received an error response", 200, failures.read_message(body))
