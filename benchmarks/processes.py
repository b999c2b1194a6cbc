"""What a program and its children use, as the kernel counts it; Linux only."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.gateway import ROOT, stop

_LOOK_SECONDS, _IDLE_CPU_SECONDS, _LONGEST_SETTLING = 0.2, 0.005, 50


@dataclass(frozen=True)
class Program:
    """A running program with all its children, and the port of 127.0.0.1 that it listens at."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return user and system time since the start; that of children which ended is not in it."""
        # The kernel's CPU clock of a process: nanoseconds, threads that ended included; see clock_getcpuclockid(3).
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self._pids())

    def memory(self) -> int:
        """Return the resident memory, in bytes; pages that processes share count for each of them."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self._pids())

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


@contextmanager
def fake_provider() -> Iterator[Program]:
    """Run the provider of `benchmarks.wires` in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.wires"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the fake provider did not start")
        yield Program(process.pid, int(url.rpartition(":")[2]))
    finally:
        # Other than by SIGTERM, by this it removes what it keeps in /tmp.
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        stop(process)
