"""How many tasks and blocks of memory a running gateway has; for that, Python imports a module at its start."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.gateway import Gateway

_COUNT_ON_SIGNAL = """
import asyncio, contextlib, ctypes, gc, os, signal, sys

def count(*_):
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    tasks = asyncio.all_tasks()
    with open(os.environ["TASKS_FILE"] + ".new", "w") as file:
        print(len(tasks), sys.getallocatedblocks(), *tasks, sep="\\n", file=file)
    os.rename(file.name, os.environ["TASKS_FILE"])

signal.signal(signal.SIGUSR1, count)
"""


class TaskCounter:
    """Start a gateway with `environment`; after that, `count` asks it.

    Before it answers, it gives back the memory that is only kept for later.
    """

    def __init__(self, directory: Path) -> None:
        (directory / "sitecustomize.py").write_text(_COUNT_ON_SIGNAL)
        self._file = directory / "tasks"
        self.environment = {"PYTHONPATH": str(directory), "TASKS_FILE": str(self._file)}

    def count(self, gateway: Gateway) -> int:
        self._file.unlink(missing_ok=True)
        os.kill(gateway.process.pid, signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while not self._file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return int(self._file.read_text().split("\n")[0])

    def blocks(self) -> int:
        """Return how many blocks of memory Python had given out at the last count, garbage left out."""
        return int(self._file.read_text().split("\n")[1])
