"""`docs/observability.md` names every metric, label, outcome, refusal and field of the log, and none that is not."""

from __future__ import annotations

import re
from typing import get_args

from tests.gateway import ROOT
from usage import metrics
from usage.log import Line
from usage.record import Outcome
from usage.series import families

PAGE = (ROOT / "docs" / "observability.md").read_text()


def table(first_column: str) -> list[list[str]]:
    """Return the rows of the table whose first column is called so."""
    _, _, rest = PAGE.partition(f"| {first_column} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_the_page_has_every_metric_as_it_is_declared() -> None:
    shown = [(*names(name), kind, names(labels), what) for name, kind, labels, what in table("metric")]
    assert shown == [
        (f"{one.name}_total" if one.kind == "counter" else one.name, one.kind, one.labels, one.help) for one in families
    ]


def test_the_page_has_every_outcome() -> None:
    assert [names(row[0])[0] for row in table("outcome")] == list(get_args(Outcome))


def test_the_page_has_every_refusal() -> None:
    assert {names(row[0])[0] for row in table("refusal")} == metrics._REASONS


def test_the_page_has_every_field_of_the_log() -> None:
    assert [names(row[0])[0] for row in table("field")] == list(Line.__struct_fields__)
