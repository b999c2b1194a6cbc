"""Put the tables of a run into docs/performance.md: `python -m benchmarks.document [RUN.json] [STORES.json]`.

What stands between the marks is replaced; all else on the page is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks import report, stores
from benchmarks.environments import DIRECTORY
from benchmarks.run import Record
from tests.gateway import ROOT

PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    paths = [Path(name) for name in sys.argv[1:]] or [DIRECTORY / "run.json", DIRECTORY / "stores.json"]
    page = with_tables(PAGE.read_text(), "run", report.lines(Record.read(paths[0])))
    if len(paths) > 1 and paths[1].exists():
        page = with_tables(page, "stores", stores.lines(stores.read(paths[1])))
    PAGE.write_text(page)


def with_tables(page: str, name: str, lines: Iterable[str]) -> str:
    """Return the page with other lines between the marks of that name. Raise ValueError where it has no such marks."""
    begin, end = f"<!-- {name}: made by `make bench-docs` -->", f"<!-- {name}: end -->"
    text = "\n".join(lines).strip("\n")
    changed, found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{text}\n\n{end}", page, flags=re.DOTALL
    )
    if not found:
        raise ValueError(f"{PAGE.name} has no [{begin}] with [{end}] behind it")
    return changed


if __name__ == "__main__":
    main()
