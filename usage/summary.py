"""The metrics in a few words, for a page that a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from usage import workers
from usage.metrics import time_to_first_token
from usage.workers import Numbers

# A caller that leaves is no error of the gateway, and what was refused was the caller's to mend.
_NO_ERRORS = frozenset({"complete", "client_gone", "refused"})
_PART = 0.95


@dataclass(frozen=True, slots=True)
class Wait:
    """How long callers of a provider waited for the first delta: 95 of 100 no longer than `seconds`.

    None where it was longer than the metric can tell. `requests` is how many there were.
    """

    operation: str
    provider: str
    seconds: float | None
    requests: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Of all workers since the start; `streams` are open now, and so is what is `waiting` under a rate limit."""

    streams: int
    waiting: int
    requests: int
    errors: int
    refused: int
    waits: list[Wait]


def read() -> Summary:
    """Return what was counted until now. `waits` begin with the slowest. To be called in a thread."""
    numbers = workers.current()
    outcomes = [(labels[3], int(cells[0])) for labels, cells in _series(numbers, "gateway_requests")]
    opened = _series(numbers, "gateway_open_requests")
    return Summary(
        streams=sum(int(cells[0]) for (stream,), cells in opened if stream == "true"),
        waiting=sum(int(cells[0]) for _, cells in _series(numbers, "gateway_waiting_requests")),
        requests=sum(count for _, count in outcomes),
        errors=sum(count for outcome, count in outcomes if outcome not in _NO_ERRORS),
        refused=sum(count for outcome, count in outcomes if outcome == "refused"),
        waits=sorted(_waits(numbers), key=lambda one: -(one.seconds or float("inf"))),
    )


def _series(numbers: Numbers, name: str) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    return ((labels, cells) for (family, labels), cells in numbers.items() if family == name)


def _waits(numbers: Numbers) -> Iterator[Wait]:
    bounds = time_to_first_token.bounds
    for (operation, provider), (*buckets, _) in _series(numbers, time_to_first_token.name):
        counted = list(accumulate(buckets))
        if counted[-1]:
            within = next(index for index, count in enumerate(counted) if count >= _PART * counted[-1])
            yield Wait(operation, provider, bounds[within] if within < len(bounds) else None, int(counted[-1]))
