"""One running stream: provider in, events out, and nothing left behind however it ends.

The task that answers the request also reads the provider, so that a client who leaves stops the reading at once,
and a client who reads slowly slows it down. What ends a stream from outside (a limit, a drain) interrupts that task
only while it waits for the provider, and never while it sends: an event is sent whole or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import ClassVar

from endpoints.providers._base import Batch, Delta
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
    `abort` drops the connection of a client that reads nothing.
    """

    live: ClassVar[set[Relay]] = set()

    def __init__(
        self,
        source: AsyncGenerator[Batch, None],
        framing: Framing,
        *,
        total_seconds: float,
        write_seconds: float,
        abort: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._framing = framing
        self._total_seconds = total_seconds
        self._write_seconds = write_seconds
        self._abort = abort
        self._first: list[str] | None = None
        self._ending: ApiError | None = None
        self._waiting = False
        self._sending_since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.outcome = "client_gone"
        self.live.add(self)

    async def open(self, timeout: float | None) -> None:
        """Wait for the first text, or for the end of an answer without any. Raise ApiError.

        `timeout` is the time for a first sign of an answer; a model that thinks first gives one by its thoughts.
        """
        self._start_timer()
        try:
            async with asyncio.timeout(timeout):
                batch = await self._next_sign()
            if batch is not None:
                self._first = _texts(batch) or await self._next_texts()
        except TimeoutError:
            self.outcome = "timed_out"
            raise StatusError(f"Request timed out after [{times.elastic(timeout or 0)}]", status=408) from None
        except ApiError:
            self.outcome = "upstream_error"
            raise
        except asyncio.CancelledError:
            raise self._interrupted() from None

    async def events(self) -> AsyncGenerator[bytes, None]:
        now = asyncio.get_running_loop().time
        try:
            texts = self._first
            while texts is not None and self._ending is None:
                self._sending_since = now()
                yield self._framing.completion(texts)
                self._sending_since = None
                texts = None if self._ending else await self._next_texts()
            last = self._last()
        except ApiError as error:
            self.outcome = "upstream_error"
            last = self._framing.error(error)
        except asyncio.CancelledError:
            last = self._framing.error(self._interrupted())
        except Exception:
            logger.exception("A stream failed by a mistake of the gateway")
            self.outcome = "upstream_error"
            last = self._framing.error(ApiError("internal error of the gateway"))
        self._sending_since = now()
        yield last
        self._stop_timer()

    def _interrupted(self) -> ApiError:
        """Return why `end` interrupted the wait for the provider. Raise CancelledError where it was somebody else."""
        if self._ending is None or self._task is None:
            raise asyncio.CancelledError
        self._task.uncancel()
        return self._ending

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

    async def _next_sign(self) -> Batch | None:
        """Return the first batch that says anything, thoughts among it; None at the end of the answer."""
        self._waiting = True
        try:
            async for batch in self._source:
                if any(_says_something(choice.delta) for chunk in batch for choice in chunk.choices):
                    return batch
            return None
        finally:
            self._waiting = False

    async def _next_texts(self) -> list[str] | None:
        """Return the deltas of the next read that brought any, None at the end of the answer."""
        self._waiting = True
        try:
            async for batch in self._source:
                if texts := _texts(batch):
                    return texts
            return None
        finally:
            self._waiting = False

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, loop.time() + self._total_seconds)

    def _look(self, deadline: float) -> None:
        """Judge the stream's limits, once in a while, instead of at every delta."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._sending_since is not None and now - self._sending_since >= self._write_seconds:
            self._drop()
            return
        if now >= deadline:
            limit = times.elastic(self._total_seconds)
            self.end(StatusError(f"The stream was ended after its total time of [{limit}]", status=408), "timed_out")
            return
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, deadline)

    def _drop(self) -> None:
        """Stop where nobody reads: there is no one to tell."""
        self.outcome = "stalled"
        if self._abort is not None:
            self._abort()
        elif self._task is not None:
            self._task.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _texts(batch: Batch | None) -> list[str]:
    return [choice.delta.content for chunk in batch or () for choice in chunk.choices if choice.delta.content]


def _says_something(delta: Delta) -> bool:
    return bool(delta.content or delta.reasoning or delta.tool_calls)
