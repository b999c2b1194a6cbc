"""One request on a connection, and its answer.

aiohttp makes the connections and keeps them. Its client would build and check anew, for each request, what is the same
for all requests of an endpoint, and its reader keeps a timer, a queue and a stream for each answer: both together cost
more than everything that is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import Any

from aiohttp import (
    ClientOSError,
    ClientPayloadError,
    ServerDisconnectedError,
    SocketTimeoutError,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage, ContentEncodingError
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from endpoints.providers._content_encoding import Decoder, decoder
from endpoints.providers._prepared import Prepared

MOST_UNREAD_BYTES = 131_072
# Answers with status 1xx before the one that counts.
MAX_INTERIM_ANSWERS = 20
# Of head, trailers and all else that frames a body, without a byte of it in between.
_MOST_EMPTY_BYTES = 65_536
# A body is written in parts of this size, each when the network has taken those before.
_PART_BYTES = 2**20
_SWITCHING_PROTOCOLS = 101


class Response:
    """The answer to one request, from its head on. Its connection can be used again once its body has ended; `close`
    closes the connection of any other, which is what tells the provider to stop.

    Of what is not read, little more than MOST_UNREAD_BYTES are kept. Failures are those of aiohttp.
    """

    status = 0
    headers: CIMultiDictProxy[str]

    def __init__(self, connection: Connection, url: URL) -> None:
        protocol = connection.protocol
        assert isinstance(protocol, LeanConnection)
        self.url = url
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.ended = False
        """Whether the end of the body is here, be it that not all of it was read."""
        self._connection = connection
        self._protocol = protocol
        self._parser = HttpResponseParser(self)
        self._empty_bytes = 0
        self._interim_answers = 0
        self._ends_with_connection = False
        self._keep_alive = False
        self._parts: deque[bytes] = deque()
        self._unread_bytes = 0
        self._reading_paused = False
        self._decoder: Decoder | None = None
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._longest_silence = 0.0
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def to(
        cls, prepared: Prepared, content: bytes, connection: Connection, first_byte_seconds: float
    ) -> Response:
        """Send a request on `connection`, which is closed unless there is an answer."""
        response = cls(connection, prepared.url)
        protocol = response._protocol
        try:
            protocol.response = response
            head = prepared.head(len(content))
            if len(content) <= _PART_BYTES:
                _write(protocol, head + content)
                await response._head(first_byte_seconds)
            else:
                await response._head_while(_write_parts(protocol, head, content), first_byte_seconds)
        except BaseException:
            response.close()
            raise
        return response

    async def read(self, most: int) -> bytes:
        """Return what has arrived, up to `most` bytes; b"" at the end of the body."""
        while True:
            if data := self.take(most):
                return data
            if self._error is not None:
                raise self._error
            if self.ended:
                return b""
            await self._news()

    def take(self, most: int) -> bytes:
        """Return what has arrived, up to `most` bytes, without waiting."""
        data = self._taken(most) if self._decoder is None else self._decoded(self._decoder, most)
        if self._reading_paused and self._unread_bytes < MOST_UNREAD_BYTES // 2:
            self._reading_paused = False
            self._heard_at = self._loop.time()
            self._protocol.resume()
        return data

    def limit_silence(self, seconds: float) -> None:
        """From now on, reading fails after so many seconds without data."""
        self._longest_silence = seconds
        self._heard_at = self._loop.time()
        self._stop_timer()
        if not self.ended and self._error is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def close(self) -> None:
        self._stop_timer()
        if self._protocol.response is self:
            self._protocol.response = None
            self._connection.close()

    def feed(self, data: bytes) -> None:
        """Is called with what arrives."""
        self._heard_at = self._loop.time()
        self._empty_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._keep_alive = False
        except HttpParserError:
            if not self.ended:
                self._fail(_not_http(self.status))
            self._keep_alive = False
        if self._empty_bytes > _MOST_EMPTY_BYTES and not self.ended:
            self._fail(BadHttpMessage("the answer has too much beside its body"))
        if self.ended or self._error is not None:
            self._let_go()
        elif self._unread_bytes > MOST_UNREAD_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._protocol.pause()
        self._wake()

    def lost(self, error: BaseException | None) -> None:
        """Is called when the connection has ended."""
        if self._ends_with_connection and error is None:
            self.ended = True
        elif not self.ended and self._error is None:
            self._error = _cut_off(self.status, error)
        self._let_go()
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != _SWITCHING_PROTOCOLS:
            self.raw_headers.clear()
            self._interim_answers += 1
            if self._interim_answers > MAX_INTERIM_ANSWERS:
                self._fail(BadHttpMessage("too many interim answers"))
            return
        self.headers = headers = _multidict(self.raw_headers)
        self._keep_alive = self._parser.should_keep_alive()
        self._ends_with_connection = "Content-Length" not in headers and "Transfer-Encoding" not in headers
        if encoding := headers.get("Content-Encoding"):
            self._decoder = decoder(encoding)
        self.status = status

    def on_body(self, data: bytes) -> None:
        if not self.ended:
            self._empty_bytes = 0
            self._parts.append(data)
            self._unread_bytes += len(data)

    def on_message_begin(self) -> None:
        if self.ended:
            # An answer that nobody asked for; the next request would take it for its own.
            self._keep_alive = False

    def on_message_complete(self) -> None:
        if self.status:
            self.ended = True

    async def _head(self, first_byte_seconds: float) -> None:
        self.limit_silence(first_byte_seconds)
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._news()

    async def _head_while(self, writing: Coroutine[Any, Any, None], first_byte_seconds: float) -> None:
        """Who refuses a large body says so early, and then reads no more of it."""
        task = asyncio.create_task(writing)
        try:
            await self._head(first_byte_seconds)
        finally:
            if not task.done():
                self._keep_alive = False
                self._protocol.force_close()
                task.cancel()
            await asyncio.wait((task,))

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _taken(self, most: int) -> bytes:
        parts = self._parts
        if not parts:
            return b""
        if self._unread_bytes <= most:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        else:
            data = parts.popleft()
            if len(data) > most:
                parts.appendleft(data[most:])
                data = data[:most]
        self._unread_bytes -= len(data)
        return data

    def _decoded(self, decoding: Decoder, most: int) -> bytes:
        try:
            while True:
                read = self._taken(most)
                if data := decoding.decode(read, most):
                    return data
                if not read:
                    if self.ended and self._error is None:
                        decoding.check_end()
                    return b""
        except ContentEncodingError as error:
            self._fail(error)
            self.close()
            return b""

    def _look(self) -> None:
        now = self._loop.time()
        # While nobody reads it is not the provider who is silent.
        quiet_since = now if self._reading_paused else self._heard_at
        if now - quiet_since < self._longest_silence:
            self._timer = self._loop.call_at(quiet_since + self._longest_silence, self._look)
            return
        self._timer = None
        self._fail(SocketTimeoutError("no data"))
        self._wake()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error

    def _let_go(self) -> None:
        self._stop_timer()
        if self._protocol.response is not self:
            return
        self._protocol.response = None
        if self.ended and self._keep_alive and self._error is None:
            self._connection.release()
        else:
            self._connection.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LeanConnection(ResponseHandler):
    """A connection of aiohttp's whose answers are read by a Response; those to CONNECT aiohttp reads itself."""

    response: Response | None = None
    _spoiled = False

    def data_received(self, data: bytes) -> None:
        if self.response is not None:
            self.response.feed(data)
        elif self._parser is not None:
            super().data_received(data)
        else:
            # Nobody asked for it.
            self._spoiled = True
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        response = self.response
        super().connection_lost(exc)
        if response is not None:
            response.lost(exc)

    def is_connected(self) -> bool:
        """Is asked before the connection is used again."""
        return super().is_connected() and not self._spoiled

    def pause(self) -> None:
        self._pause_transport_reading()

    def resume(self) -> None:
        self._resume_transport_reading()


def _not_http(status: int) -> Exception:
    return ClientPayloadError("the body is not valid HTTP") if status else BadHttpMessage("the head is not valid HTTP")


def _cut_off(status: int, error: BaseException | None) -> Exception:
    if isinstance(error, OSError):
        return ClientOSError(*error.args)
    return ClientPayloadError("the body was cut off") if status else ServerDisconnectedError()


def _multidict(headers: list[tuple[bytes, bytes]]) -> CIMultiDictProxy[str]:
    decoded = [(name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in headers]
    return CIMultiDictProxy(CIMultiDict(decoded))


def _write(protocol: ResponseHandler, data: bytes) -> None:
    # A connection that was lost since it was handed out says so when it is read.
    if protocol.transport is not None:
        protocol.transport.write(data)


async def _write_parts(protocol: ResponseHandler, head: bytes, content: bytes) -> None:
    _write(protocol, head)
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(content), _PART_BYTES):
            _write(protocol, content[start : start + _PART_BYTES])
            await protocol._drain_helper()
