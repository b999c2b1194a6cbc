"""How long each part of a request may take: for all endpoints by the environment, for one by its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from endpoints.models import Endpoint

LONGEST_SECONDS = 86_400.0
# Elasticsearch's own, for what is asked without a stream and is no completion.
_SHORT_SECONDS = 30.0
_COMPLETIONS = ("completion", "chat_completion")

MEANINGS: Mapping[str, str] = {
    "connect_seconds": "To connect to the provider.",
    "first_delta_seconds": "To the first delta, or to the whole answer without a stream, where a request has no "
    "timeout of its own.",
    "idle_seconds": "Longest silence of the provider between bytes.",
    "stall_seconds": "Longest silence of the provider between deltas; comments and pings do not count.",
    "total_seconds": "Longest request.",
    "write_seconds": "A client that reads nothing for so long is dropped.",
}
"""Each limit with what it is for. Columns of the row, settings of the environment and fields below have these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    connect_seconds: float
    first_delta_seconds: float
    idle_seconds: float
    stall_seconds: float
    total_seconds: float
    write_seconds: float


def of(endpoint: Endpoint) -> TimeLimits:
    """Return the limits of `endpoint`: its own where it has some, those of the environment otherwise."""
    found: dict[str, Any] = {}
    for limit in fields(TimeLimits):
        own = getattr(endpoint, limit.name)
        found[limit.name] = _default(limit.name, endpoint.task_type) if own is None else own
    return TimeLimits(**found)


def _default(name: str, task_type: str) -> float:
    if name == "first_delta_seconds" and task_type not in _COMPLETIONS:
        return _SHORT_SECONDS
    default: float = getattr(settings.ENVIRONMENT, name)
    return default
