"""Leaving without cutting anyone off: no new requests, time for the running ones, then a polite end for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from django.conf import settings

from streaming.relay import Relay
from usage import limits
from wire.errors import ShuttingDown

_LOOK_SECONDS = 0.05
_began = False
_refusing = False
_ended = False
_answering: set[asyncio.Task[object]] = set()


def draining() -> bool:
    """Whether new requests should go elsewhere."""
    return _began


def check() -> None:
    """Raise ShuttingDown where new inference requests are no longer taken."""
    if _refusing:
        raise ShuttingDown(refusal="draining")


@asynccontextmanager
async def interruptible() -> AsyncIterator[None]:
    """Let an answer that is not streamed be ended too. Raise ShuttingDown then."""
    task = asyncio.current_task()
    assert task is not None
    _answering.add(task)
    try:
        yield
    except asyncio.CancelledError:
        if not _ended:
            raise
        task.uncancel()
        raise ShuttingDown from None
    finally:
        _answering.discard(task)


def begin(stop: Callable[[], None]) -> None:
    """Begin to leave, once; `stop` is called when the server has to stop. Runs on the event loop of the server.

    Until then it listens: who asks it gets an answer, be it a refusal, and not a connection that breaks.
    """
    global _began
    if not _began:
        _began = True
        asyncio.get_running_loop().call_later(settings.ENVIRONMENT.shutdown_delay_seconds, _refuse, stop)


def end(stop: Callable[[], None]) -> None:
    """End at once what still runs, each request with an error of its own, and call `stop`."""
    global _began, _refusing, _ended
    _began = _refusing = _ended = True
    for relay in tuple(Relay.live):
        relay.end(ShuttingDown(), "drained")
    for task in tuple(_answering):
        task.cancel()
    stop()


def _refuse(stop: Callable[[], None]) -> None:
    global _refusing
    _refusing = True
    _end_when_idle(asyncio.get_running_loop().time() + settings.ENVIRONMENT.drain_seconds, stop)


def _end_when_idle(deadline: float, stop: Callable[[], None]) -> None:
    """End when no inference request is open any more, at `deadline` at the latest."""
    loop = asyncio.get_running_loop()
    if _ended:
        return
    if limits.slots.open and loop.time() < deadline:
        loop.call_later(_LOOK_SECONDS, _end_when_idle, deadline, stop)
    else:
        end(stop)
