"""What a fault is: a name, what the provider does, and what a gateway has to make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from conformance.provider.steps import Script
from conformance.provider.wires import WIRES

Limit = Literal["first_delta", "idle", "stall"]
Phase = Literal["head", "delta", "stream", "retry"]


class Ending(Enum):
    """The ends that a client can make something of."""

    COMPLETE = "all deltas and [DONE]"
    REFUSED = "an error with a status of its own, before any delta"
    CUT = "the deltas so far, one error, no [DONE]"


@dataclass(frozen=True)
class Leave:
    """The client goes away while it waits for what `phase` names; `reset` is how its connection ends."""

    phase: Phase
    reset: bool = False


@dataclass(frozen=True)
class Fault:
    """`script` is what the provider does; `before` are what it does at the first attempts instead.

    Any of `endings` is right. `statuses` are right for Ending.REFUSED; empty: every one from 400 on. `limit` is the
    time limit of the gateway that has to end it. With `free_text` the text is not compared, with `prefix` a part of
    it is enough, from its beginning, where the stream is cut. `attempts` is how often the provider may be asked. With
    `twice` the client asks again, after so many seconds and the limit, and the second answer is judged: what `before`
    did must not reach into it. What is `alone` would disturb what happens at the same time.
    """

    name: str
    does: str
    script: Script
    endings: Sequence[Ending] = (Ending.COMPLETE,)
    before: Sequence[Script] = ()
    statuses: Sequence[int] = ()
    limit: Limit | None = None
    leave: Leave | None = None
    stops_reading: bool = False
    streamed: bool = True
    free_text: bool = False
    prefix: bool = False
    twice: float | None = None
    alone: bool = False
    attempts: int = 10
    family: str = ""
    wires: Sequence[str] = field(default_factory=lambda: tuple(WIRES))

    @property
    def must(self) -> str:
        """What has to hold, in words."""
        if self.leave:
            return "the provider is released"
        if self.stops_reading:
            return "the provider is held back, and released when the client goes"
        words = " or ".join(ending.value for ending in self.endings)
        return (
            words if self.limit is None or Ending.COMPLETE in self.endings else f"{words}, by the limit [{self.limit}]"
        )


COMPLETE = (Ending.COMPLETE,)
REFUSED = (Ending.REFUSED,)
CUT = (Ending.CUT,)
FAILED = (Ending.REFUSED, Ending.CUT)
"""An error, with a status or after something that is no text: some gateways pass that on and have said 200 then."""
EITHER = (Ending.COMPLETE, Ending.CUT)
"""Not decided by any specification; but one of them, and whole."""
ANY = (Ending.COMPLETE, Ending.REFUSED, Ending.CUT)
