"""Leaving without cutting anyone off: no new streams, time for the running ones, then a polite end for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from streaming.relay import Relay
from wire.errors import StatusError

_began = False
_ended = False
_answering: set[asyncio.Task[object]] = set()


def draining() -> bool:
    return _began


def check() -> None:
    """Raise StatusError (503) while the process is leaving."""
    if _began:
        raise _leaving()


@asynccontextmanager
async def interruptible() -> AsyncIterator[None]:
    """Let an answer that is not streamed be ended too. Raise StatusError (503) then."""
    task = asyncio.current_task()
    assert task is not None
    _answering.add(task)
    try:
        yield
    except asyncio.CancelledError:
        if not _ended:
            raise
        task.uncancel()
        raise _leaving() from None
    finally:
        _answering.discard(task)


def begin() -> None:
    """Begin to leave; runs on the event loop of the server."""
    global _began
    if not _began:
        _began = True
        asyncio.get_running_loop().call_later(settings.ENVIRONMENT.drain_seconds, _end_streams)


def _end_streams() -> None:
    global _ended
    _ended = True
    for relay in tuple(Relay.live):
        relay.end(_leaving(), "drained")
    for task in tuple(_answering):
        task.cancel()


def _leaving() -> StatusError:
    return StatusError("The gateway is shutting down, try again", status=503)
