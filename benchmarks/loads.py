"""The loads: each asks one target for something and returns its measurements by the key of their row."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.client import Connection, StreamFailed
from benchmarks.processes import Program
from benchmarks.targets import Answer, Target

SHORT = Answer(deltas=4)
SHORT_CONNECTIONS = 16
BURST = Answer(deltas=500)
BURST_CONNECTIONS = 4
ALONE_STREAMS = 20
ALONE_SECONDS_APART = 0.02
SLOW_SECONDS_APART = 2.0
_WARM_UP = ((SHORT, SHORT_CONNECTIONS, 300), (BURST, BURST_CONNECTIONS, 12))
_OPEN_SECONDS = 60.0
_LOAD_SECONDS = 600.0
_ANSWER_SECONDS = 30.0

Measurements = dict[str, float]


@dataclass(frozen=True)
class Clocks:
    """Seconds: CPU time of the target and of this process, and time itself."""

    target: float
    client: float
    wall: float

    @classmethod
    def read(cls, program: Program) -> Clocks:
        return cls(program.cpu_seconds(), time.process_time(), time.perf_counter())

    def since(self, before: Clocks) -> Clocks:
        return Clocks(self.target - before.target, self.client - before.client, self.wall - before.wall)


async def warm_up(target: Target) -> None:
    """Make the target import, connect and remember what later requests find there."""
    for answer, connections, count in _WARM_UP:
        await _closed_loop(target, answer, connections, count)


async def short_streams(target: Target, count: int) -> Measurements:
    spent = await _closed_loop(target, SHORT, SHORT_CONNECTIONS, count)
    return {
        "request_cpu": spent.target / count * 1e6,
        "requests_per_second": count / spent.wall,
        "client_cpu": spent.client / count * 1e6,
    }


async def bursts(target: Target, count: int) -> Measurements:
    spent = await _closed_loop(target, BURST, BURST_CONNECTIONS, count)
    return {"burst_cpu": spent.target / (count * BURST.deltas) * 1e6}


async def lone_deltas(target: Target, seconds: float) -> Measurements:
    # More deltas than there is time for: no stream ends while it is measured.
    request = target.request(Answer(int((seconds + 10) / ALONE_SECONDS_APART), ALONE_SECONDS_APART))
    # Each stream starts a little later in its turn than the one before, so that the deltas of all come evenly.
    apart = ALONE_SECONDS_APART * (1 + 1 / ALONE_STREAMS)
    async with _open_streams(target, request, ALONE_STREAMS, apart) as streams:
        before, deltas = Clocks.read(target.program), _deltas(streams)
        await asyncio.sleep(seconds)
        spent, deltas = Clocks.read(target.program).since(before), _deltas(streams) - deltas
    return {"alone_cpu": spent.target / deltas * 1e6}


async def first_deltas(targets: Sequence[Target], count: int) -> list[Measurements]:
    """Ask each target `count` times, in turn and one at a time; return the measurements of each."""
    connections = [await Connection.open(target.program.port, target.delta) for target in targets]
    requests = [target.request(SHORT) for target in targets]
    seconds: list[list[float]] = [[] for _ in targets]
    for _ in range(count):
        async with asyncio.timeout(_ANSWER_SECONDS):
            for connection, request, found in zip(connections, requests, seconds, strict=True):
                await _whole(connection, request, SHORT)
                found.append(connection.first_seconds)
    for connection in connections:
        connection.close()
    return [{"first_p50": _percentile(found, 50), "first_p99": _percentile(found, 99)} for found in seconds]


async def open_slow_streams(target: Target, count: int) -> Measurements:
    """Measure what `count` open streams hold; to be run before other loads leave free memory behind."""
    request = target.request(Answer(int(2 * _OPEN_SECONDS / SLOW_SECONDS_APART), SLOW_SECONDS_APART))
    await target.program.settle()
    before = target.program.memory()
    async with _open_streams(target, request, count):
        used = target.program.memory() - before
        threads = target.program.threads()
    return {"stream_memory": used / count / 1024, "threads": threads}


async def _closed_loop(target: Target, answer: Answer, connections: int, count: int) -> Clocks:
    """Stream `count` times over `connections`, each of which asks again at once, and return what that took."""
    request = target.request(answer)
    opened = [await Connection.open(target.program.port, target.delta) for _ in range(connections)]
    left = iter(range(count))

    async def ask(connection: Connection) -> None:
        for _ in left:
            await _whole(connection, request, answer)

    before = Clocks.read(target.program)
    async with asyncio.timeout(_LOAD_SECONDS):
        await asyncio.gather(*map(ask, opened))
    spent = Clocks.read(target.program).since(before)
    for connection in opened:
        connection.close()
    return spent


async def _whole(connection: Connection, request: bytes, answer: Answer) -> None:
    found = await connection.stream(request)
    if found != answer.deltas:
        raise StreamFailed(f"a stream of {answer.deltas} deltas had {found}")


@asynccontextmanager
async def _open_streams(
    target: Target, request: bytes, count: int, seconds_apart: float = 0.0
) -> AsyncIterator[list[Connection]]:
    """Yield connections on each of which a stream has begun; close them, and wait until that is noticed."""
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    start = loop.time()
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            for number in range(count):
                await asyncio.sleep(start + number * seconds_apart - loop.time())
                opened.append(await Connection.open(target.program.port, target.delta))
                await opened[-1].begin(request)
        yield opened
        if not all(connection.is_streaming() for connection in opened):
            raise StreamFailed("a stream ended while it was measured")
    finally:
        for connection in opened:
            connection.close()
        await target.program.settle()


def _deltas(streams: Sequence[Connection]) -> int:
    return sum(stream.deltas for stream in streams)


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """Return it in milliseconds."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
