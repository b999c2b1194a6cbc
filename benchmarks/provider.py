"""A provider that streams as each of the vendors does, and does as little as it can for that: what a stream is told by
its prompt. The bytes of answers are made once.

python -m benchmarks.provider
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import time
from contextlib import suppress
from functools import cache
from typing import ClassVar, cast

import httptools
import uvloop

from benchmarks.wires import ANTHROPIC, COHERE, GEMINI, OPENAI, WATSONX, Wire

OPEN_STREAMS = "/open-streams"
"""Answers with the number of paced streams that are not over."""
_ORDER = re.compile(rb"burst:(\d+)|late:([\d.]+):(\d+)|pace:([\d.]+):(\d+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_0123456789abcdef\r\n"
    b"openai-processing-ms: 12\r\ntransfer-encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
_TOKEN = json.dumps({"access_token": "benchmark", "token_type": "Bearer", "expires_in": 3600}).encode()
# By what the path of a request has in it; all others are OpenAI's.
_WIRES = {wire.path: wire for wire in (ANTHROPIC, COHERE, GEMINI, WATSONX)}
# However fast streams are opened, their deltas come evenly spread: multiples of the golden ratio's fraction do.
_GOLDEN = 0.6180339887498949


def stamped() -> bytes:
    """Return the text of a delta that says when it was written, in microseconds of the monotonic clock."""
    return b" @%015d" % (time.monotonic_ns() // 1000)


@cache
def burst(wire: Wire, deltas: int) -> bytes:
    """Return a whole answer. Each event is a chunk of its own, as servers write them, and no two texts are the same:
    LiteLLM ends a stream that repeats itself."""
    events = [wire.event(b" w%04d" % number) for number in range(deltas)]
    return _HEAD + b"".join(map(_chunk, [wire.head, *events, wire.tail])) + _END


class Connection(asyncio.Protocol):
    """The server's side of a connection. `streams` are the paced streams of all of them that are not over."""

    streams: ClassVar[set[Paced]] = set()

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body = b""
        self._later: asyncio.TimerHandle | None = None
        self._paced: Paced | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: the transports of uvloop are no subclasses.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._paced is not None:
            self._paced.stop()
        if self._later is not None:
            self._later.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._path = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        order = _ORDER.search(self._body)
        if order is None:
            self._answer(str(len(self.streams)).encode() if self._path == OPEN_STREAMS.encode() else _TOKEN)
            return
        path = self._path.decode("latin-1")
        wire = next((wire for part, wire in _WIRES.items() if part in path), OPENAI)
        at_once, seconds, late, apart, paced = order.groups()
        if at_once:
            self.transport.write(burst(wire, int(at_once)))
        elif late:
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(float(seconds), self.transport.write, burst(wire, int(late)))
        else:
            self._paced = Paced(self.transport, wire, float(apart), int(paced))

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


class Paced:
    """A stream with a delta every `apart` seconds, the first at once; the times do not drift."""

    _started = 0

    def __init__(self, transport: asyncio.Transport, wire: Wire, apart: float, deltas: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._wire = wire
        self._before, self._after = wire.event(b"\0").split(b"\0")
        self._size = b"%x\r\n" % (len(self._before) + len(stamped()) + len(self._after))
        self._apart = apart
        self._left = deltas - 1
        Paced._started += 1
        self._due = self._loop.time() + apart * (Paced._started * _GOLDEN % 1)
        transport.write(_HEAD + _chunk(wire.head) + self._delta())
        Connection.streams.add(self)
        self._next: asyncio.TimerHandle = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        self._next.cancel()
        Connection.streams.discard(self)

    def _tick(self) -> None:
        if not self._left:
            self._transport.write(_chunk(self._wire.tail) + _END)
            self.stop()
            return
        self._left -= 1
        self._transport.write(self._delta())
        self._due += self._apart
        self._next = self._loop.call_at(self._due, self._tick)

    def _delta(self) -> bytes:
        return b"%b%b%b%b\r\n" % (self._size, self._before, stamped(), self._after)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    # What lives here lives to the end; looking for garbage among ten thousand streams would make deltas late.
    gc.disable()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve())
