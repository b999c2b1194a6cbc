"""One running stream: provider in, events out, and nothing left behind however it ends.

The task that answers the request also reads the provider, so that a client who leaves stops the reading at once,
and a client who reads slowly slows it down. What ends a stream from outside (a limit, a drain) interrupts that task
only while it waits for the provider, and never while it sends: an event is sent whole or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import ClassVar

from endpoints.providers._base import Batch
from wire import times
from wire.errors import ApiError, StatusError
from wire.sse import Framing

logger = logging.getLogger(__name__)

# How often a stream's limits are looked at; they are exact to this many seconds.
_LOOK_SECONDS = 1.0


class Relay:
    """A stream from the first question to its end.

    `open` waits for the first deltas: until then a failure is raised and has a status of its own. `events` yields the
    bytes to send and raises nothing but the cancellation of its task. Whoever made the relay closes it. `outcome`
    says how the stream ended: `complete`, `upstream_error`, `client_gone`, `stalled`, `timed_out` or `drained`.
    """

    live: ClassVar[set[Relay]] = set()

    def __init__(
        self,
        source: AsyncGenerator[Batch, None],
        framing: Framing,
        *,
        total_seconds: float,
        write_seconds: float,
    ) -> None:
        self._source = source
        self._framing = framing
        self._total_seconds = total_seconds
        self._write_seconds = write_seconds
        self._first: list[str] | None = None
        self._ending: ApiError | None = None
        self._waiting = False
        self._sending_since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.outcome = "client_gone"
        self.live.add(self)

    async def open(self, timeout: float | None) -> None:
        """Wait for the first deltas, or for the end of an answer without any. Raise ApiError."""
        try:
            async with asyncio.timeout(timeout):
                self._first = await self._next_texts()
        except TimeoutError:
            self.outcome = "timed_out"
            raise StatusError(f"Request timed out after [{times.elastic(timeout or 0)}]", status=408) from None
        except ApiError:
            self.outcome = "upstream_error"
            raise

    async def events(self) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, loop.time() + self._total_seconds)
        try:
            texts = self._first
            while texts is not None and self._ending is None:
                self._sending_since = loop.time()
                yield self._framing.completion(texts)
                self._sending_since = None
                texts = None if self._ending else await self._next_texts()
            last = self._last()
        except ApiError as error:
            self.outcome = "upstream_error"
            last = self._framing.error(error)
        except asyncio.CancelledError:
            # `end` cancels this task only while the provider is waited for; any other cancellation is not ours.
            if self._ending is None or self._task is None:
                raise
            self._task.uncancel()
            last = self._last()
        except Exception:
            logger.exception("A stream failed by a mistake of the gateway")
            self.outcome = "upstream_error"
            last = self._framing.error(ApiError("internal error of the gateway"))
        self._sending_since = loop.time()
        yield last
        self._stop_timer()

    def _last(self) -> bytes:
        if self._ending is not None:
            return self._framing.error(self._ending)
        self.outcome = "complete"
        return self._framing.done

    def end(self, error: ApiError, outcome: str) -> None:
        """End the stream with `error` as its last event, as soon as no event is being sent."""
        if self._ending is not None:
            return
        self._ending = error
        self.outcome = outcome
        if self._waiting and self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Close the connection to the provider. May be called at any time, and more than once."""
        self._stop_timer()
        self.live.discard(self)
        await self._source.aclose()

    async def _next_texts(self) -> list[str] | None:
        """Return the deltas of the next read that brought any, None at the end of the answer."""
        self._waiting = True
        try:
            async for batch in self._source:
                texts = [choice.delta.content for chunk in batch for choice in chunk.choices if choice.delta.content]
                if texts:
                    return texts
            return None
        finally:
            self._waiting = False

    def _look(self, deadline: float) -> None:
        """Judge the stream's limits, once in a while, instead of at every delta."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._sending_since is not None and now - self._sending_since >= self._write_seconds:
            # Nobody reads: there is no one to tell, so the task is stopped where it is.
            self.outcome = "stalled"
            if self._task is not None:
                self._task.cancel()
            return
        if now >= deadline:
            limit = times.elastic(self._total_seconds)
            self.end(StatusError(f"The stream was ended after its total time of [{limit}]", status=408), "timed_out")
            return
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, deadline)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
