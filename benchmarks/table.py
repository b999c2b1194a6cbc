"""The table that a benchmark prints: a row for each measurement, a column for each target."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.loads import (
    BURST,
    BURST_CONNECTIONS,
    SHORT,
    SHORT_CONNECTIONS,
    Measurements,
)

ALONE_STREAMS, ALONE_PER_SECOND = 20, 50
_ALONE = f"paced_{ALONE_STREAMS}x{ALONE_PER_SECOND}_cpu"

COLUMNS = ("gateway", "provider, directly")


@dataclass(frozen=True)
class Row:
    """`key` names the measurement; `digits` are those behind the point; `note` says what is in it."""

    key: str
    label: str
    unit: str
    digits: int = 0
    note: str = ""


ROWS = (
    Row(
        "request_cpu",
        "CPU per request",
        "µs",
        note=f"{SHORT_CONNECTIONS} connections are kept alive, each asks again at once; a stream has {SHORT.deltas} "
        "deltas that come together. HTTP on both sides, access, the look-up of the endpoint, the events, the end.",
    ),
    Row(
        "burst_cpu",
        "CPU per delta in a burst",
        "µs",
        digits=2,
        note=f"{BURST_CONNECTIONS} connections, streams of {BURST.deltas} deltas that come together: 1/{BURST.deltas} "
        "of all that a request costs, reading, parsing and sending.",
    ),
    Row(
        _ALONE,
        "CPU per delta alone",
        "µs",
        note=f"{ALONE_STREAMS} streams, {ALONE_PER_SECOND} deltas a second each, evenly spread: every "
        "delta has a wake-up, a read and a send of its own.",
    ),
    Row("first_p50", "time to first delta, p50", "ms", digits=2, note="One request at a time, to each in turn."),
    Row("first_p99", "time to first delta, p99", "ms", digits=2),
    Row("added_p50", "added to first delta, p50", "ms", digits=2, note="The difference of the two columns."),
    Row("added_p99", "added to first delta, p99", "ms", digits=2),
    Row(
        "stream_memory",
        "memory per open stream",
        "KiB",
        digits=1,
        note="What the resident memory grew by until all streams were open, divided by their number.",
    ),
    Row("threads", "threads, all streams open", ""),
    Row(
        "requests_per_second",
        "requests per second",
        "/s",
        note="What gateway, provider and client reach together on the CPUs of this machine. Compare the columns: "
        "this client and the provider are not what limits the gateway.",
    ),
    Row("client_cpu", "CPU per request of this client", "µs"),
)
_CPU = (
    "CPU is user and system time of all processes of the gateway, or of the provider where it is asked directly; "
    "what others use meanwhile is not in it. Nothing is subtracted."
)
_WIDTH = 110


def table(rounds: Sequence[Sequence[Measurements]]) -> Iterator[str]:
    """Yield the lines; `rounds` has, for each round, the measurements of each target."""
    columns = COLUMNS[: len(rounds[0])]
    yield f"{'':37}" + "".join(f"{column:28}" for column in columns).rstrip()
    for row in ROWS:
        cells = (_cell(row, [measured[place] for measured in rounds]) for place in range(len(columns)))
        yield f"{row.label:32}{row.unit:5}" + "".join(f"{cell:28}" for cell in cells).rstrip()


def notes() -> Iterator[str]:
    """Yield the lines that say what is in each row."""
    yield textwrap.fill(_CPU, _WIDTH)
    for row in ROWS:
        if row.note:
            yield textwrap.fill(f"{row.label}: {row.note}", _WIDTH, subsequent_indent="    ")


def _cell(row: Row, measured: Sequence[Measurements]) -> str:
    values = [one[row.key] for one in measured if row.key in one]
    if not values:
        return ""
    median, low, high = (f"{value:.{row.digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median:>7}  ({low}-{high})" if len(values) > 1 else f"{median:>7}"
