"""Show where the time of a request goes, that of a delta in a burst, and that of a delta which arrives alone.

Profiles the gateway of `benchmarks.in_process` with Python's own profiler, and counts its system calls where strace is
installed. The profiler makes functions of Python look dearer beside those of C than they are, and does not see the
event loop: read shares and calls rather than times.

    python -m benchmarks.profile
    python -m benchmarks.profile --lines 60
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks import in_process, system_calls
from benchmarks.in_process import LOADS, Gateway, Load

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = Path(sysconfig.get_paths()["purelib"])
_STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
# Parts that are looked at on their own.
_PARTS = ("endpoints/providers", "asyncio", "logging")

_SMALLEST_SHARE = 0.005

# As pstats has them: a file, line and name; calls, those that were no recursion, own and whole seconds, and the same
# by caller.
Function = tuple[str, int, str]
Timing = tuple[int, int, float, float, dict[Function, tuple[int, int, float, float]]]
_CALLS: Final = 0
_OWN: Final = 2
_WHOLE: Final = 3


@dataclass(frozen=True)
class Profile:
    """`functions` were called while the load was asked for so many times; a burst is asked for as a whole.

    `cpu_seconds` are for one time, without the profiler.
    """

    load: Load
    cpu_seconds: float
    functions: Mapping[Function, Timing]

    @property
    def own_seconds(self) -> float:
        return sum(timing[_OWN] for timing in self.functions.values())

    def line(self, seconds: float, calls: float, name: str) -> str:
        return f"{seconds / self.own_seconds:8.1%}{calls / self.load.times:9.1f}  {name}"


async def profiles(gateway: Gateway) -> list[Profile]:
    await in_process.warm_up(gateway)
    return [await _profile(gateway, load) for load in LOADS]


async def _profile(gateway: Gateway, load: Load) -> Profile:
    before = time.thread_time()
    await load.ask(gateway, load.times)
    cpu_seconds = (time.thread_time() - before) / load.times
    profiler = cProfile.Profile()
    profiler.enable()
    await load.ask(gateway, load.times)
    profiler.disable()
    # Its type is known to the library only.
    stats: Any = pstats.Stats(profiler)
    return Profile(load, cpu_seconds, stats.stats)


def lines(profile: Profile, longest: int) -> Iterator[str]:
    microseconds = profile.cpu_seconds / profile.load.units * 1e6
    yield f"{profile.load.title.capitalize()}: {microseconds:.2f} µs of CPU, with those of client and provider"
    yield ""
    yield f"{'share':>8}{'calls':>9}  by the part that a function is in"
    yield from _by_part(profile)
    yield from _functions(profile, "functions by their own time", _OWN, longest)
    yield from _functions(profile, "functions with what they call", _WHOLE, longest)


def _by_part(profile: Profile) -> Iterator[str]:
    calls: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = defaultdict(float)
    for function, (count, _, own, _, callers) in profile.functions.items():
        if not _is_built_in(function):
            calls[part_of(function)] += count
            seconds[part_of(function)] += own
            continue
        # A function of C works for whoever calls it.
        for caller, (_, _, called_own, _) in callers.items():
            seconds[part_of(caller)] += called_own
    for part in sorted(seconds, key=seconds.__getitem__, reverse=True):
        if seconds[part] >= _SMALLEST_SHARE * profile.own_seconds:
            yield profile.line(seconds[part], calls[part], part)


def _functions(profile: Profile, title: str, column: Literal[2, 3], longest: int) -> Iterator[str]:
    yield ""
    yield f"{'share':>8}{'calls':>9}  {title}"
    chosen = sorted(profile.functions.items(), key=lambda item: item[1][column], reverse=True)
    for function, timing in chosen[:longest]:
        yield profile.line(timing[column], timing[_CALLS], _name(function))


def part_of(function: Function) -> str:
    """Return the room of the project, the package or the part of the standard library that `function` is in."""
    path = Path(function[0])
    if path.is_relative_to(_PACKAGES):
        return _part(path.relative_to(_PACKAGES))
    if path.is_relative_to(_ROOT / "benchmarks"):
        return "client and provider of this profile"
    if path.is_relative_to(_ROOT):
        return f"{_part(path.relative_to(_ROOT))}/"
    if path.is_relative_to(_STANDARD_LIBRARY):
        part = _part(path.relative_to(_STANDARD_LIBRARY))
        return part if part in _PARTS else "the rest of the standard library"
    return "code made at run time"


def _part(path: Path) -> str:
    return next((part for part in _PARTS if path.is_relative_to(part)), path.parts[0])


def _is_built_in(function: Function) -> bool:
    return function[0] == "~"


def _name(function: Function) -> str:
    path, line, name = function
    if _is_built_in(function):
        return name
    for root in (_PACKAGES, _ROOT, _STANDARD_LIBRARY):
        if Path(path).is_relative_to(root):
            return f"{Path(path).relative_to(root)}:{line} {name}"
    return f"{path}:{line} {name}"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"[{text}] is not a number above 0")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show where the time of a request and of a delta goes.")
    parser.add_argument("--lines", type=_positive, default=30, help="functions in each list (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as data_dir:
        found = in_process.run(profiles, Path(data_dir))
    for profile in found:
        print(*lines(profile, arguments.lines), "", "", sep="\n", flush=True)
    print("System calls of the gateway", *system_calls.lines(), sep="\n")


if __name__ == "__main__":
    main()
