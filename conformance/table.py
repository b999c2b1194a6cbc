"""The verdicts as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from conformance.runner import Verdict


def lines(verdicts: Sequence[Verdict], *, every: bool = True) -> Iterator[str]:
    """Yield a line for each verdict, or for those that did not hold only, and the sum of each family at the end."""
    family = ""
    for verdict in verdicts:
        if verdict.held and not every:
            continue
        if verdict.fault.family != family:
            family = verdict.fault.family
            yield f"\n{family}"
        yield from _row(verdict)
    yield ""
    yield from _sums(verdicts)


def _row(verdict: Verdict) -> Iterator[str]:
    mark = "skipped " if verdict.skipped else "held    " if verdict.held else "NOT HELD"
    what = verdict.skipped or verdict.fault.must
    yield f"  {mark}  {verdict.fault.name:36}{verdict.wire:11}{verdict.seconds:6.2f} s  {what}"
    for promise, words in verdict.problems:
        yield f"{'':12}{promise}: {words}"


def _sums(verdicts: Sequence[Verdict]) -> Iterator[str]:
    met = [verdict for verdict in verdicts if not verdict.skipped]
    for family in dict.fromkeys(verdict.fault.family for verdict in verdicts):
        members = [verdict for verdict in met if verdict.fault.family == family]
        yield f"{family:16}{sum(verdict.held for verdict in members):4} of {len(members):4} held"
    broken = Counter(promise for verdict in met for promise in {promise for promise, _ in verdict.problems})
    for promise, count in broken.most_common():
        yield f"not kept: {promise}, {count} times"
    yield f"{'all':16}{sum(verdict.held for verdict in met):4} of {len(met):4} held"
