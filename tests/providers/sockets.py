"""What tests of the guarded way out share: names that resolve as the test says, plain requests, and servers that
write what no server should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp.abc import AbstractResolver, ResolveResult

from endpoints.providers._http import HttpClient
from tests.fakes.provider import FakeProvider


class Names(AbstractResolver):
    """Resolves each name to the addresses it was made with, and counts how often it was asked; a `silent` one never
    answers."""

    def __init__(self, *, silent: bool = False, **names: str) -> None:
        self._silent = silent
        self._names = {name.replace("_", "."): addresses.split() for name, addresses in names.items()}
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        if self._silent:
            await asyncio.Event().wait()
        if host not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self._names[host]
        ]

    async def close(self) -> None:
        pass


async def get(http: HttpClient, url: str) -> bytes:
    request = http.client.build_request("GET", url)
    async with asyncio.timeout(20):
        answer = http.answer(await http.client.send(request, stream=True))
        try:
            return await answer.read_all()
        finally:
            await answer.aclose()


def port_of(fake: FakeProvider) -> int:
    return int(fake.url.rpartition(":")[2])


@asynccontextmanager
async def serving(
    first: bytes, endless: bytes = b"", *, wait: float = 0.0, gone: asyncio.Event | None = None
) -> AsyncIterator[int]:
    """Yield the port of a server that answers everything with `first` and, `wait` seconds later, with `endless` again
    and again, as fast as its peer reads. `gone` is set when a peer has closed its connection."""
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(OSError):
            # Whatever it is, TLS among it, it has come.
            await reader.read(2**16)
            writer.write(first)
            await writer.drain()
            await asyncio.sleep(wait)
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0)
        if gone is not None:
            gone.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
