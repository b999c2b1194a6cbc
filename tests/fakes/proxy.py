"""An outbound proxy of our own: it tunnels what it is asked to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class FakeProxy:
    """`names` says which port of this machine is behind a `host:port`; `status` is what it answers."""

    names: Mapping[str, int] = field(default_factory=dict)
    status: int = 200
    address: str = ""
    heads: list[str] = field(default_factory=list)
    """The heads of the requests, and nothing of what went through a tunnel."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeProxy]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        port = self.names.get(head.split(" ")[1])
        status = 502 if port is None and self.status == 200 else self.status
        writer.write(f"HTTP/1.1 {status} Answer\r\n\r\n".encode())
        if status == 200:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
