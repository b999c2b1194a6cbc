"""The HTTP of the fake provider: requests as they come in, answers that are written piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from tests.fakes.provider import FakeProvider


@dataclass(frozen=True)
class Request:
    """`headers` have names in lower case; `connection` numbers the connections from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class Exchange:
    """One request and the answer to it, which behaviours write piece by piece."""

    def __init__(self, provider: FakeProvider, request: Request, connection: Connection) -> None:
        self.provider = provider
        self.request = request
        self._connection = connection

    def start(self, status: int = 200, length: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Write the head; without `length` the body is chunked."""
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"HTTP/1.1 {status} Fake", framing]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._connection.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def start_stream(self, headers: Mapping[str, str] | None = None) -> None:
        self.start(headers={"content-type": "text/event-stream; charset=utf-8", **(headers or {})})

    def write(self, data: bytes) -> None:
        """Write one chunk of the body."""
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def write_slowly(self, data: bytes) -> None:
        """Write a piece of the body, after the caller has read enough of what came before."""
        # Gives way even where nothing is waited for, so that a closed connection is noticed.
        await asyncio.sleep(0)
        await self._connection.writable.wait()
        self.write(data)

    def end(self) -> None:
        """End a chunked body."""
        self._connection.write(b"0\r\n\r\n")

    def write_raw(self, data: bytes) -> None:
        """Write what may not be HTTP."""
        self._connection.write(data)

    def drop(self) -> None:
        """Close the connection, whatever was written."""
        self._connection.drop()

    def whole(self, body: bytes, kind: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole answer."""
        self.start(status, len(body), {"content-type": kind, **(headers or {})})
        self._connection.write(body)

    def json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.whole(json.dumps(value).encode(), "application/json", status, headers)


class Connection(asyncio.Protocol):
    """The server's side of one connection; `answer` writes the answers, one after the other."""

    def __init__(self, provider: FakeProvider, answer: Callable[[Exchange], Awaitable[None]]) -> None:
        self._answer = answer
        self.writable = asyncio.Event()
        self.writable.set()
        self._provider = provider
        self._received = bytearray()
        self._answering: asyncio.Task[None] | None = None
        self._dropped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: the transports of uvloop are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._provider.connections += 1
        self._number = self._provider.connections

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None and not self._answering.done():
            self._answering.cancel()
            if not self._dropped:
                self._provider.was_abandoned()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answering is None:
            self._next()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def drop(self) -> None:
        self._dropped = True
        self._transport.close()

    def _next(self) -> None:
        """Answer the next request, if the whole of it is here."""
        self._answering = None
        head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = bytearray(rest[length:])
        method, path, _ = first.split(" ")
        request = Request(method, path, headers, rest[:length], self._number)
        self._provider.received(request)
        self._answering = asyncio.create_task(self._run(Exchange(self._provider, request, self)))
        self._answering.add_done_callback(self._answered)

    async def _run(self, exchange: Exchange) -> None:
        await self._answer(exchange)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._transport.is_closing():
            return
        if error := task.exception():
            self._transport.close()
            raise error
        self._next()
