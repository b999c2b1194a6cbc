"""Streams as Django responses."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse

from streaming.relay import Relay
from wire.errors import ApiError
from wire.media_types import EVENT_STREAM
from wire.responses import ErrorResponse
from wire.sse import Framing


class EventStream(StreamingHttpResponse):
    """The events of a relay. Whoever sends it calls `aclose` afterwards, also where nothing was sent."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._events = relay.events()
        super().__init__(self._events, content_type=EVENT_STREAM)
        _prevent_buffering(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        # Django closes what it gets here; its own wrappers would leave the generator in them to the collector.
        return self._events

    async def aclose(self) -> None:
        await self._events.aclose()
        await self._relay.aclose()


def error_event(error: ApiError, framing: Framing) -> HttpResponse:
    """Return one `event: error` with the error's own status: what a stream answers before its first delta."""
    response = ErrorResponse(error, framing.error(error), EVENT_STREAM)
    _prevent_buffering(response)
    return response


def _prevent_buffering(response: HttpResponse | StreamingHttpResponse) -> None:
    """Ask proxies neither to hold events back nor to change them; the second is for nginx."""
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
