"""Count the system calls of the gateway for a request and for a delta, by strace.

    python -m benchmarks.system_calls

The kernel's work is most of what a delta costs that arrives alone; counts of instructions do not show it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import in_process
from benchmarks.in_process import LOADS, Gateway

# Calls that do nothing, between which each load stands in the trace, with the ports of the gateway and the provider.
_MARK = "/benchmarks/{name}/{gateway}/{provider}"
_MARKED = re.compile(r'access\("/benchmarks/(\w+)/(\d+)/(\d+)"')
_CALL = re.compile(r"(\w+)\((?:\d+<TCP:\[127\.0\.0\.1:(\d+)->127\.0\.0\.1:(\d+)\]>)?")
_SHARE_OF_TIMES = 10
_SECONDS = 120
_SHOWN = 0.005


def lines() -> Iterator[str]:
    """Yield how many calls each load makes for one of its units, without those of the client and the provider."""
    if shutil.which("strace") is None:
        yield "System calls are not counted, since strace is not installed."
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        trace = Path(directory) / "trace"
        # Without -f, it follows the thread of the event loop alone.
        strace = ["strace", "-qq", "-yy", "-s", "64", "-o", str(trace)]
        traced = [sys.executable, "-m", "benchmarks.system_calls", "--traced"]
        ended = subprocess.run([*strace, *traced], capture_output=True, text=True, timeout=_SECONDS, check=False)
        if ended.returncode:
            yield f"System calls are not counted, since strace failed: {ended.stderr.strip()[-300:]}"
            return
        with trace.open(errors="replace") as written:
            yield from _table(count(written))


def count(trace: Iterable[str]) -> dict[str, Counter[str]]:
    """Return the calls of each load by their names; those on sockets of the client and the provider are left out."""
    found: dict[str, Counter[str]] = {}
    counted: Counter[str] | None = None
    others: tuple[str, str] = ("", "")
    for line in trace:
        if mark := _MARKED.match(line):
            name, gateway, provider = mark.groups()
            # The client's sockets lead to the gateway, the provider's come from its own port.
            others = (gateway, provider)
            counted = found.setdefault(name, Counter()) if counted is None else None
        elif counted is not None and (call := _CALL.match(line)):
            name, own, peer = call.groups()
            if peer != others[0] and own != others[1]:
                counted[name] += 1
    return found


def _table(found: dict[str, Counter[str]]) -> Iterator[str]:
    for load in LOADS:
        calls, units = found[load.name], _times(load.times) * load.units
        often = [f"{name} {number / units:.2f}" for name, number in calls.most_common() if number / units >= _SHOWN]
        yield f"{calls.total() / units:8.2f}  {load.title}: {', '.join(often)}"


def _times(usual: int) -> int:
    return max(1, usual // _SHARE_OF_TIMES)


async def _be_traced(gateway: Gateway) -> None:
    await in_process.warm_up(gateway)
    for load in LOADS:
        mark = _MARK.format(name=load.name, gateway=gateway.port, provider=gateway.provider_port)
        os.access(mark, os.F_OK)
        await load.ask(gateway, _times(load.times))
        os.access(mark, os.F_OK)


def main() -> None:
    if sys.argv[1:] != ["--traced"]:
        print("\n".join(lines()))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as data_dir:
        in_process.run(_be_traced, Path(data_dir))


if __name__ == "__main__":
    main()
