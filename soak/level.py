"""What a running gateway uses, sample after sample, and whether it is level at the end."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fakes.tasks import TaskCounter
from tests.gateway import Gateway

# Idle connections to a provider are kept for a minute.
QUIET_SECONDS = 90.0
# What many open requests needed at once leaves holes that cannot be given back.
MOST_BYTES_A_MINUTE = 2**20
# What is forgotten is a block or more for each request, however little memory that is.
MOST_BLOCKS_A_REQUEST = 0.5


@dataclass(frozen=True)
class Quiet:
    """What is there while nothing is asked."""

    descriptors: int
    tasks: int
    open_requests: int
    blocks: int
    """Of memory, as Python gives them out, garbage left out."""


class Meter:
    def __init__(self, gateway: Gateway, counter: TaskCounter) -> None:
        self._gateway = gateway
        self._counter = counter

    def memory(self) -> int:
        """Return the bytes of resident memory that are in use; what an allocator keeps for later is no leak."""
        self._counter.count(self._gateway)
        return self._gateway.memory()

    def quiet(self) -> Quiet:
        open_requests = self.metric("gateway_open_requests")
        # The connection that asked is gone a moment later.
        time.sleep(0.2)
        tasks = self._counter.count(self._gateway)
        return Quiet(self._gateway.descriptors(), tasks, open_requests, self._counter.blocks())

    def quiet_like(self, before: Quiet) -> Quiet:
        """Return what is there, once that is no more than before, or when it had time enough to become so."""
        deadline = time.monotonic() + QUIET_SECONDS
        while not is_level(before, now := self.quiet()) and time.monotonic() < deadline:
            time.sleep(1)
        return now

    def requests(self) -> dict[str, int]:
        """Return how many requests had which outcome."""
        counted: dict[str, int] = {}
        for outcome, value in re.findall(r'^gateway_requests_total{.*outcome="(\w+)".*} (\S+)$', self._metrics(), re.M):
            counted[outcome] = counted.get(outcome, 0) + int(float(value))
        return counted

    def metric(self, name: str) -> int:
        """Return the sum of a metric over its labels."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self._metrics(), re.M)
        return sum(int(float(value)) for value in found)

    def _metrics(self) -> str:
        return self._gateway.call("GET", "/metrics").body.decode()


def is_level(before: Quiet, after: Quiet) -> bool:
    return (
        after.descriptors <= before.descriptors
        and after.tasks <= before.tasks
        and after.open_requests <= before.open_requests
    )


def growth(samples: Sequence[tuple[float, int]]) -> float:
    """Return by how much the values grow in a unit of time, by least squares."""
    times, values = zip(*samples, strict=True)
    return float(statistics.linear_regression(times, values).slope)
