"""One line for each request that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usage.record import Record


def write(record: Record) -> None:
    """Write the line of one request that is over; nothing in it is a prompt, an answer or a secret."""
