"""What the provider received, what it sent and when its peer left: one JSON object for each, kept in memory.

`GET /_log?run=…` returns those of one run as JSON lines. Times are seconds of CLOCK_MONOTONIC, which all programs of a
machine share; secrets and prompts are not in it.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import Any

_MOST_RUNS, _MOST_ENTRIES = 4096, 10_000


class Journal:
    def __init__(self) -> None:
        self._runs: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._exchanges: dict[str, int] = {}

    def open(self, run: str) -> int:
        """Return the number of a new exchange of `run`, counted from 1."""
        if run not in self._runs and len(self._runs) >= _MOST_RUNS:
            oldest, _ = self._runs.popitem(last=False)
            self._exchanges.pop(oldest, None)
        self._runs.setdefault(run, [])
        self._exchanges[run] = self._exchanges.get(run, 0) + 1
        return self._exchanges[run]

    def note(self, run: str, exchange: int, what: str, **facts: Any) -> None:
        """Write one entry; the latest are lost where a run has far too many."""
        entries = self._runs.get(run)
        if entries is not None and len(entries) < _MOST_ENTRIES:
            entries.append({"run": run, "exchange": exchange, "at": time.monotonic(), "what": what, **facts})

    def lines(self, run: str = "") -> bytes:
        """Return the entries of `run`, or of all, as JSON lines."""
        runs = [self._runs.get(run, [])] if run else self._runs.values()
        return b"".join(json.dumps(entry).encode() + b"\n" for entries in runs for entry in entries)
