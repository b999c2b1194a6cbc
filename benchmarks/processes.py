"""What a program and its children use, as the kernel counts it; Linux only."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from conformance.processes import environment
from tests.gateway import ROOT, stop

# An open stream holds two files of a gateway: the client's and the provider's connection.
_DESCRIPTORS_PER_STREAM, _OTHER_DESCRIPTORS, _MANY = 2, 200, 1_000_000
_START_SECONDS = 120
_LOOK_SECONDS, _IDLE_CPU_SECONDS, _LONGEST_SETTLING = 0.1, 0.005, 30


@dataclass(frozen=True)
class Program:
    """A running program with all its children, and the port of 127.0.0.1 that it listens at."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return user and system time since the start; that of children which ended is not in it."""
        return sum(self.clocks().values())

    def memory(self) -> int:
        """Return the resident memory, in bytes; pages that processes share count for each of them."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self._pids())

    def clocks(self) -> dict[int, float]:
        """Return the user and system time of each process, by its pid."""
        return {pid: _clock(pid) for pid in self._pids()}

    async def settle(self) -> None:
        """Wait until it has nothing more to do, but not for ever."""
        for _ in range(_LONGEST_SETTLING):
            before = self.cpu_seconds()
            await asyncio.sleep(_LOOK_SECONDS)
            if self.cpu_seconds() - before < _IDLE_CPU_SECONDS:
                return

    def _pids(self) -> Iterator[int]:
        found = [self.pid]
        for pid in found:
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                # A thread that has just ended has no children any more.
                with suppress(FileNotFoundError, ProcessLookupError):
                    found += map(int, children.read_text().split())


def most_streams() -> int:
    """Return how many streams a gateway may hold that is started from here: all files are allowed that may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return _MANY if hard == resource.RLIM_INFINITY else (hard - _OTHER_DESCRIPTORS) // _DESCRIPTORS_PER_STREAM


def _clock(pid: int) -> float:
    # The kernel's CPU clock of a process: nanoseconds, threads that ended included; see clock_getcpuclockid(3).
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def fake_provider() -> Iterator[Program]:
    """Run `benchmarks.provider`."""
    command = [sys.executable, "-m", "benchmarks.provider"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the fake provider did not start")
        yield Program(process.pid, int(port))
    finally:
        stop(process)


@contextmanager
def started(command: Sequence[str], port: int, directory: Path, variables: Mapping[str, str]) -> Iterator[Program]:
    """Run a command, with `variables` and nothing secret from here, until it listens at `port`.

    What it writes goes to a file in `directory`. Raise RuntimeError with the end of that where it does not start.
    """
    log = directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment(**variables), stdout=output, stderr=output, text=True
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"did not start: {' '.join(log.read_text(errors='replace')[-300:].split())}")
            time.sleep(0.05)
        yield Program(process.pid, port)
    finally:
        stop(process)


@contextmanager
def placed(cpus: Collection[int]) -> Iterator[None]:
    """Let programs that are started in this block run on these CPUs only, this process meanwhile, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
