"""One request on a connection, and its answer.

aiohttp has connections, their pool and the parser; its client would build and check anew, for each request, what is
the same for all requests of an endpoint. That costs more than everything that is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientRequest, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

# A body is written in parts of this size, each when the network has taken those before.
_PART_BYTES = 2**20
_SWITCHING_PROTOCOLS = 101


@dataclass(slots=True)
class Prepared:
    """A request but for its body, ready to be sent any number of times; who made it has judged its URL."""

    method: str
    # Some services take their key in the query.
    url: URL = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)
    _head: bytes = field(default=b"", init=False, repr=False)
    _request: ClientRequest | None = field(default=None, init=False, repr=False)

    def request(self) -> ClientRequest:
        """Return what aiohttp's connector wants to know. Raise aiohttp.InvalidURL for a URL without a host."""
        if self._request is None:
            self._request = ClientRequest(self.method, self.url, headers=self.headers, loop=asyncio.get_running_loop())
        return self._request

    def head(self, length: int) -> bytes:
        """Return request line and headers; `length` is that of the body that follows."""
        if not self._head:
            headers = self.request().headers
            headers.popall("Content-Length", None)
            line = f"{self.method} {self.url.raw_path_qs} HTTP/1.1"
            self._head = _serialize_headers(line, headers)[:-2]
        if not length and self.method in ClientRequest.GET_METHODS:
            return self._head + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n" % (self._head, length)


class Response:
    """An answer whose head is here. Its connection can be used again once its body has ended, whoever reads it then;
    `close` closes the connection of any other, which is what tells the provider to stop."""

    __slots__ = ("_connection", "content", "headers", "raw_headers", "status", "url")

    content: StreamReader
    headers: CIMultiDictProxy[str]
    raw_headers: Sequence[tuple[bytes, bytes]]
    status: int

    def __init__(self, connection: Connection, url: URL) -> None:
        self._connection = connection
        self.url = url

    @classmethod
    async def to(
        cls, prepared: Prepared, content: bytes, connection: Connection, first_byte_seconds: float
    ) -> Response:
        """Send a request on `connection`, which is closed unless there is an answer. Raise what aiohttp raises."""
        response = cls(connection, prepared.url)
        try:
            protocol = connection.protocol
            assert protocol is not None
            protocol.set_response_params(
                skip_payload=prepared.method == "HEAD", read_until_eof=True, read_timeout=first_byte_seconds
            )
            head = prepared.head(len(content))
            if len(content) <= _PART_BYTES:
                _write(protocol, head + content)
                await response._read_head(protocol)
            else:
                await response._read_head_while(protocol, _write_parts(protocol, head, content))
        except BaseException:
            connection.close()
            raise
        return response

    def close(self) -> None:
        self._connection.close()

    def limit_silence(self, seconds: float) -> None:
        """From now on, reading fails after so many seconds without data."""
        protocol = self._connection.protocol
        if protocol is not None:
            protocol.read_timeout = seconds
            protocol.start_timeout()

    async def _read_head(self, protocol: ResponseHandler) -> None:
        protocol.start_timeout()
        while True:
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == _SWITCHING_PROTOCOLS:
                break
        self.status, self.headers, self.raw_headers = message.code, message.headers, message.raw_headers
        self.content = content
        content.on_eof(self._connection.release)

    async def _read_head_while(self, protocol: ResponseHandler, writing: Coroutine[Any, Any, None]) -> None:
        """Who refuses a large body says so early, and then reads no more of it."""
        task = asyncio.create_task(writing)
        try:
            await self._read_head(protocol)
        finally:
            if not task.done():
                protocol.force_close()
                task.cancel()
            await asyncio.wait((task,))


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
