"""The clock of one stream: its time limits and its heartbeat, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from endpoints.time_limits import TimeLimits
from wire import times
from wire.errors import ApiError, StatusError

if TYPE_CHECKING:
    # As in streaming.relay.
    from usage.record import Outcome

_TIMED_OUT = 408
_LATE_SECONDS = 0.5


class Watched(Protocol):
    def end(self, error: ApiError, outcome: Outcome) -> None:
        """End the stream as soon as no event is being sent."""

    def beat(self) -> None:
        """Send a comment, if there is anyone to send it to."""


class Watch:
    """Judges a stream only when something can be due, not at each delta: all that a delta costs is `waits`.

    `waiting_since` is the moment since which the stream waits for the provider, and sends nothing; None while it does
    not. All moments are those of the event loop. `heartbeat_seconds` of 0 stand for no heartbeat.
    """

    def __init__(self, limits: TimeLimits, heartbeat_seconds: float) -> None:
        self.waiting_since: float | None = None
        self._limits = limits
        self._heartbeat_seconds = heartbeat_seconds
        self._now = asyncio.get_running_loop().time
        self._first_by: float | None = None
        self._end_by = 0.0
        self._heard_at = 0.0
        self._beat_at = 0.0
        self._timeout = 0.0
        self._planned = 0.0
        self._stream: Watched | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, stream: Watched, timeout: float) -> None:
        """Begin with the wait for a first sign of an answer, which may last `timeout` seconds."""
        now = self.waiting_since = self._now()
        self._stream = stream
        self._timeout = timeout
        self._first_by = now + timeout
        self._end_by = now + self._limits.total_seconds
        self._set_timer(now)

    def heard(self) -> None:
        """The provider gave a sign of an answer, be it one that is not passed on."""
        self._first_by = None
        self._heard_at = self._now()

    def waits(self) -> None:
        """The stream waits for the provider, having sent what there was."""
        self.waiting_since = self._now()

    def stop(self) -> None:
        self._stream = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._now()
        if now - self._planned > _LATE_SECONDS:
            # The process stood still. What arrived meanwhile is read first, it may be what was waited for.
            self._plan(now + _LATE_SECONDS / 10)
            return
        for at, act in self._dues(now):
            if at <= now:
                act()
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """Look again when the first of all can be due; what cannot be yet may begin right after this look."""
        if self._stream is not None:
            self._plan(min([at for at, _ in self._dues(now)]))

    def _plan(self, at: float) -> None:
        self._planned = at
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _dues(self, now: float) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield each moment at which something is due unless something happens before, and what is to be done."""
        waiting = now if self.waiting_since is None else self.waiting_since
        yield self._end_by, self._end_total
        heard = now if self._first_by is not None else max(waiting, self._heard_at)
        yield heard + self._limits.stall_seconds, self._end_stalled
        if self._first_by is not None:
            yield self._first_by, self._end_late
        if self._heartbeat_seconds:
            yield max(waiting, self._beat_at) + self._heartbeat_seconds, self._beat

    def _end_total(self) -> None:
        limit = times.elastic(self._limits.total_seconds)
        self._end(f"The stream was ended after its total time of [{limit}]", "timed_out")

    def _end_late(self) -> None:
        self._end(f"Request timed out after [{times.elastic(self._timeout)}]", "timed_out")

    def _end_stalled(self) -> None:
        limit = times.elastic(self._limits.stall_seconds)
        self._end(f"The stream was ended since the provider said nothing for [{limit}]", "stalled")

    def _end(self, reason: str, outcome: Outcome) -> None:
        stream = self._stream
        self.stop()
        if stream is not None:
            stream.end(StatusError(reason, status=_TIMED_OUT), outcome)

    def _beat(self) -> None:
        self._beat_at = self._now()
        if self._stream is not None:
            self._stream.beat()
