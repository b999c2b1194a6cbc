"""The floor: what a gateway in Python costs that does nothing but pass on. Both have no limits and handle no failure.

python -m benchmarks.relays bytes 8081 9000      # the port to listen at, and the provider's
python -m benchmarks.relays parsing 8082 9000
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import deque
from contextlib import suppress
from typing import cast

import httptools
import msgspec
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'event: message\ndata: {"completion":[%b]}\n\n'
_LAST = b"event: message\ndata: [DONE]\n\n"
_END = b"0\r\n\r\n"
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"authorization: Bearer benchmark-key\r\ncontent-length: %d\r\n\r\n%b"
)


class ByteRelay(asyncio.Protocol):
    """A client's connection, whose bytes go to a connection of its own to the provider, and back, unread."""

    def __init__(self, provider: int) -> None:
        self._provider = provider
        self._waiting = b""
        self._upstream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self._upstream is None:
            self._waiting += data
        else:
            self._upstream.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._upstream, _ = await loop.create_connection(lambda: _Back(self._transport), "127.0.0.1", self._provider)
        self._upstream.write(self._waiting)


class _Back(asyncio.Protocol):
    """The connection to the provider."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()


class _Asked(msgspec.Struct):
    input: str


class _Delta(msgspec.Struct):
    content: str = ""


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


_asked = msgspec.json.Decoder(_Asked)
_chunk = msgspec.json.Decoder(_Chunk)
_encode = msgspec.json.encode


class ParsingRelay(asyncio.Protocol):
    """A client's connection: HTTP is parsed on both sides and every delta of OpenAI is read and put into the event in
    which the gateway sends it, all that came in one read in one. Connections to the provider are kept."""

    idle: deque[_Provider] = deque()

    def __init__(self, provider: int) -> None:
        self._provider = provider
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._upstream: _Provider | None = None
        self._asking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asking is not None:
            self._asking.cancel()
        if self._upstream is not None:
            self._upstream.transport.close()

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        messages = [{"role": "user", "content": _asked.decode(self._body).input}]
        body = _encode({"model": "gpt-5", "messages": messages, "stream": True})
        request = _REQUEST % (len(body), body)
        if self.idle:
            self._ask(self.idle.pop(), request)
        else:
            self._asking = asyncio.create_task(self._connect(request))

    def ended(self) -> None:
        assert self._upstream is not None
        self.idle.append(self._upstream)
        self._upstream = None

    async def _connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(_Provider, "127.0.0.1", self._provider)
        self._ask(upstream, request)

    def _ask(self, upstream: _Provider, request: bytes) -> None:
        self._upstream = upstream
        upstream.ask(self, request)


class _Provider(asyncio.Protocol):
    """A connection to the provider; one stream at a time."""

    def __init__(self) -> None:
        self._client: ParsingRelay | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._unread: list[bytes] = []
        self._begun = self._complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._client.transport.close()
        elif self in ParsingRelay.idle:
            ParsingRelay.idle.remove(self)

    def ask(self, client: ParsingRelay, request: bytes) -> None:
        self._client, self._parser = client, httptools.HttpResponseParser(self)
        self._unread, self._begun, self._complete = [], False, False
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._client is None or self._parser is None:
            return
        self._parser.feed_data(data)
        client, sent = self._client, b""
        events = self._events()
        if events:
            sent = b"%x\r\n%b\r\n" % (len(events), events)
        if not self._begun:
            sent, self._begun = _HEAD + sent, True
        if self._complete:
            sent, self._client = sent + _END, None
            client.ended()
        client.transport.write(sent)

    def on_body(self, body: bytes) -> None:
        self._unread.append(body)

    def on_message_complete(self) -> None:
        self._complete = True

    def _events(self) -> bytes:
        """Return the events for what was read; the rest of it is kept."""
        *lines, rest = b"".join(self._unread).split(b"\n\n")
        self._unread, texts, last = [rest], list[str](), b""
        for line in lines:
            if line == b"data: [DONE]":
                last = _LAST
                continue
            texts += [choice.delta.content for choice in _chunk.decode(line[6:]).choices if choice.delta.content]
        deltas = b",".join([b'{"delta":%b}' % _encode(text) for text in texts])
        return (_EVENT % deltas if deltas else b"") + last


async def _serve(kind: str, port: int, provider: int) -> None:
    relay = {"bytes": ByteRelay, "parsing": ParsingRelay}[kind]
    server = await asyncio.get_running_loop().create_server(lambda: relay(provider), "127.0.0.1", port, backlog=4096)
    # As in the provider: nothing here is garbage in a circle.
    gc.disable()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(sys.argv[1], *map(int, sys.argv[2:])))
