"""With REDIS_URL, rate limits hold over all processes: when requests were admitted lately stands in Redis.

Redis only ever takes places away. Where it does not answer, each process goes on by what it remembers itself.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from limits.aio.storage import RedisStorage
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

logger = logging.getLogger(__name__)

PREFIX = "inference-gateway:rate-limit"
SECONDS = 0.5
_PAUSE_SECONDS = 1.0
_GRACE_SECONDS = 0.05
# The event loop of a process keeps no more of them busy; with more, each would only seem slow.
_CONNECTIONS = 8
_LEAST_WAIT = 0.005
# A counter that is full says nothing of when its second ends.
_COUNTER_WAIT = 0.1

Answer = tuple[int, float]
"""How many requests were admitted, and the seconds until there may be a place for the others."""


class SharedWindows:
    """What the windows of all groups have in common: the connections to Redis, and whether it answers.

    Belongs to one event loop, and has to be closed.
    """

    def __init__(self, url: str, pepper: bytes) -> None:
        # A connection that broke while it was idle is made anew; what fails then too is not asked a third time.
        self._pool = ConnectionPool.from_url(url, max_connections=_CONNECTIONS, retry=Retry(NoBackoff(), 1))
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self.storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._pepper = pepper
        self._fails = False
        self._ask_again_at = 0.0

    def window(self, group: str, seconds: int) -> SharedWindow:
        return SharedWindow(self, hmac.digest(self._pepper, group.encode(), "sha256").hex(), seconds)

    def answers(self) -> bool:
        """Return whether to ask Redis; where it fails, again after a while."""
        return not self._fails or time.monotonic() >= self._ask_again_at

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Return what Redis says to `question`, None where it does not answer in time."""
        async with self._connections:
            # It may have turned out meanwhile that Redis fails.
            return await self._ask(question) if self.answers() else None

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer | None:
        # Until the answer is here nobody else asks a Redis that fails.
        self._ask_again_at = time.monotonic() + _PAUSE_SECONDS
        loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)
        # An event loop that stood still finds an answer and the end of its time at once; the answer counts.
        timer = loop.call_later(SECONDS, lambda: limit.reschedule(loop.time() + _GRACE_SECONDS))
        try:
            async with limit:
                answer = await question()
        except Exception as error:  # Whatever Redis does, requests go on.
            self._failed(error)
            return None
        finally:
            timer.cancel()
        self._answered()
        return answer

    def _failed(self, error: Exception) -> None:
        self._ask_again_at = time.monotonic() + _PAUSE_SECONDS
        if not self._fails:
            self._fails = True
            logger.warning(
                "Redis fails (%s): rate limits hold for each process alone until it answers", type(error).__name__
            )

    def _answered(self) -> None:
        if self._fails:
            self._fails = False
            logger.warning("Redis answers again: rate limits hold over all processes")


class SharedWindow:
    """The moments of admission of one group, in Redis.

    Requests that come while Redis is asked are asked for together with the next question: a crowd costs hardly more
    than one request, and the crowd's own weight does not look like a Redis that is slow.
    """

    def __init__(self, shared: SharedWindows, key: str, seconds: int) -> None:
        self._shared = shared
        self._key = key
        self._seconds = seconds
        self._asking: deque[tuple[asyncio.Future[float], int]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def take(self, limit: int) -> float:
        """Return 0.0 where the request is admitted, which it is too where Redis does not answer.

        Otherwise return the seconds until there may be a place, never 0.0.
        """
        if not self._shared.answers():
            return 0.0
        place: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._asking.append((place, limit))
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        return await place

    async def _ask(self) -> None:
        try:
            while self._asking:
                limit = self._asking[0][1]
                places = self._together(limit)
                await self._answer(places, limit)
        finally:
            self._task = None
            self._set(self._together(None), 0.0)

    async def _answer(self, places: list[asyncio.Future[float]], limit: int) -> None:
        admitted, wait = len(places), 0.0
        try:
            if places and (answer := await self._shared.ask(lambda: self._admit(len(places), limit))):
                admitted, wait = answer
        finally:
            self._set(places[:admitted], 0.0)
            self._set(places[admitted:], max(wait, _LEAST_WAIT))

    def _together(self, limit: int | None) -> list[asyncio.Future[float]]:
        """Take out the first requests that have the same limit, None for all; those that went away are left out."""
        places: list[asyncio.Future[float]] = []
        while self._asking and limit in (None, self._asking[0][1]) and len(places) != limit:
            place = self._asking.popleft()[0]
            if not place.done():
                places.append(place)
        return places

    @staticmethod
    def _set(places: list[asyncio.Future[float]], seconds: float) -> None:
        for place in places:
            if not place.done():
                place.set_result(seconds)

    async def _admit(self, count: int, limit: int) -> Answer:
        """Admit as many of `count` requests as there are places for, which are at most `limit`."""
        storage, seconds = self._shared.storage, self._seconds
        if seconds == 1:
            # A list of so many moments would be a burden; a counter is none.
            before = await storage.incr(self._key, seconds, count) - count
            return max(0, min(count, limit - before)), _COUNTER_WAIT
        if await storage.acquire_entry(self._key, limit, seconds, count):
            return count, 0.0
        oldest, taken = await storage.get_moving_window(self._key, limit, seconds)
        admitted = min(count - 1, limit - taken)
        if admitted > 0 and not await storage.acquire_entry(self._key, limit, seconds, admitted):
            admitted = 0
        # The clock of this machine wrote those moments too, or one that should agree with it.
        return admitted, min(oldest + seconds - time.time(), seconds)
