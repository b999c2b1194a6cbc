"""Streams as Django responses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from streaming.relay import Relay
from wire.errors import ApiError
from wire.media_types import EVENT_STREAM
from wire.responses import ErrorResponse
from wire.sse import Framing


class EventStream(StreamingHttpResponse):
    """The events of a relay. Whoever sends it calls `aclose` afterwards, also where nothing was sent."""

    def __init__(self, relay: Relay, framing: Framing) -> None:
        self._relay = relay
        self._events = relay.events()
        self._comment = {"type": "http.response.body", "body": framing.comment, "more_body": True}
        self._commenting: asyncio.Task[None] | None = None
        super().__init__(self._events, content_type=EVENT_STREAM)
        _prevent_buffering(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Django closes what it gets here; its own wrappers would leave the generator in them to the collector.
        return self._events

    async def send_to(self, send: Any) -> None:
        """Send head and events with the server's `send`, and comments where nothing else is sent for a while.

        An event is one message, however long it is, so that no comment can come into it.
        """
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in self.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        self._relay.on_silence = lambda: self._comment_once(send)
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": not self._relay.over})

    async def aclose(self) -> None:
        if self._commenting is not None:
            self._commenting.cancel()
        await self._events.aclose()
        await self._relay.aclose()

    def _comment_once(self, send: Any) -> None:
        # Where the one before could not be sent yet, the client is not waiting for anything.
        if self._commenting is None or self._commenting.done():
            self._commenting = asyncio.create_task(_quietly(send(self._comment)))


async def _quietly(sending: Any) -> None:
    with contextlib.suppress(OSError):
        await sending


def error_event(error: ApiError, framing: Framing) -> HttpResponse:
    """Return one `event: error` with the error's own status: what a stream answers before its first delta."""
    response = ErrorResponse(error, framing.error(error), EVENT_STREAM)
    _prevent_buffering(response)
    return response


def _prevent_buffering(response: HttpResponse | StreamingHttpResponse) -> None:
    """Ask proxies neither to hold events back nor to change them; the second is for nginx."""
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
