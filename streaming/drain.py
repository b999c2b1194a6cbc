"""Leaving without cutting anyone off: no new streams, time for the running ones, then a polite end for the rest."""

from __future__ import annotations

import asyncio

from django.conf import settings

from streaming.relay import Relay
from wire.errors import StatusError

_began = False


def draining() -> bool:
    return _began


def check() -> None:
    """Raise StatusError (503) while the process is leaving."""
    if _began:
        raise StatusError("The gateway is shutting down, try again", status=503)


def begin() -> None:
    """Begin to leave; runs on the event loop of the server."""
    global _began
    if not _began:
        _began = True
        asyncio.get_running_loop().call_later(settings.ENVIRONMENT.drain_seconds, _end_streams)


def _end_streams() -> None:
    for relay in tuple(Relay.live):
        relay.end(StatusError("The gateway is shutting down, try again", status=503), "drained")
