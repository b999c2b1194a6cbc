"""Services beside `openai`: what one delta costs the gateway with each of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import loads
from benchmarks.loads import Measurements
from benchmarks.targets import Target

REFERENCE = "openai"
_STREAMS, _PER_SECOND = 20, 50
_COLUMNS = {"burst_cpu": "in a burst", f"paced_{_STREAMS}x{_PER_SECOND}_cpu": "alone"}


async def measure(targets: Mapping[str, Target], requests: int, seconds: float) -> dict[str, Measurements]:
    """Ask one service after the other, all of the same gateway."""
    found: dict[str, Measurements] = {name: {} for name in targets}
    for target in targets.values():
        # A new endpoint makes the gateway look at all others again, so all of them come first.
        target.request(loads.SHORT)
        target.request(loads.BURST)
    for target in targets.values():
        await loads.warm_up(target)
    for name, target in targets.items():
        found[name] |= await loads.bursts(target, range(max(1, requests // 20)))
    for name, target in targets.items():
        found[name] |= await loads.paced_deltas(target, seconds, _STREAMS, _PER_SECOND)
    return found


def lines(rounds: Sequence[Mapping[str, Measurements]]) -> Iterator[str]:
    """Yield a table of the medians; `rounds` has the measurements of each service."""
    yield f"{'CPU per delta, µs':24}" + "".join(f"{label:24}" for label in _COLUMNS.values()).rstrip()
    for service in rounds[0]:
        yield f"{service:24}" + "".join(f"{_cell(rounds, service, key):24}" for key in _COLUMNS).rstrip()


def _cell(rounds: Sequence[Mapping[str, Measurements]], service: str, key: str) -> str:
    value, reference = (statistics.median(one[name][key] for one in rounds) for name in (service, REFERENCE))
    return f"{value:8.2f}  {value / reference:.2f} x {REFERENCE}"
