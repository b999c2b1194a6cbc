"""The provider's side of HTTP: h11 reads requests, and what is sent is written as it is, HTTP or not."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import h11

# On and at once, for SO_LINGER: closing resets the connection.
_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """`headers` have names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """What the caller proves itself with, wherever it is."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key") or self.headers.get("api-key") or bearer

    def fields(self) -> Mapping[str, Any]:
        """Return the JSON object in the body, an empty one where there is none."""
        with suppress(ValueError, UnicodeDecodeError):
            value = json.loads(self.body)
            if isinstance(value, dict):
                return value
        return {}


class Connection(asyncio.Protocol):
    """One connection of a gateway; `answer` is called with one request after the other."""

    def __init__(self, answer: Callable[[Connection, Request], Awaitable[None]]) -> None:
        self.sent = 0
        """Bytes of the running answer."""
        self.peer_left = False
        self._answer = answer
        self._reader = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._answering: asyncio.Task[None] | None = None
        self._ended_here = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Writing pauses as soon as the system does not take all.
        self._transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer_left = not self._ended_here
        self._writable.set()
        if self._answering is not None:
            self._answering.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.receive_data(data)
            if self._answering is None:
                self._next()
        except h11.RemoteProtocolError:
            self._transport.abort()

    async def write(self, data: bytes) -> None:
        """Write `data` once the peer has read enough of what came before."""
        await self._writable.wait()
        self._transport.write(data)
        self.sent += len(data)

    async def flushed(self) -> None:
        """Wait until the system has taken everything that was written."""
        await self._writable.wait()

    def close(self, *, reset: bool = False) -> None:
        self._ended_here = True
        if reset:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.close()

    def _next(self) -> None:
        """Answer the next request, if the whole of it is here."""
        self._answering = None
        while (event := self._reader.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            match event:
                case h11.Request():
                    self._head, self._body = event, bytearray()
                case h11.Data():
                    self._body += event.data
                case h11.EndOfMessage() if self._head is not None:
                    self._start(self._head)
                    return

    def _start(self, head: h11.Request) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        request = Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(self._body))
        rest, _ = self._reader.trailing_data
        # h11 would have to know the answer before it reads on; another one of it need not.
        self._reader = h11.Connection(h11.SERVER)
        if rest:
            self._reader.receive_data(rest)
        self.sent = 0
        self._answering = asyncio.create_task(self._run(request))
        self._answering.add_done_callback(self._answered)

    async def _run(self, request: Request) -> None:
        await self._answer(self, request)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._transport.is_closing():
            return
        if error := task.exception():
            self._transport.abort()
            raise error
        self._next()
