"""What is known of one inference request when it is over: counted, and written to the log, exactly once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from access.privileges import Caller
from endpoints.providers._base import Usage
from endpoints.providers._progress import Progress
from usage import log, metrics

Outcome = Literal[
    "complete", "client_gone", "upstream_error", "upstream_cut", "stalled", "timed_out", "drained", "refused"
]


@dataclass(slots=True)
class Record:
    """Filled while the request runs; times are seconds of the monotonic clock, which is that of the event loop.

    `refused` is what the gateway answered without asking the provider; `refusal` says which of its bounds was met
    ("" for requests that were wrong). `waited` are the seconds in the queue of a rate limit.
    """

    stream: bool
    opaque_id: str = ""
    caller: Caller | None = None
    inference_id: str = ""
    service: str = ""
    task_type: str = ""
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    waited: float = 0.0
    first_delta_at: float | None = None
    deltas: int = 0
    usage: Usage | None = None
    status: int = 200
    outcome: Outcome = "client_gone"
    refusal: str = ""
    finished: bool = False

    def finish(self) -> None:
        """Count and log the request; every call but the first does nothing."""
        if self.finished:
            return
        self.finished = True
        self.ended = time.monotonic()
        metrics.count(self)
        log.write(self)
