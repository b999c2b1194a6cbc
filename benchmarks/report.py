"""The tables of a run, as Markdown: a row for each contender, a column for each figure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.contenders import DIRECT, FLOOR, OURS
from benchmarks.loads import (
    BURST,
    BURST_CONNECTIONS,
    LATE,
    LATE_CONNECTIONS,
    SHORT,
    SHORT_CONNECTIONS,
    SLOW_SECONDS_APART,
)
from benchmarks.run import Record

_ONE, _TWO = f"{OURS}, SQLite", f"{OURS}, two workers"


@dataclass(frozen=True)
class Column:
    """`digits` are those behind the point. With `ratio` it is how many times that of the floor, round by round."""

    key: str
    label: str
    digits: int = 0
    ratio: bool = False


@dataclass(frozen=True)
class Table:
    title: str
    about: str
    columns: Sequence[Column]


def lines(record: Record) -> Iterator[str]:
    """Yield all that a run found."""
    yield f"{record.date}; {record.machine}; {record.size}; `{record.command}`.\n"
    yield "| | version | how |\n|---|---|---|"
    for name, how, version in record.contenders:
        yield f"| {name} | {version} | {how} |"
    yield ""
    for name, reason in record.left_out.items():
        yield f"{name} was left out: {reason}.\n"
    yield (
        "Every cell is the median over the rounds, with the lowest and the highest in brackets. CPU is user and system "
        "time of all processes of a gateway; what the kernel does for it is in it, other programs are not.\n"
    )
    for table in _tables(record):
        yield from _table(record, table)
    yield from _two_workers(record)
    yield from _harness(record)
    yield from _failures(record)


def _tables(record: Record) -> Iterator[Table]:
    paces = [(int(one[1]), int(one[2])) for one in _found(record, r"paced_(\d+)x(\d+)_cpu")]
    yield Table(
        "Short answers",
        f"{SHORT_CONNECTIONS} clients, streams of {SHORT.deltas} deltas that come at once, each client asks again "
        f"when it has its answer. *Late*: {LATE_CONNECTIONS} clients, the provider waits "
        f"{LATE.seconds_before * 1000:.0f} ms before it answers. µs of CPU for a request.",
        [
            Column("request_cpu", "CPU µs per request", 0),
            Column("request_cpu", "× the parsing relay", 1, ratio=True),
            Column("requests_per_second", "requests/s"),
            Column("late_cpu", "CPU µs per late request"),
        ],
    )
    yield Table(
        "CPU for each delta",
        f"µs. *Burst*: {BURST_CONNECTIONS} clients, {BURST.deltas} deltas at once, all that the request costs divided "
        "by their number. The others come one by one, in so many streams, so many a second in each.",
        [
            Column("burst_cpu", "burst", 2),
            Column("burst_cpu", "× the parsing relay", 1, ratio=True),
            *(Column(f"paced_{streams}x{rate}_cpu", f"{streams} × {rate}/s", 1) for streams, rate in paces),
        ],
    )
    yield Table(
        "Time to the first delta",
        "ms that are added. *One at a time*: a request to the provider itself and one to the gateway in turn, the "
        f"difference. *Late*: beyond the provider's {LATE.seconds_before * 1000:.0f} ms, {LATE_CONNECTIONS} clients.",
        [
            Column("added_first_p50", "one at a time, p50", 2),
            Column("added_first_p99", "p99", 2),
            Column("late_first_p50", "late, p50", 2),
            Column("late_first_p99", "p99", 2),
        ],
    )
    yield Table(
        "Lateness",
        "ms from the provider's write of a delta to its arrival at the client, p50 and p99; streams and deltas a "
        "second as above.",
        [
            Column(f"paced_{streams}x{rate}_late_{percentile}", f"{streams} × {rate}/s {percentile}", 2)
            for streams, rate in paces
            for percentile in ("p50", "p99")
        ],
    )
    yield from _slow_tables(record)
    yield Table(
        "Start",
        "CPU seconds from the start to the end of the first answer, and what is resident when it is warm. This gateway "
        "starts with its database made; the first start of all makes it.",
        [Column("start_cpu", "CPU s to the first answer", 2), Column("idle_memory", "MiB, warm")],
    )


def _slow_tables(record: Record) -> Iterator[Table]:
    counts = [int(one[1]) for one in _found(record, r"slow_(\d+)_cpu")]
    if not counts:
        return
    about = f"A delta every {SLOW_SECONDS_APART:.0f} s in each stream."
    yield Table(
        "Open, slow streams: memory",
        f"{about} KiB that the resident memory grew by for each stream, and threads. *Left open*: streams that the "
        "provider still had to send 2 s after all clients had left, of the most that were opened.",
        [
            *(Column(f"slow_{count}_memory", f"KiB at {count:,}", 1) for count in counts),
            *(Column(f"slow_{count}_threads", f"threads at {count:,}") for count in counts),
            Column("left_open", "left open"),
        ],
    )
    yield Table(
        "Open, slow streams: deltas",
        f"{about} µs of CPU for a delta, and ms from the provider's write to the client, p99.",
        [
            *(Column(f"slow_{count}_cpu", f"CPU µs at {count:,}") for count in counts),
            *(Column(f"slow_{count}_late_p99", f"p99 ms at {count:,}", 1) for count in counts),
        ],
    )


def _found(record: Record, pattern: str) -> list[re.Match[str]]:
    """Return the names of figures of this pattern, in the order of their numbers."""
    keys = {key for one in record.rounds for measured in one.values() for key in measured}
    found = [match for key in keys if (match := re.fullmatch(pattern, key))]
    return sorted(found, key=lambda match: [int(number) for number in match.groups()])


def _table(record: Record, table: Table) -> Iterator[str]:
    yield f"### {table.title}\n"
    yield f"{table.about}\n"
    yield f"| | {' | '.join(column.label for column in table.columns)} |"
    yield f"|---|{'--:|' * len(table.columns)}"
    for name, _, _ in record.contenders:
        cells = [_cell(record, name, column) for column in table.columns]
        if any(cells):
            yield f"| {name} | {' | '.join(cell or '–' for cell in cells)} |"
    yield ""


def _cell(record: Record, name: str, column: Column) -> str:
    values = _values(record, name, column.key)
    if column.ratio:
        floor = _values(record, FLOOR, column.key)
        values = [value / other for value, other in zip(values, floor, strict=False)]
    if not values:
        return ""
    shown = [f"{value:,.{column.digits}f}" for value in (statistics.median(values), min(values), max(values))]
    if column.ratio or len(set(shown)) == 1:
        return shown[0]
    return f"{shown[0]} ({shown[1]}–{shown[2]})"


def _values(record: Record, name: str, key: str) -> list[float]:
    return [one[name][key] for one in record.rounds if key in one.get(name, {})]


def _median(record: Record, name: str, key: str) -> float | None:
    values = _values(record, name, key)
    return statistics.median(values) if values else None


def _two_workers(record: Record) -> Iterator[str]:
    """Yield what two workers do beside one; the CPUs they share here with the load are counted out."""
    one, two = (_median(record, name, "requests_per_busiest_second") for name in (_ONE, _TWO))
    cpus = [_median(record, name, "request_cpu") for name in (_ONE, _TWO)]
    if one is None or two is None or None in cpus:
        return
    yield "### Two workers\n"
    yield (
        f"One worker answers {one:,.0f} short requests in a second of its CPU time, two answer {two:,.0f} in a second "
        f"of the busier one's: **{two / one:.2f} times** as many on CPUs that have nothing else to do. A request costs "
        f"{cpus[0]:,.0f} µs with one and {cpus[1]:,.0f} µs with two, which take turns on all CPUs with provider and "
        "load generator here.\n"
    )


def _harness(record: Record) -> Iterator[str]:
    """Yield what provider and load generator can do themselves, and how busy they were."""
    found = {key: _median(record, DIRECT, key) for key in _HARNESS}
    if None in found.values():
        return
    yield "### Provider and load generator\n"
    yield (
        f"Asked without a gateway, the provider takes {found['request_cpu']:.0f} µs of CPU for a short answer and "
        f"{found['burst_cpu']:.2f} µs for a delta of a burst; the load generator takes {found['client_cpu']:.0f} µs "
        f"and {found['burst_client_cpu']:.2f} µs. Together, sharing what is left of the machine, they reach "
        f"{found['requests_per_second']:,.0f} short answers and {found['burst_per_second']:,.0f} deltas a second. How "
        "much of a CPU each was busy with short answers; where the gateway's share is far below 100 %, its requests a "
        "second are not its own limit, its CPU for each is what it is:\n"
    )
    yield "| % of a CPU | gateway | provider | load generator |\n|---|--:|--:|--:|"
    for name, _, _ in record.contenders:
        shares = [_median(record, name, key) for key in ("busy", "provider_busy", "client_busy")]
        if name != DIRECT and None not in shares:
            yield f"| {name} | {' | '.join(f'{share or 0:.0%}'.removesuffix('%') for share in shares)} |"
    yield ""


_HARNESS = ("request_cpu", "burst_cpu", "client_cpu", "burst_client_cpu", "requests_per_second", "burst_per_second")


def _failures(record: Record) -> Iterator[str]:
    if not record.failures:
        return
    yield "### What did not work\n"
    for name, texts in record.failures.items():
        yield from (f"- {name}, {text}" for text in texts)
    yield ""
