"""How many tasks a running gateway has: Python imports a module of this content before everything else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.gateway import Gateway

_COUNT_ON_SIGNAL = """
import asyncio, os, signal

def count(*_):
    tasks = asyncio.all_tasks()
    with open(os.environ["TASKS_FILE"] + ".new", "w") as file:
        print(len(tasks), *tasks, sep="\\n", file=file)
    os.rename(file.name, os.environ["TASKS_FILE"])

signal.signal(signal.SIGUSR1, count)
"""


class TaskCounter:
    """Start a gateway with `environment`; after that, `count` asks it."""

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
        return int(self.tasks().partition("\n")[0])

    def tasks(self) -> str:
        """Return what was counted last."""
        return self._file.read_text()
