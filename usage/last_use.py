"""When each endpoint was asked last, and by whom; see `access.last_use` for how it gets into the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from access.actors import name_of
from access.last_use import LastUses

if TYPE_CHECKING:
    from usage.record import Record

endpoints = LastUses("endpoints.Endpoint", "inference_id", "last_used_by")


def note(record: Record) -> None:
    """Note the use of an endpoint by a request that is over; one that was refused is none."""
    if record.service and record.caller is not None and record.outcome != "refused":
        endpoints.note(record.inference_id, name_of(record.caller))
