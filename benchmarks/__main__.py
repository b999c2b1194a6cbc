"""Measure this gateway beside the floor, nginx and its peers: CPU time, time to first delta, lateness, memory.

Everything runs on 127.0.0.1, one worker each, interleaved: every round starts every gateway anew, warms it up and puts
the same loads on it. Peers are installed under var/benchmarks/, once; who cannot be is left out.

    python -m benchmarks --quick
    python -m benchmarks --only 'this gateway' 'parsing relay' --rounds 5
"""

from __future__ import annotations

import argparse
import gc
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.contenders import DIRECT, contenders
from benchmarks.environments import DIRECTORY
from benchmarks.numbers import positive
from benchmarks.processes import fake_provider, most_streams, placed
from benchmarks.run import PACES, Places, Record, Run, Size

FULL = Size(rounds=3, seconds=2.0, streams=(500, 2_000, 10_000), slow_rounds=3)
QUICK = Size(rounds=3, seconds=0.5, streams=(500,), slow_rounds=1, paces=PACES[:1])
RECORD = DIRECTORY / "run.json"


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        sys.exit("CPU time and memory are read as Linux shows them; on this system there is nothing to measure with.")
    # A benchmark that is told to stop stops what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    record = Record.new(shlex.join(["python", "-m", "benchmarks", *arguments]), _size(options))
    try:
        _measure(record, _size(options), options.only, options.json)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    print("\n".join(report.lines(record)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less than five minutes: shorter loads, fewer streams")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="beginnings of names; the provider is always there")
    parser.add_argument("--json", type=Path, default=RECORD, help="where the run is written down; default: %(default)s")
    parser.add_argument("--rounds", type=positive(int, 100), metavar="N", help="default: 3")
    parser.add_argument("--seconds", type=positive(float, 300), metavar="N", help="of each load; default: 2 [0.5]")
    parser.add_argument(
        "--streams", type=positive(int, 100_000), nargs="+", metavar="N", help="slow ones; default: 500 2000 10000"
    )
    parser.add_argument(
        "--paces", type=_pace, nargs="+", metavar="NxN", help="streams x deltas/s; default: 20x50 20x100 200x50 200x100"
    )
    return parser


def _pace(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})x(\d{1,4})", text)
    if found is None or not int(found[1]) or not int(found[2]):
        raise argparse.ArgumentTypeError(f"[{text}] is not streams and deltas a second, like 20x50")
    return int(found[1]), int(found[2])


def _size(options: argparse.Namespace) -> Size:
    default = QUICK if options.quick else FULL
    rounds = options.rounds or default.rounds
    return Size(
        rounds=rounds,
        seconds=options.seconds or default.seconds,
        streams=tuple(options.streams or default.streams),
        slow_rounds=min(rounds, default.slow_rounds),
        paces=tuple(options.paces or default.paces),
    )


def _measure(record: Record, size: Size, only: Sequence[str] | None, path: Path) -> None:
    most, places = most_streams(), Places.here()
    # Looking for garbage among ten thousand connections would make their deltas late.
    gc.disable()
    with placed(places.beside), fake_provider() as provider, contenders() as everybody:
        run = Run(record, size, provider, places, most)
        chosen = [one for one in everybody if only is None or one.name.startswith((DIRECT, *only))]
        chosen = [one for one in chosen if run.present(one)]
        for _ in range(size.rounds):
            run.round(chosen)
            record.write(path)


if __name__ == "__main__":
    main()
