"""Numbers with labels, as Prometheus knows them, that cost a process next to nothing to count.

A number is a cell of memory. Of several workers each has its cells in a file of its own, where the others read them;
`usage.workers` adds them up. The client library of Prometheus could do all of it, at ten times the price: a request
counts a dozen numbers. It still writes the formats (`usage.exposition`).

Cells are written by one thread only, that of the event loop.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import secrets
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

logger = logging.getLogger(__name__)

DIRECTORY: Final = "GATEWAY_METRICS_DIRECTORY"
"""The variable that tells a worker where the files are; `manage.py serve` sets it where it starts several."""
CELL_BYTES: Final = 8
_GROW_BYTES = 65_536

families: Final[list[Family]] = []
"""All that were declared, in this order."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """All series of one name; `bounds` are the upper ones of a histogram's buckets, the infinite one left out."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    series: dict[tuple[str, ...], Series] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        families.append(self)

    def labelled(self, *values: str) -> Series:
        """Return the series with these values of the labels. It takes a while the first time; keep it."""
        if values not in self.series:
            size = len(self.bounds) + 2 if self.kind == "histogram" else 1
            self.series[values] = Series(_allocate(self.name, values, size), self.bounds)
        return self.series[values]


class Series:
    """One cell; of a histogram one for each bucket and, as the last, the sum."""

    __slots__ = ("_bounds", "cells")

    def __init__(self, cells: memoryview[float], bounds: tuple[float, ...]) -> None:
        self.cells = cells
        self._bounds = bounds

    def add(self, amount: float = 1.0) -> None:
        self.cells[0] += amount

    def observe(self, value: float) -> None:
        self.cells[bisect_left(self._bounds, value)] += 1.0
        self.cells[-1] += value


class WorkerFiles:
    """`<pid>-<any>.cells`, and `.names` that says in JSON lines whose they are: name, labels, first cell, number.

    The names are locked for as long as the worker lives.
    """

    def __init__(self, directory: Path) -> None:
        # A process that comes later may have the same number.
        path = directory / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._cells = path.with_suffix(".cells").open("w+b", buffering=0)
        self._names = path.with_suffix(".new").open("wb", buffering=0)
        fcntl.flock(self._names, fcntl.LOCK_EX)
        # Whoever finds it without a lock takes the worker for gone.
        path.with_suffix(".new").rename(path.with_suffix(".names"))
        self._used = self._size = 0
        self._memory: memoryview[float] = _in_memory(0)

    def allocate(self, name: str, labels: tuple[str, ...], size: int) -> memoryview[float]:
        first, end = self._used, self._used + size
        try:
            if end * CELL_BYTES > self._size:
                self._grow()
            self._names.write(msgspec.json.encode((name, labels, first, size)) + b"\n")
        except OSError as error:
            # It is better to count less than to answer less.
            logger.error("A metric of this worker is not counted: %s", error.strerror)
            return _in_memory(size)
        self._used = end
        return self._memory[first:end]

    def _grow(self) -> None:
        size = self._size + _GROW_BYTES
        # Not only made longer: to write where the disk has no room would end the process.
        os.posix_fallocate(self._cells.fileno(), 0, size)
        # Series keep the part of the file that they were given; both maps show the same bytes.
        self._memory = memoryview(mmap.mmap(self._cells.fileno(), size)).cast("d")
        self._size = size


def _in_memory(size: int) -> memoryview[float]:
    return memoryview(bytearray(size * CELL_BYTES)).cast("d")


def _allocator() -> Callable[[str, tuple[str, ...], int], memoryview[float]]:
    directory = os.environ.get(DIRECTORY)
    if directory:
        return WorkerFiles(Path(directory)).allocate
    return lambda name, labels, size: _in_memory(size)


_allocate = _allocator()
