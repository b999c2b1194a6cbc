"""Settings that many services have, each declared once; what differs between services is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from endpoints.providers._settings import setting

_TEXT_EMBEDDING = ("text_embedding",)
_RERANK = ("rerank",)


def dimensions(*, task_types: Iterable[str] = _TEXT_EMBEDDING, listed: bool = False) -> Any:
    return setting(
        "Dimensions",
        "Length of the vectors; where it is not given, it is found out when the endpoint is created.",
        task_types=task_types,
        minimum=1,
        listed=listed,
    )


def similarity(default: str = "dot_product", *, task_types: Iterable[str] = _TEXT_EMBEDDING) -> Any:
    return setting(
        "Similarity",
        "How the vectors are compared.",
        task_types=task_types,
        allowed=("cosine", "dot_product", "l2_norm"),
        default=default,
        listed=False,
    )


def max_input_tokens(
    *, task_types: Iterable[str] = _TEXT_EMBEDDING, updatable: bool = False, listed: bool = False
) -> Any:
    return setting(
        "Maximum Input Tokens",
        "Longer texts are cut before they are embedded.",
        task_types=task_types,
        updatable=updatable,
        minimum=1,
        listed=listed,
    )


def return_documents(default: bool | None = None) -> Any:
    return setting(
        "Return Documents",
        "Whether the texts of the documents come back with their scores.",
        task_types=_RERANK,
        updatable=True,
        default=default,
        listed=False,
    )


def top_n() -> Any:
    return setting(
        "Top N",
        "How many documents come back, best first; without it, all.",
        task_types=_RERANK,
        updatable=True,
        minimum=1,
        listed=False,
    )
