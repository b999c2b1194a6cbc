"""A gateway that speaks OpenAI's API and passes on what a provider sends, with one sin of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

LIMIT_SECONDS = 3.0
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


class Cut(Exception):
    """The provider did not end its answer. `status` is its own, where that was no success."""

    def __init__(self, status: int = 502, message: str = "the provider failed") -> None:
        super().__init__(message)
        self.status = status


@dataclass
class BadGateway:
    """`sin` is what it does wrong: nothing, or one of those that are named in its methods."""

    provider: str
    sin: str = ""
    url: str = ""
    _lost: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BadGateway]:
        self._server = server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._lost:
                task.cancel()
            await asyncio.gather(*self._lost, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length)
        passing = asyncio.create_task(self._pass_on(head, body, writer))
        gone = asyncio.create_task(reader.read(1))
        await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if self.sin == "keeps the provider":
            self._lost.add(passing)
        else:
            passing.cancel()
        await asyncio.wait({passing} if self.sin != "keeps the provider" else {gone})
        writer.close()
        if self.sin == "dies":
            self._server.close()

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer one request, after one failure more than once where the sin is to ask again."""
        started = False
        attempts = 2 if self.sin == "asks again midway" else 1
        with suppress(ConnectionError):
            for attempt in range(attempts):
                try:
                    async for event in self._events(body):
                        if not started:
                            started = True
                            writer.write(_HEAD)
                        writer.write(_chunk(event))
                        if self.sin != "reads ahead":
                            await writer.drain()
                    writer.write(b"0\r\n\r\n" if started else _refusal(Cut()))
                    break
                except Cut as cut:
                    if attempt + 1 < attempts:
                        continue
                    await self._fail(cut, writer, head, started=started)
            await writer.drain()

    async def _fail(self, cut: Cut, writer: asyncio.StreamWriter, head: bytes, *, started: bool) -> None:
        error = b'data: {"error":{"message":"cut off"}}\n\n'
        if self.sin == "shows the key":
            writer.write(_refusal(cut) if not started else _chunk(error) + b"0\r\n\r\n")
        elif self.sin == "hangs":
            await asyncio.sleep(3600)
        elif not started and self.sin == "says 200":
            writer.write(_HEAD + _chunk(error) + b"0\r\n\r\n")
        elif not started:
            writer.write(_refusal(Cut(cut.status)))
        elif self.sin == "says [DONE]":
            writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        elif self.sin == "says error and [DONE]":
            writer.write(_chunk(error + b"data: [DONE]\n\n") + b"0\r\n\r\n")
        elif self.sin == "ends silently":
            writer.write(b"0\r\n\r\n")
        elif self.sin != "breaks off":
            writer.write(_chunk(error) + b"0\r\n\r\n")

    async def _events(self, body: bytes) -> AsyncIterator[bytes]:
        """Yield the provider's whole events. Raise Cut."""
        kept: list[bytes] = []
        number = 0
        async for event in _provider_events(self.provider, body, limited=self.sin != "has no limit"):
            number += b'"content":"' in event and b'"content":""' not in event
            if self.sin == "loses a delta" and number == 2:
                continue
            if self.sin in ("buffers", "swaps deltas"):
                kept.append(event)
                continue
            if self.sin == "garbles text":
                event = event.replace(b" two", b" tvvo")
            yield event
        if self.sin == "swaps deltas" and len(kept) > 3:
            kept[1], kept[2] = kept[2], kept[1]
        for event in kept:
            yield event


async def _provider_events(provider: str, body: bytes, *, limited: bool) -> AsyncIterator[bytes]:
    parts = urlsplit(provider)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-provider\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        http.send(h11.EndOfMessage())
        buffered, status = b"", 0
        while True:
            event = http.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                buffered += event.data
                *whole, buffered = buffered.split(b"\n\n")
                for one in whole if status == 200 else ():
                    yield one + b"\n\n"
            elif event is h11.NEED_DATA:
                async with asyncio.timeout(LIMIT_SECONDS if limited else None):
                    http.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.EndOfMessage):
                if status != 200:
                    raise Cut(status, buffered.decode())
                if b"[DONE]" not in whole[-1]:
                    raise Cut
                return
            else:
                raise Cut
    except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
        raise Cut from error
    finally:
        writer.close()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _refusal(cut: Cut) -> bytes:
    body = json.dumps({"error": {"message": str(cut)}}).encode()
    head = f"HTTP/1.1 {cut.status} Failed\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
