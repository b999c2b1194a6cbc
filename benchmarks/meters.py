"""What code costs in this thread, by several means; a meter yields a function that reads what was used so far.

The processor's own counter of instructions is exact and free, but mostly missing in virtual machines. Valgrind counts
the same for a process that runs under it. Bytecodes, the instructions of Python's own machine, are counted everywhere
and always the same; what functions of C do is not in them. CPU time has the kernel's work in it, and is not steady:
beside other programs, which take caches away, the same request takes half as long again.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

Read = Callable[[], float]

# What the kernel calls things; see perf_event_open(2).
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_HARDWARE, _INSTRUCTIONS = 0, 1
_EXCLUDE_KERNEL_AND_HYPERVISOR = 0b1100000
_CLOSE_ON_EXEC = 8
_ATTRIBUTES = struct.Struct("IIQQQQQIIQ")

# Set for a process that was started under valgrind.
_UNDER_VALGRIND = "BENCHMARKS_UNDER_VALGRIND"
_VALGRIND = (
    "valgrind",
    "-q",
    "--tool=callgrind",
    # Starting takes several times as long while instructions are counted.
    "--instr-atstart=no",
    "--separate-threads=yes",
    "--callgrind-out-file=/dev/null",
)


@dataclass(frozen=True)
class Meter:
    """`tolerance` is by what share something may exceed its budget; chance stays far below it.

    What is measured is done in `rounds` rounds, in each of them `scale` times as often as usual.
    """

    unit: str
    tolerance: float
    rounds: int
    scale: float
    is_available: Callable[[], bool]
    reading: Callable[[], AbstractContextManager[Read]]

    def times(self, usual: int) -> int:
        return max(1, round(usual * self.scale))


@contextmanager
def _reading_counter() -> Iterator[Read]:
    descriptor = open_counter(_HARDWARE, _INSTRUCTIONS)
    try:
        yield lambda: int.from_bytes(os.read(descriptor, 8), sys.byteorder)
    finally:
        os.close(descriptor)


def open_counter(kind: int, event: int) -> int:
    """Return a file that counts an event in user space and this thread: eight bytes at each read. Raise OSError."""
    number = _PERF_EVENT_OPEN.get(platform.machine())
    if not sys.platform.startswith("linux") or number is None:
        raise OSError("counters of the processor are known for Linux on x86_64 and aarch64 only")
    flags = _EXCLUDE_KERNEL_AND_HYPERVISOR
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, event, 0, 0, 0, flags, 0, 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    this_thread, any_processor, no_group = 0, -1, -1
    descriptor = library.syscall(
        ctypes.c_long(number), attributes, this_thread, any_processor, no_group, ctypes.c_ulong(_CLOSE_ON_EXEC)
    )
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(descriptor)


def _has_counter() -> bool:
    try:
        os.close(open_counter(_HARDWARE, _INSTRUCTIONS))
    except OSError:
        return False
    return True


@contextmanager
def _reading_valgrind() -> Iterator[Read]:
    _tell_valgrind("instrumentation", "on")
    try:
        yield _valgrinds_count
    finally:
        _tell_valgrind("instrumentation", "off")


def _valgrinds_count() -> float:
    status = _tell_valgrind("status", "internal")
    count = re.search(r"^events-1: (\d+)", status, re.MULTILINE)
    if count is None:
        raise RuntimeError(f"valgrind does not say what it counted: {status}")
    return int(count[1])


def _tell_valgrind(*command: str) -> str:
    arguments = ["vgdb", f"--pid={os.getpid()}", *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def run_under_valgrind(command: Sequence[str]) -> None:
    """Become `command` under valgrind; do nothing where this process runs under it already."""
    if _UNDER_VALGRIND in os.environ:
        return
    # With another seed the same dictionary takes other instructions.
    environment = os.environ | {_UNDER_VALGRIND: "1", "PYTHONHASHSEED": "0"}
    os.execvpe(_VALGRIND[0], [*_VALGRIND, *command], environment)  # noqa: S606


@contextmanager
def _reading_bytecodes() -> Iterator[Read]:
    count = 0

    def begin(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return trace

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        nonlocal count
        count += event == "opcode"
        return trace

    sys.settrace(begin)
    try:
        yield lambda: count
    finally:
        sys.settrace(None)


@contextmanager
def _reading_clock() -> Iterator[Read]:
    yield lambda: time.thread_time() * 1e6


# The steadiest first; CPU time is for those who ask for it.
METERS = {
    "perf": Meter("instructions", 0.15, 5, 1, _has_counter, _reading_counter),
    "valgrind": Meter(
        "instructions", 0.15, 3, 0.1, lambda: bool(shutil.which("valgrind") and shutil.which("vgdb")), _reading_valgrind
    ),
    "bytecodes": Meter("bytecodes", 0.15, 2, 0.1, lambda: True, _reading_bytecodes),
    "cpu": Meter("µs of CPU", 0.3, 200, 0.05, lambda: True, _reading_clock),
}
