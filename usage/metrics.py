"""Counters and histograms of what was asked, in Prometheus' form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usage.record import Record


def count(record: Record) -> None:
    """Count one request that is over."""
