"""One run: every contender in every round, and what is written down of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

from benchmarks import loads
from benchmarks.client import StreamFailed
from benchmarks.contenders import DIRECT, Contender
from benchmarks.environments import Unavailable
from benchmarks.loads import Measurements, for_seconds
from benchmarks.processes import Program, placed
from benchmarks.provider import OPEN_STREAMS
from benchmarks.targets import OpenAITarget, Target

PACES = ((20, 50), (20, 100), (200, 50), (200, 100))
"""Streams, and deltas a second of each; from the lightest to the heaviest."""
_LEAVING_SECONDS = 2.0
_FAILURES = (StreamFailed, OSError, TimeoutError, RuntimeError)


@dataclass(frozen=True)
class Size:
    """`seconds` is how long each load lasts, `streams` are the numbers of slow streams, which are opened in so many of
    the rounds."""

    rounds: int
    seconds: float
    streams: tuple[int, ...]
    slow_rounds: int
    paces: tuple[tuple[int, int], ...] = PACES

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.seconds:g} s for each load; slow streams in {self.slow_rounds} of the rounds"
        )


@dataclass
class Record:
    """What a run found. `contenders` are name, configuration and version; `rounds` have the measurements of each."""

    command: str
    size: str
    machine: str
    date: str
    contenders: list[tuple[str, str, str]] = field(default_factory=list)
    rounds: list[dict[str, Measurements]] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, command: str, size: Size) -> Record:
        return cls(command, str(size), _machine(), time.strftime("%-d %B %Y", time.gmtime()))

    @classmethod
    def read(cls, path: Path) -> Record:
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def failed(self, name: str, what: str, error: Exception) -> None:
        text = f"{what}: {str(error) or 'took too long'}"
        if text not in (known := self.failures.setdefault(name, [])):
            known.append(text)


@dataclass(frozen=True)
class Places:
    """The CPUs of what is measured, and those of the provider, the load generator and PostgreSQL."""

    measured: Collection[int]
    beside: Collection[int]

    @classmethod
    def here(cls) -> Places:
        cpus = sorted(os.sched_getaffinity(0))
        return cls(cpus[-1:], cpus[:-1] or cpus)


class Run:
    """Takes one contender after the other through the loads, in front of a provider that runs already."""

    def __init__(self, record: Record, size: Size, provider: Program, places: Places, most_streams: int) -> None:
        self._record = record
        self._size = size
        self._provider = provider
        self._places = places
        self._most_streams = most_streams
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def present(self, contender: Contender) -> bool:
        """Write down who it is, or why it is left out."""
        try:
            self._record.contenders.append((contender.name, contender.how, contender.version()))
        except Unavailable as error:
            self._record.left_out[contender.name] = str(error)
        return contender.name not in self._record.left_out

    def round(self, contenders: Sequence[Contender]) -> None:
        """Measure all of them once; who cannot be measured at all is left out from then on."""
        found: dict[str, Measurements] = {}
        slow = len(self._record.rounds) < self._size.slow_rounds
        for contender in contenders:
            if contender.name in self._record.left_out:
                continue
            print(f"round {len(self._record.rounds) + 1}: {contender.name} …", file=sys.stderr, flush=True)
            try:
                found[contender.name] = self._measure(contender, slow and contender.workers == 1)
            except _FAILURES as error:
                self._record.left_out[contender.name] = str(error) or "it answered nothing"
        self._record.rounds.append(found)

    def _measure(self, contender: Contender, slow: bool) -> Measurements:
        found: Measurements = {}
        with self._started(contender) as target:
            self._runner.run(self._answers(contender, target, found))
        if slow:
            # Started anew: what other loads leave free would hide what streams hold.
            with self._started(contender) as target:
                self._runner.run(self._slow_streams(contender, target, found))
        return found

    @contextmanager
    def _started(self, contender: Contender) -> Iterator[Target]:
        """Start a contender in its place; several workers share all CPUs with everything else."""
        all_cpus = {*self._places.measured, *self._places.beside}
        with ExitStack() as stack:
            with placed(self._places.measured if contender.workers == 1 else all_cpus):
                target = stack.enter_context(contender.start(self._provider, 2 * self._most_streams))
            yield target

    async def _answers(self, contender: Contender, target: Target, found: Measurements) -> None:
        """Measure whole answers first, and then streams that have to be left, which not all contenders notice."""
        await loads.first_deltas([target], range(1))
        found["start_cpu"] = target.program.cpu_seconds()
        await loads.warm_up(target)
        found["idle_memory"] = target.program.memory() / 2**20
        await self._tried(contender, "short answers", self._short(target, found))
        if contender.workers > 1:
            return
        await self._tried(contender, "bursts", self._load(loads.bursts, target, found))
        await self._tried(contender, "late answers", self._load(loads.late_streams, target, found))
        await self._tried(contender, "one at a time", self._one_at_a_time(contender, target, found))
        for streams, per_second in self._size.paces:
            pace = loads.paced_deltas(target, self._size.seconds, streams, per_second)
            if not await self._tried(contender, f"{streams} streams, {per_second} deltas/s each", _into(found, pace)):
                # Heavier ones would take their time to fail, too.
                break

    async def _tried(self, contender: Contender, what: str, load: Awaitable[None]) -> bool:
        """Return whether a load could be measured; where not, the record says why."""
        try:
            await load
        except _FAILURES as error:
            self._record.failed(contender.name, what, error)
            return False
        return True

    async def _load(
        self, load: Callable[[Target, Iterator[None]], Awaitable[Measurements]], target: Target, found: Measurements
    ) -> None:
        found |= await load(target, for_seconds(self._size.seconds))

    async def _short(self, target: Target, found: Measurements) -> None:
        before, began = self._provider.cpu_seconds(), time.perf_counter()
        found |= await loads.short_streams(target, for_seconds(self._size.seconds))
        share = (self._provider.cpu_seconds() - before) / (time.perf_counter() - began)
        found |= {"provider_busy": share, "client_busy": found["client_cpu"] * found["requests_per_second"] / 1e6}

    async def _one_at_a_time(self, contender: Contender, target: Target, found: Measurements) -> None:
        """Ask the target and the provider in turn; what the target adds is the difference."""
        direct = OpenAITarget(self._provider)
        targets = [direct] if contender.name == DIRECT else [direct, target]
        *_, without, measured = [{}, *await loads.first_deltas(targets, for_seconds(self._size.seconds))]
        found |= measured
        found |= {f"added_{key}": measured[key] - without[key] for key in measured if key in without}

    async def _slow_streams(self, contender: Contender, target: Target, found: Measurements) -> None:
        most = min(contender.most_streams, self._most_streams)
        counts = sorted({min(count, most) for count in self._size.streams})
        await loads.warm_up(target)
        await self._tried(contender, "slow streams", self._hold(target, counts, found))
        await asyncio.sleep(_LEAVING_SECONDS)
        if contender.name != DIRECT:
            found["left_open"] = self._open_streams()

    async def _hold(self, target: Target, counts: Sequence[int], found: Measurements) -> None:
        async with aclosing(loads.open_slow_streams(target, counts, loads.SLOW_SECONDS_APART)) as opening:
            async for count, held in opening:
                found |= {f"slow_{count}_{key}": value for key, value in held.items()}

    def _open_streams(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._provider.port, timeout=10)
        try:
            connection.request("GET", OPEN_STREAMS)
            return int(connection.getresponse().read())
        finally:
            connection.close()


async def _into(found: Measurements, load: Awaitable[Measurements]) -> None:
    found |= await load


def _machine() -> str:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = cpu.partition(":")[2].strip() or platform.machine()
    python = platform.python_version()
    return f"{os.cpu_count()} × {name}, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}, Python {python}"
