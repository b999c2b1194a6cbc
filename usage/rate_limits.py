"""A request waits its turn where its rate-limit group was asked as often as it may be.

`requests_per_minute` is exact: no more are admitted in any 60 seconds. Above 60,000 it is kept by the second, since a
moment for each request would be remembered: 60 seconds touch at most 61 seconds of a counter, each of which admits a
61st.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from endpoints.providers._base import RateLimit
from usage import metrics
from usage.windows import Window
from wire.errors import TooManyRequests

if TYPE_CHECKING:
    from usage.shared_windows import SharedWindow, SharedWindows

MINUTE = 60
BY_THE_SECOND = 60_000
_LEAST_WAIT = 0.001
# A turn so shortly before the deadline is of no use, and others give up at the deadline itself, with other words.
_MARGIN = 0.1


class _Line:
    """The requests of one group, in the order in which they came. `free_at` is what Redis said last."""

    __slots__ = ("free_at", "shared", "turn", "waiting", "window")

    def __init__(self, window: Window, shared: SharedWindow | None) -> None:
        self.window = window
        self.shared = shared
        # Waiters get it in the order in which they asked for it.
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.free_at = 0.0

    def turn_at(self, limit: int, now: float, ahead: int) -> float:
        """Return the earliest moment at which a request with `ahead` others before it can have its turn."""
        shared = self.free_at + ahead // limit * self.window.seconds
        return max(self.window.free_at(limit, now, ahead), shared)


class RateLimits:
    """All groups of a process. Belongs to one event loop, and has to be closed.

    At most `max_waiting` requests wait. Without `shared` the limits hold for this process alone.
    """

    def __init__(self, max_waiting: int, shared: SharedWindows | None = None) -> None:
        self._max_waiting = max_waiting
        self._shared = shared
        self._lines: dict[str, _Line] = {}
        self._forget_at = 0.0
        self.waiting = 0

    async def turn(self, limit: RateLimit, inference_id: str, deadline: float | None) -> float:
        """Return when it is the request's turn, with the seconds that it waited.

        Raise TooManyRequests at once where it would wait beyond `deadline`, a time of the event loop, or where too
        many wait already; at the deadline where that could not be foreseen.
        """
        now = monotonic()
        if now >= self._forget_at:
            self._forget(now)
        if deadline is not None:
            deadline -= _MARGIN
        per_minute, group = limit.requests_per_minute, limit.group
        if per_minute > BY_THE_SECOND:
            line, most = self._line(f"{group}/s", 1), per_minute // (MINUTE + 1)
        else:
            line, most = self._line(group, MINUTE), per_minute
        if not line.waiting and await self._take(line, most):
            return 0.0
        return await self._wait(line, most, _Refusals(inference_id, per_minute), deadline)

    async def aclose(self) -> None:
        if self._shared is not None:
            await self._shared.aclose()

    async def _take(self, line: _Line, most: int) -> bool:
        now = monotonic()
        if not line.window.take(most, now):
            return False
        if line.shared is None:
            return True
        wait = _LEAST_WAIT
        try:
            wait = await line.shared.take(most)
        finally:
            if wait:
                line.window.give_back(now)
        line.free_at = monotonic() + wait
        return not wait

    async def _wait(self, line: _Line, most: int, refusals: _Refusals, deadline: float | None) -> float:
        began = monotonic()
        refusals.check(line.turn_at(most, began, line.waiting), began, deadline)
        if self.waiting >= self._max_waiting:
            raise refusals.too_many(self.waiting, line.turn_at(most, began, line.waiting) - began)
        line.waiting += 1
        self.waiting += 1
        metrics.waiting.add()
        try:
            async with asyncio.timeout_at(deadline), line.turn:
                while not await self._take(line, most):
                    now = monotonic()
                    free_at = line.turn_at(most, now, 0)
                    refusals.check(free_at, now, deadline)
                    await asyncio.sleep(max(free_at - now, _LEAST_WAIT))
        except TimeoutError:
            now = monotonic()
            raise refusals.too_late(line.turn_at(most, now, line.waiting - 1) - now) from None
        finally:
            line.waiting -= 1
            self.waiting -= 1
            metrics.waiting.add(-1.0)
        return monotonic() - began

    def _line(self, key: str, seconds: int) -> _Line:
        line = self._lines.get(key)
        if line is None:
            shared = None if self._shared is None else self._shared.window(key, seconds)
            line = self._lines[key] = _Line(Window(seconds), shared)
        return line

    def _forget(self, now: float) -> None:
        """Forget the groups that a new one would not differ from, and so all but what two minutes brought."""
        self._lines = {key: line for key, line in self._lines.items() if line.waiting or not line.window.is_empty(now)}
        self._forget_at = now + MINUTE


class _Refusals:
    """The words for one request that does not get its turn."""

    __slots__ = ("_inference_id", "_per_minute")

    def __init__(self, inference_id: str, per_minute: int) -> None:
        self._inference_id = inference_id
        self._per_minute = per_minute

    def check(self, free_at: float, now: float, deadline: float | None) -> None:
        """Raise TooManyRequests where the turn would come after the deadline."""
        if deadline is not None and free_at > deadline:
            raise self.too_late(free_at - now)

    def too_late(self, wait: float) -> TooManyRequests:
        text = "and its turn would come after the [timeout] of the request"
        return self._refusal("rate_limit", f"{text}; try again later or give it a longer one", wait)

    def too_many(self, waiting: int, wait: float) -> TooManyRequests:
        text = f"and [{waiting}] requests wait for their turn already, the most that GATEWAY_MAX_WAITING allows"
        return self._refusal("waiting", f"{text}; try again later", wait)

    def _refusal(self, refusal: str, text: str, wait: float) -> TooManyRequests:
        limit = f"has a rate limit of [{self._per_minute}] requests per minute"
        return TooManyRequests(
            f"Inference endpoint [{self._inference_id}] {limit}, {text}", refusal=refusal, retry_after=wait
        )
