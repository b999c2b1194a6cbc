"""The loads: each asks one target for something and returns its measurements by name.

CPU is in microseconds, for a request or for a delta; times are in milliseconds, memory is in KiB.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from array import array
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.client import Connection, StreamFailed
from benchmarks.processes import Program
from benchmarks.targets import Answer, Target

SHORT = Answer(deltas=4)
SHORT_CONNECTIONS = 16
BURST = Answer(deltas=500)
BURST_CONNECTIONS = 4
LATE = Answer(deltas=4, seconds_before=0.05)
LATE_CONNECTIONS = 16
SLOW_SECONDS_APART = 4.0
_WARM_UP = ((SHORT, SHORT_CONNECTIONS, 300), (BURST, BURST_CONNECTIONS, 12))
# A target that is ten times slower than others is warm after a tenth of it.
_WARM_UP_SECONDS = 2.0
_OPENING = 16
_OPEN_SECONDS = 60.0
# A target that is overloaded by the first streams never gets to the last ones.
_PACED_OPEN_SECONDS = 15.0
_SETTLE_SECONDS = 0.5
_LOAD_SECONDS = 600.0
_ANSWER_SECONDS = 30.0
_FEWEST = 10

Measurements = dict[str, float]


@dataclass(frozen=True)
class Clocks:
    """Seconds: CPU time of each process of the target and of this process, and time itself."""

    processes: Mapping[int, float]
    client: float
    wall: float

    @classmethod
    def read(cls, program: Program) -> Clocks:
        return cls(program.clocks(), time.process_time(), time.perf_counter())

    def since(self, before: Clocks) -> Clocks:
        processes = {pid: seconds - before.processes.get(pid, 0.0) for pid, seconds in self.processes.items()}
        return Clocks(processes, self.client - before.client, self.wall - before.wall)

    @property
    def target(self) -> float:
        return sum(self.processes.values())

    @property
    def busiest(self) -> float:
        """CPU time of that process of the target which used most."""
        return max(self.processes.values())


def for_seconds(seconds: float) -> Iterator[None]:
    """Yield until the time is over: one turn after the other, for loads that take turns."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


async def warm_up(target: Target) -> None:
    """Make the target import, connect and remember what later requests find there."""
    for answer, connections, count in _WARM_UP:
        turns = (turn for turn, _ in zip(range(count), for_seconds(_WARM_UP_SECONDS), strict=False))
        await _closed_loop(target, answer, connections, turns)


async def short_streams(target: Target, turns: Iterable[object]) -> Measurements:
    """Ask for a short stream in each of the turns."""
    count, spent, _ = await _closed_loop(target, SHORT, SHORT_CONNECTIONS, turns)
    return {
        "request_cpu": spent.target / count * 1e6,
        "requests_per_second": count / spent.wall,
        "requests_per_busiest_second": count / spent.busiest,
        "client_cpu": spent.client / count * 1e6,
        "busy": spent.busiest / spent.wall,
    }


async def bursts(target: Target, turns: Iterable[object]) -> Measurements:
    count, spent, _ = await _closed_loop(target, BURST, BURST_CONNECTIONS, turns)
    deltas = count * BURST.deltas
    return {
        "burst_cpu": spent.target / deltas * 1e6,
        "burst_per_second": deltas / spent.wall,
        "burst_client_cpu": spent.client / deltas * 1e6,
    }


async def late_streams(target: Target, turns: Iterable[object]) -> Measurements:
    """Ask for streams that begin late; the time to the first delta is that beyond the provider's wait."""
    count, spent, seconds = await _closed_loop(target, LATE, LATE_CONNECTIONS, turns)
    beyond = [one - LATE.seconds_before for one in seconds]
    return {"late_cpu": spent.target / count * 1e6, **_percentiles("late_first", beyond)}


async def paced_deltas(target: Target, seconds: float, streams: int, per_second: int) -> Measurements:
    """Measure deltas that arrive one by one; how late each is counts from when the provider wrote it."""
    # More deltas than there is time for: no stream ends while it is measured.
    answer = Answer(int((seconds + _OPEN_SECONDS) * per_second), 1 / per_second)
    delays = array("d") if target.stamped else None
    name = f"paced_{streams}x{per_second}"
    async with _Opened(target, answer, delays) as opened:
        await opened.grow(streams, _PACED_OPEN_SECONDS)
        measured = await opened.watch(seconds)
    await target.program.settle()
    return {f"{name}_{key}": value for key, value in measured.items()}


async def open_slow_streams(
    target: Target, counts: Sequence[int], seconds: float
) -> AsyncGenerator[tuple[int, Measurements], None]:
    """Open more and more streams, and yield what each number of them holds.

    To be run before other loads leave free memory behind. Raise StreamFailed where so many cannot be opened.
    """
    answer = Answer(int(2 * len(counts) * _OPEN_SECONDS / SLOW_SECONDS_APART), SLOW_SECONDS_APART)
    await target.program.settle()
    before = target.program.memory()
    async with _Opened(target, answer, array("d") if target.stamped else None) as opened:
        for count in counts:
            await opened.grow(count, _OPEN_SECONDS)
            used = target.program.memory() - before
            held = {"memory": used / count / 1024, "threads": target.program.threads()}
            yield count, held | await opened.watch(seconds)


async def first_deltas(targets: Sequence[Target], turns: Iterable[object]) -> list[Measurements]:
    """Ask all targets in each of the turns, one after the other; return the measurements of each."""
    connections = [await Connection.open(target.program.port, target.delta) for target in targets]
    requests = [target.request(SHORT) for target in targets]
    seconds: list[list[float]] = [[] for _ in targets]
    for _ in turns:
        async with asyncio.timeout(_ANSWER_SECONDS):
            for connection, request, found in zip(connections, requests, seconds, strict=True):
                await _whole(connection, request, SHORT)
                found.append(connection.first_seconds)
    for connection in connections:
        connection.close()
    return [_percentiles("first", found) for found in seconds]


async def _closed_loop(
    target: Target, answer: Answer, connections: int, turns: Iterable[object]
) -> tuple[int, Clocks, list[float]]:
    """Stream once for each turn over `connections`, each of which asks again at once.

    Return how often, what that took, and the seconds to each first delta.
    """
    request = target.request(answer)
    opened = [await Connection.open(target.program.port, target.delta) for _ in range(connections)]
    left, seconds = iter(turns), list[float]()

    async def ask(connection: Connection) -> None:
        for _ in left:
            await _whole(connection, request, answer)
            seconds.append(connection.first_seconds)

    before = Clocks.read(target.program)
    try:
        async with asyncio.timeout(_LOAD_SECONDS), asyncio.TaskGroup() as tasks:
            for connection in opened:
                tasks.create_task(ask(connection))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        spent = Clocks.read(target.program).since(before)
        for connection in opened:
            connection.close()
    return len(seconds), spent, seconds


async def _whole(connection: Connection, request: bytes, answer: Answer) -> None:
    found = await connection.stream(request)
    if found != answer.deltas:
        raise StreamFailed(f"a stream of {answer.deltas} deltas had {found}")


class _Opened:
    """Streams that have begun on connections of their own; at the end they are left."""

    def __init__(self, target: Target, answer: Answer, delays: array[float] | None) -> None:
        self._target = target
        self._request = target.request(answer)
        self._delays = delays
        self._streams: list[Connection] = []

    async def __aenter__(self) -> _Opened:
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()

    async def grow(self, count: int, seconds: float) -> None:
        """Open streams until there are `count`. Raise StreamFailed where that takes longer."""
        left = iter(range(count - len(self._streams)))
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for _ in range(_OPENING):
                    tasks.create_task(self._open(left))
        except TimeoutError:
            opened = sum(stream.is_streaming() for stream in self._streams)
            raise StreamFailed(f"{opened} of {count} streams had begun after {seconds:.0f} s") from None
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        await asyncio.sleep(_SETTLE_SECONDS)

    async def watch(self, seconds: float) -> Measurements:
        """Return what the deltas that arrive meanwhile cost, and how late they are. Raise StreamFailed."""
        if self._delays:
            del self._delays[:]
        before, deltas = Clocks.read(self._target.program), self._deltas()
        await asyncio.sleep(seconds)
        spent, deltas = Clocks.read(self._target.program).since(before), self._deltas() - deltas
        if not all(stream.is_streaming() for stream in self._streams):
            raise StreamFailed("a stream ended while it was measured")
        if not deltas:
            raise StreamFailed("no delta came while it was measured")
        late = _percentiles("late", self._delays or ())
        return {"cpu": spent.target / deltas * 1e6, "deltas_per_second": deltas / spent.wall, **late}

    async def _open(self, left: Iterable[object]) -> None:
        for _ in left:
            connection = await Connection.open(self._target.program.port, self._target.delta, self._delays)
            self._streams.append(connection)
            await connection.begin(self._request)

    def _deltas(self) -> int:
        return sum(stream.deltas for stream in self._streams)


def _percentiles(name: str, seconds: Sequence[float]) -> Measurements:
    """Return the median and the 99th percentile, in milliseconds; nothing where there is too little to tell."""
    if len(seconds) < _FEWEST:
        return {}
    found = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}_p50": found[49] * 1000, f"{name}_p99": found[98] * 1000}
