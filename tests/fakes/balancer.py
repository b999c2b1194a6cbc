"""A load balancer of the simplest kind: it asks who is ready, sends new connections there, and retries nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator

LOOK_SECONDS = 0.1
BUSY_SECONDS = 0.5


class Balancer:
    """Runs in a thread of its own. `ports` are the servers on this machine that it knows; change it as you like."""

    def __init__(self) -> None:
        self.port = 0
        self.ports: list[int] = []
        self.ready: set[int] = set()
        self._turns = itertools.count()

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Balancer]:
        balancer = cls()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(balancer._serve(), loop).result(10)
        looking = asyncio.run_coroutine_threadsafe(balancer._look_again_and_again(), loop)
        try:
            yield balancer
        finally:
            looking.cancel()
            asyncio.run_coroutine_threadsafe(_end_others(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.gather(*(self._look(port) for port in tuple(self.ports)))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, port: int) -> None:
        """Ask whether a server is ready; where it is too busy to say so, what it said last holds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_SECONDS):
                (self.ready.add if await _is_ready(port) else self.ready.discard)(port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = sorted(self.ready)
        if not ready:
            writer.close()
            return
        port = ready[next(self._turns) % len(ready)]
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            both = [asyncio.ensure_future(_pass_on(reader, back)), asyncio.ensure_future(_pass_on(there, writer))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in both:
                one.cancel()
            back.close()
        writer.close()


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        line = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in line


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def _end_others() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
