"""A client that costs little: HTTP/1.1 over an asyncio protocol, which counts deltas without parsing them."""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from typing import cast

_OK = b"HTTP/1.1 200 "
_END = b"\r\n0\r\n\r\n"
# When a paced delta was written, see benchmarks.provider.
_STAMP, _STAMP_BYTES = re.compile(rb"@(\d{15})"), 16


class StreamFailed(Exception):
    """What came is not the stream that was asked for; says what it is."""


class Connection(asyncio.Protocol):
    """A keep-alive connection; one stream at a time. Close it with `close`.

    `delta` are the bytes that begin each delta. `deltas` counts those of the latest stream, also while it runs.
    With `delays`, deltas are counted by their stamps, and how many seconds each was on its way is put there.
    """

    def __init__(self, delta: bytes, delays: array[float] | None = None) -> None:
        self.deltas = 0
        self.first_seconds = 0.0
        """From the request to the first delta."""
        self._delta = delta
        self._delays = delays
        self._kept = (len(delta) if delays is None else _STAMP_BYTES) - 1
        self._unread = b""
        self._asked = 0.0
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def open(cls, port: int, delta: bytes, delays: array[float] | None = None) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: cls(delta, delays), "127.0.0.1", port))[1]

    async def begin(self, request: bytes) -> None:
        """Send `request` and wait for the first delta. Raise StreamFailed."""
        loop = asyncio.get_running_loop()
        self.deltas, self._unread = 0, b""
        self._begun, self._ended = loop.create_future(), loop.create_future()
        self._asked = time.perf_counter()
        self._transport.write(request)
        await self._begun

    async def stream(self, request: bytes) -> int:
        """Send `request`, wait for the end of the stream and return how many deltas it had. Raise StreamFailed."""
        await self.begin(request)
        await self._ended
        return self.deltas

    def is_streaming(self) -> bool:
        return self._begun.done() and not self._ended.done()

    def close(self) -> None:
        self._begun.cancel()
        self._ended.cancel()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: the transports of uvloop are no subclasses.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._unread and not data.startswith(_OK):
            self._fail(data.decode(errors="replace")[:1000])
            return
        data = self._unread + data
        self.deltas += data.count(self._delta) if self._delays is None else self._read_stamps(data, self._delays)
        # A delta or the end may be split between two reads; what is kept is too short to count twice.
        self._unread = data[-self._kept :]
        if self.deltas and not self._begun.done():
            self.first_seconds = time.perf_counter() - self._asked
            self._begun.set_result(None)
        if data.endswith(_END):
            if self._begun.done() and not self._ended.done():
                self._ended.set_result(None)
            self._fail("the stream had no deltas")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was closed")

    def _read_stamps(self, data: bytes, delays: array[float]) -> int:
        now, stamps = time.monotonic(), _STAMP.findall(data)
        delays.extend(now - int(stamp) / 1e6 for stamp in stamps)
        return len(stamps)

    def _fail(self, what: str) -> None:
        for waiting in (self._begun, self._ended):
            if not waiting.done():
                waiting.set_exception(StreamFailed(what))
                # Nobody may be waiting; then asyncio would complain that the exception was never looked at.
                waiting.exception()
