"""The client's side of one request: every byte that came and when, and how it ended.

h11 reads the framing, so that a body which was broken off is not taken for one that ended.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import h11

_READ_BYTES = 65_536
_LARGEST_HEAD = 2**20
_AT_ONCE = struct.pack("ii", 1, 0)


class Transfer(Enum):
    """How the answer ended, as HTTP."""

    WHOLE = "whole"
    BROKEN = "broken off"
    NONE = "no answer"
    ENDLESS = "no end"
    LEFT = "left by the client"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None
    """What is sent as JSON; None for nothing."""


@dataclass
class Seen:
    """Times are seconds of CLOCK_MONOTONIC. `reads` are the pieces of the body; `head` is what came before it."""

    started: float
    ended: float = 0.0
    status: int = 0
    head: bytes = b""
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    transfer: Transfer = Transfer.NONE
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """The first piece of the body is here."""

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.reads)

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class Leaving:
    """When the client goes: `when` is awaited from the moment at which the request was sent."""

    when: Callable[[Seen], Awaitable[object]]
    reset: bool = False
    stops_reading: bool = False
    """After the first text nothing is read any more."""


async def ask(base_url: str, request: Request, patience: float, leaving: Leaving | None = None) -> Seen:
    """Send the request and read the answer to its end, but no longer than `patience` seconds. Never raises."""
    seen = Seen(time.monotonic())
    writer = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await _connect(base_url)
            writer.write(_bytes(base_url, request))
            if leaving is None:
                await _read(reader, seen)
            else:
                await _read_until(reader, seen, leaving)
    except TimeoutError:
        seen.transfer = Transfer.ENDLESS
    except OSError:
        seen.transfer = Transfer.BROKEN if seen.status else Transfer.NONE
    finally:
        seen.ended = time.monotonic()
        if writer is not None:
            _leave(writer, reset=leaving is not None and leaving.reset)
    return seen


async def ask_json(base_url: str, request: Request, patience: float = 30.0) -> tuple[int, Any]:
    """Return the status, 0 where there was no answer, and the JSON in the body, None where it has none."""
    seen = await ask(base_url, request, patience)
    with suppress(ValueError):
        return seen.status, json.loads(seen.body)
    return seen.status, None


async def _connect(base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(base_url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    return await asyncio.open_connection(parts.hostname, parts.port or (443 if tls else 80), ssl=tls)


def _bytes(base_url: str, request: Request) -> bytes:
    content = b"" if request.body is None else json.dumps(request.body).encode()
    parts = urlsplit(base_url)
    headers = {"Host": parts.netloc, **request.headers, "Content-Length": str(len(content))}
    if content:
        headers["Content-Type"] = "application/json"
    lines = [f"{request.method} {parts.path}{request.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _read_until(reader: asyncio.StreamReader, seen: Seen, leaving: Leaving) -> None:
    """Read until the client leaves, or the answer ends before that."""
    reading = asyncio.create_task(_read(reader, seen, stop=leaving.stops_reading))
    going = asyncio.ensure_future(leaving.when(seen))
    try:
        await asyncio.wait({reading, going}, return_when=asyncio.FIRST_COMPLETED)
        if not going.done() and leaving.stops_reading:
            await going
        if going.done():
            seen.transfer = Transfer.LEFT
        else:
            reading.result()
    finally:
        for task in (reading, going):
            task.cancel()
        await asyncio.gather(reading, going, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, seen: Seen, *, stop: bool = False) -> None:
    """Read to the end of the answer; with `stop`, no further than the first piece of the body."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    while True:
        data = await reader.read(_READ_BYTES)
        if not seen.status:
            seen.head += data
        try:
            http.receive_data(data)
            if _take(http, seen) or not data:
                return
        except h11.RemoteProtocolError:
            seen.transfer = Transfer.BROKEN if seen.status else Transfer.NONE
            return
        if stop and seen.reads:
            return


def _take(http: h11.Connection, seen: Seen) -> bool:
    """Take what was received; return whether that was all."""
    at = time.monotonic()
    while (event := http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        match event:
            case h11.Response():
                seen.status = event.status_code
            case h11.Data():
                seen.reads.append((at, bytes(event.data)))
                seen.begun.set()
            case h11.EndOfMessage():
                seen.transfer = Transfer.WHOLE
                return True
            case h11.ConnectionClosed():
                return True
    return False


def _leave(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    # What was not read is not waited for.
    writer.transport.abort() if reset else writer.close()
