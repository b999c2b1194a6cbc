"""Hold what a request and a delta cost against a recorded budget, and fail when they have grown.

Costs are told in thousandths of a piece of work that never changes (`benchmarks.reference`) and is measured beside
them, so that a budget holds on other machines. Each meter has a budget of its own; see `benchmarks.meters`.

    python -m benchmarks.counts
    python -m benchmarks.counts --record
    python -m benchmarks.counts --meter cpu
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import in_process, meters, reference
from benchmarks.in_process import LOADS, Gateway, Load
from benchmarks.meters import METERS, Meter, Read

BUDGET = Path(__file__).with_name("budget.json")
_REFERENCE_TIMES = 100
# The meter that needs nothing.
_ANYWHERE = "bytecodes"

Budget = Mapping[str, float]
"""What each load may cost, by its name, in thousandths of the reference."""


@dataclass(frozen=True)
class Cost:
    """`amount` is in the meter's unit, `share` in thousandths of the reference, both for one unit of the load."""

    load: Load
    amount: float
    share: float


async def costs(meter: Meter, gateway: Gateway) -> list[Cost]:
    await in_process.warm_up(gateway)
    for _ in range(_REFERENCE_TIMES):
        reference.work()
    with meter.reading() as read:
        rounds = [[await _compare(meter, read, gateway, load) for load in LOADS] for _ in range(meter.rounds)]
    return [_sum(meter, load, found) for load, found in zip(LOADS, zip(*rounds, strict=True), strict=True)]


async def _compare(meter: Meter, read: Read, gateway: Gateway, load: Load) -> tuple[float, float]:
    """Return what the load cost, and what the reference did just before it."""
    empty, start = read(), read()
    for _ in range(meter.times(_REFERENCE_TIMES)):
        reference.work()
    middle = read()
    await load.ask(gateway, meter.times(load.times))
    of_reading = start - empty
    return read() - middle - of_reading, middle - start - of_reading


def _sum(meter: Meter, load: Load, found: Sequence[tuple[float, float]]) -> Cost:
    # Sums are steadier than medians and minima, since chance comes to a load and to its reference alike.
    of_load, of_reference = (sum(amounts) / meter.rounds for amounts in zip(*found, strict=True))
    amount = of_load / (meter.times(load.times) * load.units)
    return Cost(load, amount, amount / of_reference * meter.times(_REFERENCE_TIMES) * 1000)


def lines(found: Sequence[Cost], budget: Budget, meter: Meter) -> Iterator[str]:
    yield f"{'':28}{meter.unit:>14}{'measured':>12}{'budget':>12}{'ratio':>9}"
    for cost in found:
        allowed = budget[cost.load.name]
        ratio = cost.share / allowed
        yield f"{cost.load.title:28}{cost.amount:14,.1f}{cost.share:12.2f}{allowed:12.2f}{ratio:9.3f}"
    yield f"Measured and budget are thousandths of the reference; the ratio may be up to {1 + meter.tolerance:g}."


def complaints(found: Sequence[Cost], budget: Budget, meter: Meter) -> Iterator[str]:
    for cost in found:
        allowed = budget[cost.load.name]
        growth = cost.share / allowed - 1
        if growth > meter.tolerance:
            yield (
                f"The cost of {cost.load.title} has grown by {growth:.0%}, from [{allowed:.4g}] to [{cost.share:.4g}] "
                f"thousandths of the reference; {meter.tolerance:.0%} are let pass. `make profile` shows what is dear; "
                "if it has to be, make it the budget by `make counts ARGS=--record`, and say why in the commit."
            )


def _choose(wanted: str | None, budget: Path, *, record: bool) -> str:
    """Return the name of the meter: the wanted one, or the first that is available and has a budget.

    Raise ValueError where there is none that can be used.
    """
    budgets = _read_budgets(budget)
    name = wanted or next((name for name in METERS if name in budgets and METERS[name].is_available()), _ANYWHERE)
    if not METERS[name].is_available():
        raise ValueError(f"The meter [{name}] is not available on this machine.")
    if not record and not budgets.get(name, {}).keys() >= {load.name for load in LOADS}:
        raise ValueError(f"[{budget}] has no budget for the meter [{name}]; record one by `make counts ARGS=--record`.")
    return name


def _record(found: Sequence[Cost], name: str, path: Path) -> None:
    budgets = _read_budgets(path)
    budgets[name] = {cost.load.name: float(f"{cost.share:.4g}") for cost in found}
    path.write_text(json.dumps(budgets, indent=2) + "\n")


def _read_budgets(path: Path) -> dict[str, dict[str, float]]:
    """Return the budget of each meter that has one. Raise ValueError."""
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except (TypeError, ValueError) as error:
        raise ValueError(f"[{path}] is not a budget: {error}") from None


def _run(name: str, path: Path, *, record: bool) -> str | None:
    """Measure with one meter and print what was found; return what is to be complained of."""
    meter = METERS[name]
    if name == "valgrind":
        meters.run_under_valgrind([sys.executable, "-m", "benchmarks.counts", "--meter", name, *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as data_dir:
        found = in_process.run(partial(costs, meter), Path(data_dir))
    if record:
        _record(found, name, path)
    budget = _read_budgets(path)[name]
    print(f"{name}, Python {platform.python_version()}", *lines(found, budget, meter), sep="\n", flush=True)
    return "\n".join(complaints(found, budget, meter)) or None


def _record_all(path: Path) -> int:
    """Record a budget for each meter that is available, each in a process of its own; return the exit status."""
    command = [sys.executable, "-m", "benchmarks.counts", "--budget", str(path), "--record", "--meter"]
    names = [name for name, meter in METERS.items() if meter.is_available()]
    return max(subprocess.run([*command, name], check=False).returncode for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold what a request and a delta cost against a recorded budget.")
    parser.add_argument("--meter", choices=METERS, help="by default the steadiest that is available and has a budget")
    parser.add_argument("--record", action="store_true", help="make what is measured the budget")
    parser.add_argument("--budget", type=Path, default=BUDGET, help="its file (%(default)s)")
    arguments = parser.parse_args()
    if arguments.record and arguments.meter is None:
        sys.exit(_record_all(arguments.budget))
    try:
        name = _choose(arguments.meter, arguments.budget, record=arguments.record)
    except ValueError as error:
        parser.error(str(error))
    sys.exit(_run(name, arguments.budget, record=arguments.record))


if __name__ == "__main__":
    main()
