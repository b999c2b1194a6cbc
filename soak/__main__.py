"""Let a gateway live with faults and clients of all kinds for a while; leave with 1 where it is not level then."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.processes import provider
from soak.level import MOST_BLOCKS_A_REQUEST, MOST_BYTES_A_MINUTE, Meter, Quiet, growth, is_level
from soak.load import LIMITS, Load
from tests.fakes.tasks import TaskCounter
from tests.gateway import Gateway

_SETTINGS = {
    "GATEWAY_SKIP_VALIDATION": "true",
    "GATEWAY_FIRST_DELTA_SECONDS": str(LIMITS.first_delta),
    "GATEWAY_IDLE_SECONDS": str(LIMITS.idle),
    "GATEWAY_STALL_SECONDS": str(LIMITS.stall),
}
# The first of everything: what a process keeps for its lifetime, an allocator's share among it, is there after that.
_WARM_UP_SECONDS, _WARM_UP_RATE = 90, 2
_SAMPLE_SECONDS = 3.0


@dataclass(frozen=True)
class Result:
    """`samples` are times in minutes, with the memory that was in use then, in bytes.

    The warm-up is neither in them nor in `requests`; `load` and `outcomes` have all.
    """

    samples: Sequence[tuple[float, int]]
    before: Quiet
    after: Quiet
    requests: int
    load: Load
    outcomes: dict[str, int]
    log: str

    @property
    def bytes_a_minute(self) -> float:
        return growth(self.samples)

    @property
    def blocks_a_request(self) -> float:
        return (self.after.blocks - self.before.blocks) / self.requests

    def problems(self) -> Iterator[str]:
        yield from (f"{times} x {words}" for words, times in self.load.problems.most_common())
        if self.bytes_a_minute > MOST_BYTES_A_MINUTE:
            yield "memory grows"
        if self.blocks_a_request > MOST_BLOCKS_A_REQUEST:
            yield "requests leave blocks of memory behind"
        if not is_level(self.before, self.after):
            yield "something is left behind"
        asked, counted = sum(self.load.asked.values()), sum(self.outcomes.values())
        if asked != counted:
            yield f"{asked} requests were sent, {counted} have ended"
        if "Traceback" in self.log:
            yield "a traceback is in the log"

    def lines(self) -> Iterator[str]:
        first, last = self.samples[0][1], self.samples[-1][1]
        yield f"{'':16} {'before':>10} {'after':>10}"
        slope = self.bytes_a_minute / 2**20
        yield f"{'memory, MB':16} {first / 2**20:10.1f} {last / 2**20:10.1f}   {slope:+.2f} a minute"
        yield f"{'blocks':16} {self.before.blocks:10} {self.after.blocks:10}   {self.blocks_a_request:+.3f} a request"
        for name in ("descriptors", "tasks", "open_requests"):
            yield f"{name.replace('_', ' '):16} {getattr(self.before, name):10} {getattr(self.after, name):10}"
        yield "clients that " + ", ".join(f"{kind}: {number}" for kind, number in sorted(self.load.asked.items()))
        yield "outcomes: " + ", ".join(f"{name}: {number}" for name, number in sorted(self.outcomes.items()))
        yield from (f"NOT LEVEL: {problem}" for problem in self.problems())


def main() -> int:
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory, provider() as provider_url:
        counter = TaskCounter(Path(directory))
        with Gateway.started(None, **_SETTINGS, **counter.environment) as gateway:
            load = Load(gateway.url, gateway.key, provider_url, arguments.slow_readers)
            result = asyncio.run(_soak(gateway, Meter(gateway, counter), load, arguments.minutes, arguments.rate))
    print("\n".join(result.lines()))
    return 1 if any(result.problems()) else 0


async def _soak(gateway: Gateway, meter: Meter, load: Load, minutes: float, rate: float) -> Result:
    await load.prepare()
    await load.run(_WARM_UP_SECONDS, rate * _WARM_UP_RATE)
    before = await asyncio.to_thread(meter.quiet)
    warm_up = sum(load.asked.values())
    sampling = asyncio.create_task(_samples(meter))
    await load.run(minutes * 60, rate)
    sampling.cancel()
    samples = await sampling
    after = await asyncio.to_thread(meter.quiet_like, before)
    requests = sum(load.asked.values()) - warm_up
    return Result(samples, before, after, requests, load, meter.requests(), gateway.read_log())


async def _samples(meter: Meter) -> Sequence[tuple[float, int]]:
    """Return what was sampled when the task is cancelled."""
    samples: list[tuple[float, int]] = []
    try:
        while True:
            samples.append((time.monotonic() / 60, await asyncio.to_thread(meter.memory)))
            await asyncio.sleep(_SAMPLE_SECONDS)
    except asyncio.CancelledError:
        return samples


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long, after a warm-up")
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second")
    parser.add_argument("--slow-readers", type=int, default=5)
    return parser


if __name__ == "__main__":
    sys.exit(main())
