"""The inference requests that this process answers now: who may see and stop them, and what is shown of them."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from access.privileges import Caller
from streaming.relay import Relay
from streaming.whole_answer import WholeAnswer
from usage.record import Record
from wire.errors import TaskCancelled

logger = logging.getLogger(__name__)

MOST_SHOWN = 200
"""Of one process, the oldest of all; a page with more is of no use to anybody."""
_LONGEST = 256


class StoppedBy(TaskCancelled):
    """`username` stopped the request on the page."""

    def __init__(self, username: str) -> None:
        super().__init__()
        self.reason = f"The request was stopped by user [{username[:_LONGEST]}] on the page of live streams"


class Running(msgspec.Struct):
    """One request; process and number name it. `seconds` are those since it came."""

    process: int
    number: int
    user: str
    api_key: str
    inference_id: str
    service: str
    stream: bool
    phase: Literal["queued", "asked", "streaming"]
    seconds: float
    deltas: int


class Listing(msgspec.Struct):
    """What a caller may see; `total` counts also what is not in `running`."""

    total: int = 0
    running: list[Running] = []


def listing(caller: Caller, process: int) -> Listing:
    """Return what `caller` may see of this process, whose number is `process`."""
    seen = [answer.record for answer in _answers() if sees(caller, answer.record)]
    now = time.monotonic()
    oldest = heapq.nsmallest(MOST_SHOWN, seen, key=lambda record: record.began)
    return Listing(len(seen), [_shown(record, process, now) for record in oldest])


def stop(caller: Caller, number: int) -> bool:
    """Stop the request of that number; return whether there is one that `caller` may see."""
    for answer in _answers():
        if answer.record.number == number and sees(caller, answer.record):
            answer.end(StoppedBy(caller.username), "drained")
            logger.info("User [%s] stopped a request to [%s]", caller.username, answer.record.inference_id)
            return True
    return False


def sees(caller: Caller, record: Record) -> bool:
    """Return whether a request is the caller's own, or to an endpoint that the caller manages."""
    own = record.caller is not None and record.caller.user_id == caller.user_id
    return own or "manage_inference" in caller.held_in(record.team_id)


def _answers() -> Iterator[Relay | WholeAnswer]:
    yield from tuple(Relay.live)
    yield from tuple(WholeAnswer.live)


def _shown(record: Record, process: int, now: float) -> Running:
    caller = record.caller
    return Running(
        process=process,
        number=record.number,
        user=caller.username[:_LONGEST] if caller else "",
        api_key=(caller.api_key_name or "")[:_LONGEST] if caller else "",
        inference_id=record.inference_id,
        service=record.service,
        stream=record.stream,
        phase="queued" if record.queued else "streaming" if record.deltas else "asked",
        seconds=round(now - record.began, 1),
        deltas=record.deltas,
    )
