"""What one run is written down as: who was judged, with which limits, and the verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conformance.promises import Limits
from conformance.runner import Verdict


@dataclass(frozen=True)
class Report:
    """`gateway` is a name with its version; `how` is the configuration, in words. Verdicts are as JSON has them."""

    gateway: str
    how: str
    limits: Mapping[str, Any]
    verdicts: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, gateway: str, how: str, limits: Limits, verdicts: Sequence[Verdict]) -> Report:
        return cls(gateway, how, asdict(limits), [verdict.facts() for verdict in verdicts])

    @classmethod
    def read(cls, path: Path) -> Report:
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
