"""One running stream: provider in, events out, and nothing left behind however it ends.

The task that answers the request also reads the provider, so that a client who leaves stops the reading at once,
and a client who reads slowly slows it down. What ends a stream from outside (a limit, a drain) interrupts that task
only while it waits for the provider, and never while it sends: an event is sent whole or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from endpoints.providers._base import Batch
from streaming.watch import Watch
from wire.errors import ApiError
from wire.sse import Framing

if TYPE_CHECKING:
    # The server's protocol imports this module before there are models.
    from usage.record import Outcome, Record

logger = logging.getLogger(__name__)

LAST_EVENT_SECONDS = 5.0
"""How long a stream that is ended from outside may take to send the event that it sends, and the last one."""


class Relay:
    """A stream from the first question to its end.

    `open` waits for the first deltas: until then a failure is raised and has a status of its own. `events` yields the
    bytes to send and raises nothing but the cancellation of its task. Whoever made the relay closes it; then `record`
    is finished. `on_silence` is called when the client should be sent a comment; it must not wait.
    """

    live: ClassVar[set[Relay]] = set()

    def __init__(self, source: AsyncGenerator[Batch, None], framing: Framing, watch: Watch, record: Record) -> None:
        self.record = record
        self.on_silence: Callable[[], None] | None = None
        self.over = False
        """Whether the event that was yielded is the last one."""
        self._source = source
        self._framing = framing
        self._watch = watch
        self._first: list[str] | None = None
        self._ending: ApiError | None = None
        self._task: asyncio.Task[object] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._releasing: asyncio.Future[None] | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self._closed = False
        self.live.add(self)

    async def open(self, timeout: float, admission: Awaitable[object] | None = None) -> None:
        """Wait for `admission`, then for the first text, or for the end of an answer without any. Raise ApiError.

        `timeout` are the seconds up to a first sign of an answer; a model that thinks first gives one by its
        thoughts.
        """
        self._task = asyncio.current_task()
        self._watch.start(self, timeout)
        try:
            if self._ending is not None:
                # Ended before this task began, as a drain may do it.
                raise self._ending
            if admission is not None:
                await admission
            if await self._heard():
                self._first = self._first or await self._next_texts()
        except asyncio.CancelledError:
            raise self._interrupted() from None
        except Exception as error:
            self.record.fail(error)
            raise
        finally:
            self._watch.waiting_since = None

    async def open_within(self, seconds: float, opening: Awaitable[None]) -> None:
        """Wait for `opening`, a call of `open`, for so long at most; `events` waits for the rest.

        Raise what `open` raises.
        """
        self._opening = asyncio.ensure_future(opening)
        await asyncio.wait((self._opening,), timeout=seconds)
        if self._opening.done():
            await self._opening

    async def events(self) -> AsyncGenerator[bytes, None]:
        self.record.committed = True
        try:
            if self._opening is not None:
                if not self._opening.done():
                    yield self._framing.comment
                await self._opening
            self._task = asyncio.current_task()
            texts, self._first = self._first, None
            while texts is not None and self._ending is None:
                self.record.said(len(texts))
                yield self._framing.completion(texts)
                texts = None if self._ending else await self._next_texts()
            last = self._last()
        except ApiError as error:
            if error is not self._ending:
                self.record.fail(error)
            last = self._framing.error(error)
        except asyncio.CancelledError:
            last = self._framing.error(self._interrupted())
        except Exception as error:
            logger.exception("A stream failed by a mistake of the gateway")
            self.record.fail(error)
            last = self._framing.error(ApiError("internal error of the gateway"))
        # A comment must not come behind the last event.
        self.on_silence = None
        self._watch.stop()
        self.over = True
        yield last
        # Who did not take the end has not been told it.
        if last is self._framing.done:
            self.record.outcome = "complete"

    def end(self, error: ApiError, outcome: Outcome) -> None:
        """End the stream with `error` as its last event, as soon as no event is being sent."""
        if self._ending is not None:
            return
        self._ending = error
        self.record.outcome = outcome
        if not self.record.committed:
            self.record.status = error.status
        if self._task is None:
            return
        if self._watch.waiting_since is not None:
            self._task.cancel()
        elif self.record.committed:
            # An event is being sent, to a client that may take it slowly or never.
            self._releasing = asyncio.ensure_future(self._source.aclose())
            self._cutting = asyncio.get_running_loop().call_later(LAST_EVENT_SECONDS, self._task.cancel)

    def beat(self) -> None:
        if self.on_silence is not None:
            self.on_silence()

    async def aclose(self) -> None:
        """Close the connection to the provider. May be called at any time, and more than once."""
        if self._closed:
            return
        self._closed = True
        self._watch.stop()
        if self._cutting is not None:
            self._cutting.cancel()
        self.live.discard(self)
        try:
            if self._opening is not None and not self._opening.done():
                self._opening.cancel()
                await asyncio.wait((self._opening,))
            if self._releasing is not None:
                await asyncio.wait((self._releasing,))
            await self._source.aclose()
        finally:
            self.record.finish()

    def _interrupted(self) -> ApiError:
        """Return why `end` interrupted the wait for the provider. Raise CancelledError where it was somebody else."""
        if self._ending is None or self._task is None:
            raise asyncio.CancelledError
        self._task.uncancel()
        return self._ending

    def _last(self) -> bytes:
        if self._ending is not None:
            return self._framing.error(self._ending)
        return self._framing.done

    async def _heard(self) -> bool:
        """Wait for the first batch that says anything, thoughts among it; return whether there was one."""
        async for batch in self._source:
            self.record.count(batch)
            if _says_something(batch):
                self._watch.heard()
                self._first = _texts(batch) or None
                return True
        return False

    async def _next_texts(self) -> list[str] | None:
        """Return the deltas of the next read that brought any, None at the end of the answer."""
        self._watch.waits()
        try:
            async for batch in self._source:
                self.record.count(batch)
                if texts := _texts(batch):
                    return texts
                if _says_something(batch):
                    self._watch.heard()
            return None
        finally:
            self._watch.waiting_since = None


def _texts(batch: Batch) -> list[str]:
    return [choice.delta.content for chunk in batch for choice in chunk.choices if choice.delta.content]


def _says_something(batch: Batch) -> bool:
    deltas = (choice.delta for chunk in batch for choice in chunk.choices)
    return any(delta.content or delta.reasoning or delta.tool_calls for delta in deltas)
