"""What uvicorn's HTTP protocol leaves open: how long a head may be, offers to upgrade, clients that pipeline and go."""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Names and values of all headers, with the request line; one read of the socket may come on top.
MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 16
# The parser takes an offer to upgrade for the end of the request, and its body for something else. Clients that
# offer HTTP/2 over plain text (Java's do, with every request) expect that a server passes over the offer.
_UPGRADE = re.compile(rb"(\r\n)upgrade([ \t]*:)", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """One connection. What each request has in `scope["extensions"]["abort"]["now"]` drops it at once, unsent bytes
    and all."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._head_bytes = 0
        self._unanswered: list[RequestResponseCycle] = []

    def data_received(self, data: bytes) -> None:
        super().data_received(_without_offer(data))
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is larger than [{MAX_HEAD_BYTES}] bytes.")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.scope["extensions"] = {"abort": {"now": self.transport.abort}}
        super().on_headers_complete()
        self._unanswered = [cycle for cycle in self._unanswered if not cycle.response_complete]
        self._unanswered.append(self.cycle)
        if len(self._unanswered) > MAX_PIPELINED:
            self.transport.close()
        elif self.pipeline:
            # Who does not read does not notice either that the client has left.
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells only the newest request.
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)


def _without_offer(data: bytes) -> bytes:
    """Rename the header that offers to upgrade to anything but a WebSocket."""
    if b"pgrade" not in data[:MAX_HEAD_BYTES] and b"PGRADE" not in data[:MAX_HEAD_BYTES]:
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    if b"websocket" in head.lower():
        return data
    return _UPGRADE.sub(rb"\1x-upgrade\2", head) + end + rest
