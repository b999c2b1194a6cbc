"""A provider of our own that speaks OpenAI's API, for tests (in a thread) and benchmarks (as a program).

The model of a request chooses what it does; `tests/fakes/behaviours.py` has the list. It keeps what it was sent and
notices when its caller goes away.

    python -m tests.fakes.provider --port 9000
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from tests.fakes.behaviours import answer
from tests.fakes.http import Connection, Exchange, Request

API_KEY = "sk-fake-0123456789"
Respond = Callable[[Exchange], Awaitable[None]]


class FakeProvider:
    """Runs in a thread of its own; `url` is its address without a path, `requests` what it was sent, in order."""

    def __init__(self, api_key: str = API_KEY, respond: Respond = answer) -> None:
        self.api_key = api_key
        self._respond = respond
        self.url = ""
        self.requests: list[Request] = []
        self.connections = 0
        self.abandoned = 0
        """How many answers were not finished since the caller had closed the connection."""
        self.tokens: set[str] = set()
        """Access tokens that are accepted besides the key."""
        self.tries: dict[str, int] = {}
        self._changed = threading.Condition()

    @classmethod
    @contextmanager
    def running(
        cls,
        api_key: str = API_KEY,
        *,
        respond: Respond = answer,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> Iterator[FakeProvider]:
        """Yield a provider that listens on 127.0.0.1. An empty `api_key` accepts every caller; `respond` is what
        another service than OpenAI says."""
        fake = cls(api_key, respond)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(fake.serve(port, tls), loop).result(10)
        try:
            yield fake
        finally:
            asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def serve(self, port: int, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self, self._respond), "127.0.0.1", port, ssl=tls, backlog=4096
        )
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def wait_requests(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Wait until `count` requests were received."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def wait_closed(self, timeout: float = 5.0, count: int = 1) -> bool:
        """Wait until callers closed their connection within `count` answers."""
        with self._changed:
            return self._changed.wait_for(lambda: self.abandoned >= count, timeout)

    def received(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def was_abandoned(self) -> None:
        with self._changed:
            self.abandoned += 1
            self._changed.notify_all()

    def accepts(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return not self.api_key or given == self.api_key or given in self.tokens


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A provider that speaks OpenAI's API, for benchmarks.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default="", help="the only key that is accepted; without it, every key")
    arguments = parser.parse_args()
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

    async def serve() -> None:
        fake = FakeProvider(arguments.api_key)
        server = await fake.serve(arguments.port)
        print(fake.url, flush=True)
        async with server:
            await server.serve_forever()

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
