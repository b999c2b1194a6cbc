"""What all workers counted, added up from the files of each.

What a worker that is gone counted stays counted, in one file, so that restarts neither lose anything nor leave more
and more to read; what it had open is over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import unpack_from

import msgspec

from usage.series import CELL_BYTES, DIRECTORY, families

Key = tuple[str, tuple[str, ...]]
"""The name of a series and the values of its labels."""
Numbers = dict[Key, list[float]]
"""The cells of each series."""

_GONE = "gone.json"
_Line = tuple[str, tuple[str, ...], int, int]
_decode_line = msgspec.json.Decoder(_Line).decode
_Kept = list[tuple[str, tuple[str, ...], list[float]]]
_decode_kept = msgspec.json.Decoder(_Kept).decode


def pids(directory: Path) -> list[int]:
    """Return the processes that count into `directory`, and perhaps some that have just ended."""
    return sorted(int(worker.name.partition("-")[0]) for worker in _workers(directory))


def current() -> Numbers:
    """Return what was counted until now: by all workers together, or by this process where it is the only one.

    It takes milliseconds, and may wait for another worker that does the same: call it in a thread.
    """
    directory = os.environ.get(DIRECTORY)
    return total(Path(directory)) if directory else _own()


def total(directory: Path) -> Numbers:
    """Return the sums over all workers. Waits while another worker does the same."""
    with _locked(directory / "lock"):
        if gone := [worker for worker in _workers(directory) if _is_gone(worker)]:
            _settle(directory, gone)
        numbers = _kept(directory)
        for worker in _workers(directory):
            _add(numbers, _read(worker))
        return numbers


def _own() -> Numbers:
    return {(one.name, labels): list(series.cells) for one in families for labels, series in list(one.series.items())}


def _workers(directory: Path) -> list[Path]:
    """Return the files of all workers, without their suffixes."""
    return [path.with_suffix("") for path in directory.glob("*.names")]


def _settle(directory: Path, gone: Iterable[Path]) -> None:
    """Move what the workers in `gone` counted into the file of those who are."""
    gauges = {family.name for family in families if family.kind == "gauge"}
    numbers = _kept(directory)
    for worker in gone:
        _add(numbers, (one for one in _read(worker) if one[0][0] not in gauges))
    whole = directory / f"{_GONE}.new"
    whole.write_bytes(msgspec.json.encode([(name, labels, cells) for (name, labels), cells in numbers.items()]))
    whole.replace(directory / _GONE)
    for worker in gone:
        worker.with_suffix(".names").unlink()
        worker.with_suffix(".cells").unlink()


def _kept(directory: Path) -> Numbers:
    path = directory / _GONE
    if not path.exists():
        return {}
    return {(name, labels): cells for name, labels, cells in _decode_kept(path.read_bytes())}


def _read(worker: Path) -> Iterator[tuple[Key, list[float]]]:
    # Names first: whatever has a name by now has cells.
    lines = worker.with_suffix(".names").read_bytes().split(b"\n")
    cells = worker.with_suffix(".cells").read_bytes()
    # Behind the last line feed there is nothing, or a line that is just being written.
    for name, labels, first, size in map(_decode_line, lines[:-1]):
        yield (name, labels), list(unpack_from(f"{size}d", cells, first * CELL_BYTES))


def _add(numbers: Numbers, more: Iterable[tuple[Key, list[float]]]) -> None:
    for key, cells in more:
        known = numbers.get(key)
        numbers[key] = cells if known is None else [one + other for one, other in zip(known, cells, strict=True)]


def _is_gone(worker: Path) -> bool:
    with worker.with_suffix(".names").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
