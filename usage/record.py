"""What is known of one inference request when it is over: counted, and written to the log, exactly once."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Literal

from access.privileges import Caller
from endpoints.providers._base import Batch, Usage
from endpoints.providers._progress import Progress
from usage import last_use, log, metrics
from usage.slots import Slot
from wire.errors import ApiError, ProviderError, ShuttingDown, TaskCancelled

Outcome = Literal[
    "complete", "client_gone", "upstream_error", "upstream_cut", "stalled", "timed_out", "drained", "refused"
]
# What a provider says is not always so; one impossible number would spoil all sums.
_MOST_TOKENS = 10**9
_numbers = itertools.count(1)


@dataclass(slots=True)
class Record:
    """Filled while the request runs; times are seconds of the monotonic clock, which is that of the event loop.

    `refused` is what the gateway answered without asking the provider; `refusal` says which of its bounds was met
    ("" for requests that were wrong). `waited` are the seconds in the queue of a rate limit. `opaque_id` and
    `traceparent` are headers as they came in. `slot` is the place among open requests that is given back at
    the end. What is `committed` has sent its status. A record is counted as an open request until it is finished.
    `number` is no other's in this process; `team_id` is that of the endpoint; `queued` is true while the request waits
    for its turn under a rate limit.
    """

    stream: bool
    opaque_id: str = ""
    traceparent: str = ""
    caller: Caller | None = None
    inference_id: str = ""
    team_id: int | None = None
    service: str = ""
    task_type: str = ""
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    waited: float = 0.0
    queued: bool = False
    first_delta_at: float | None = None
    deltas: int = 0
    usage: Usage | None = None
    status: int = 200
    outcome: Outcome = "client_gone"
    refusal: str = ""
    slot: Slot | None = None
    committed: bool = False
    finished: bool = False
    number: int = field(default_factory=_numbers.__next__)

    def __post_init__(self) -> None:
        metrics.begin(self.stream)

    @property
    def input_tokens(self) -> int | None:
        """The tokens of the prompt; None where the provider gave no number, or none that can be."""
        return _credible(self.usage.prompt_tokens) if self.usage else None

    @property
    def output_tokens(self) -> int | None:
        """The tokens of the answer, as `input_tokens`."""
        return _credible(self.usage.completion_tokens) if self.usage else None

    def said(self, deltas: int) -> None:
        """Note that so many deltas are about to be sent."""
        if self.first_delta_at is None:
            self.first_delta_at = time.monotonic()
        self.deltas += deltas

    def count(self, batch: Batch) -> None:
        """Note the tokens that the provider has counted so far, if the batch says."""
        for chunk in reversed(batch):
            if chunk.usage is not None:
                self.usage = chunk.usage
                return

    def fail(self, error: Exception) -> None:
        """Note how the request failed. What the gateway itself ends has an outcome of its own, set by who ends it."""
        if not self.committed:
            self.status = getattr(error, "status", 500)
        self.refusal = getattr(error, "refusal", "")
        if not isinstance(error, ApiError):
            # A mistake of the gateway; the caller saw the same as of a provider that fails.
            self.outcome = "upstream_error"
        elif isinstance(error, TaskCancelled) or (isinstance(error, ShuttingDown) and not error.refusal):
            self.outcome = "drained"
        elif not isinstance(error, ProviderError):
            self.outcome = "timed_out" if error.status == 408 else "refused"
        elif error.cut:
            self.outcome = "upstream_cut"
        else:
            # Midway nothing but silence has this status.
            silent = error.status == 408 and self.committed
            self.outcome = "stalled" if silent else "upstream_error"

    def finish(self) -> None:
        """Give back the request's place, count and log it; every call but the first does nothing."""
        if self.finished:
            return
        self.finished = True
        self.ended = time.monotonic()
        if self.slot is not None:
            self.slot.release()
        metrics.count(self)
        last_use.note(self)
        log.write(self)


def _credible(tokens: int) -> int | None:
    return tokens if 0 <= tokens <= _MOST_TOKENS else None
