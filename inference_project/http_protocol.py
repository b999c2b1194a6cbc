"""What uvicorn's HTTP protocol leaves open: how long a head may be, offers to upgrade, clients that pipeline and go,
clients that do not read, and how long a connection outlasts the server's stop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from inference_project.gathering_transport import GatheringTransport
from inference_project.write_limit import WriteLimit
from streaming import drain

# Names and values of all headers, with the request line; one read of the socket may come on top.
MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 16
# For a head, from the opening of the connection or from its first byte; kept connections have a limit of uvicorn's.
HEAD_SECONDS = 60.0
# When the server stops, a connection may still be sent the end of its answer, or the rest of its request, for so long.
CLOSE_SECONDS = 5.0
# The parser takes an offer to upgrade for the end of the request, and its body for something else. Clients that
# offer HTTP/2 over plain text (Java's do, with every request) expect that a server passes over the offer.
_UPGRADE = re.compile(rb"(\r\n)upgrade([ \t]*:)", re.IGNORECASE)
_WEBSOCKET = re.compile(rb"\r\nupgrade[ \t]*:[ \t]*websocket", re.IGNORECASE)
_write_seconds = settings.ENVIRONMENT.write_seconds


class Client:
    """Who sent one request; the extension `client` of its scope. `on_leave` is called when he leaves before the end
    of the answer; `limit_write` sets another limit for the answer."""

    __slots__ = ("limit_write", "on_leave")

    def __init__(self, limit_write: Callable[[float], None]) -> None:
        self.limit_write = limit_write
        self.on_leave: Callable[[], object] | None = None


class HttpProtocol(HttpToolsProtocol):
    """One connection. A client that takes nothing of what is sent for `write_seconds` is dropped, unsent bytes and
    all. `scope["extensions"]["client"]` is a Client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._unanswered: list[tuple[RequestResponseCycle, Client]] = []

    def connection_made(self, transport: Any) -> None:
        self._gathering = GatheringTransport(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._gathering))
        self._write_limit = WriteLimit(transport, _write_seconds)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data if self._in_body else _without_offer(data))
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is larger than [{MAX_HEAD_BYTES}] bytes.")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop_head_timer()
        client = Client(self._set_write_limit)
        extensions: dict[str, Any] = {"client": client}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        self._unanswered = [one for one in self._unanswered if not one[0].response_complete]
        self._unanswered.append((self.cycle, client))
        if len(self._unanswered) > MAX_PIPELINED:
            self.transport.close()
        elif self.pipeline:
            # Who does not read does not notice either that the client has left.
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if not self.pipeline:
            return
        if len(self.cycle.body) > settings.MAX_BODY_BYTES:
            self.transport.close()
        else:
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        # From here on another protocol writes.
        self.transport = self._gathering.gathered
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if any(not cycle.response_complete for cycle, _ in self._unanswered):
            # It would stand inside the answer that is being sent.
            self.transport.close()
        else:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        # uvicorn tells only the newest request.
        for cycle, client in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                if client.on_leave is not None:
                    client.on_leave()
        self._write_limit.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More is unsent than should be; from here on somebody waits for the client."""
        super().pause_writing()
        self._write_limit.watch()

    def resume_writing(self) -> None:
        self._write_limit.drained()
        super().resume_writing()

    def on_response_complete(self) -> None:
        self._gathering.flush()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            # Closing waits until all is sent, for ever if need be.
            self._write_limit.watch()

    def shutdown(self) -> None:
        """Close the connection when its request is answered, or in CLOSE_SECONDS; is called when the server stops."""
        super().shutdown()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # The answer before may have had another limit.
        self._write_limit.seconds = _write_seconds
        if drain.draining():
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _set_write_limit(self, seconds: float) -> None:
        self._write_limit.seconds = seconds


def _without_offer(data: bytes) -> bytes:
    """Rename the header that offers to upgrade to anything but a WebSocket."""
    if b"pgrade" not in data[:MAX_HEAD_BYTES] and b"PGRADE" not in data[:MAX_HEAD_BYTES]:
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    if _WEBSOCKET.search(head):
        return data
    return _UPGRADE.sub(rb"\1x-upgrade\2", head) + end + rest
