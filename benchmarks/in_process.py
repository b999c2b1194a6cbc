"""The gateway with a client and a provider in one process and one event loop: the same work in the same order.

The gateway is what `manage.py serve` makes, warm, with SQLite and all it does for a request. All three speak over real
sockets of 127.0.0.1, one stream at a time, so each step follows from the one before and none depends on how fast
another process is. Client and provider do as little as they can; what they do is in every measurement.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypeVar, cast
from unittest.mock import patch

import django
import uvicorn
from django.core.management import call_command

from benchmarks.wires import OPENAI

Found = TypeVar("Found")

SHORT, BURST, LONE = 4, 500, 1
_ENDPOINT = "/_inference/completion/counted"
_ASKED = re.compile(rb"deltas:(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HTTP, _OK = b"HTTP/1.1 ", b"HTTP/1.1 200 "
_DELTA = b'{"delta":"'
_END = b"0\r\n\r\n"
_LOOK_SECONDS = 0.01
_SHOWN_OF_LOG = 2_000
# Long enough for a busy machine on which each instruction is counted by software.
_LOAD_SECONDS = 900.0
_LONG = "3600"
_ENVIRONMENT = {
    "GATEWAY_PRIVATE_HOSTS": "127.0.0.1",
    "GATEWAY_SKIP_VALIDATION": "true",
    "GATEWAY_IDLE_SECONDS": _LONG,
    "GATEWAY_STALL_SECONDS": _LONG,
    "GATEWAY_TOTAL_SECONDS": _LONG,
    "GATEWAY_HEARTBEAT_SECONDS": _LONG,
}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWERS = {n: _HEAD + _chunk(OPENAI.head + OPENAI.delta * n + OPENAI.tail) + _chunk(b"") for n in (SHORT, BURST)}
# It has no end: what else it says is said one delta at a time.
_ANSWERS[LONE] = _HEAD + _chunk(OPENAI.head + OPENAI.delta)
_LONE_DELTA = _chunk(OPENAI.delta)


class Provider(asyncio.Protocol):
    """A connection to the provider, which answers `deltas:4` with four deltas, all in one write.

    `latest` is the connection that was asked last.
    """

    latest: Provider

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: the transports of uvloop are no subclasses.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, _, body = self._unread.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self._unread = b""
        Provider.latest = self
        asked = _ASKED.search(body)
        assert asked is not None, "the provider was asked for something else"
        self.transport.write(_ANSWERS[int(asked[1])])

    def say_more(self) -> None:
        self.transport.write(_LONE_DELTA)


class Client(asyncio.Protocol):
    """A connection to the gateway, for one stream at a time. `deltas` counts those of all its streams."""

    def __init__(self) -> None:
        self.deltas = 0
        self._unread = b""
        self._awaited = b""
        self._arrived: asyncio.Future[None] | None = None

    @classmethod
    async def connected(cls, port: int) -> Client:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(cls, "127.0.0.1", port))[1]

    async def stream(self, request: bytes) -> None:
        """Send the request and wait for the end of its answer."""
        self.transport.write(request)
        await self._wait(_END)

    async def begin(self, request: bytes) -> None:
        """Send the request and wait for the first delta."""
        self.transport.write(request)
        await self.delta()

    async def delta(self) -> None:
        await self._wait(_DELTA)

    def close(self) -> None:
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        self.deltas += data.count(_DELTA)
        # A delta may be split between two reads; what is kept is too short to count twice.
        self._unread = data[1 - len(_DELTA) :]
        if self._arrived is not None and self._awaited in data:
            self._arrived.set_result(None)
            self._arrived = None
        elif data.startswith(_HTTP) and not data.startswith(_OK):
            self._fail(data.decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the gateway closed the connection")

    def _fail(self, what: str) -> None:
        if self._arrived is not None:
            self._arrived.set_exception(ConnectionError(what))
            self._arrived = None

    async def _wait(self, awaited: bytes) -> None:
        self._awaited, self._unread = awaited, b""
        self._arrived = asyncio.get_running_loop().create_future()
        await self._arrived


@dataclass(frozen=True)
class Gateway:
    """A running gateway and how it is asked; `requests` are by how many deltas they ask for.

    `lone` has a stream open, whose deltas `provider` is told to say. Wrong answers raise ConnectionError.
    """

    client: Client
    lone: Client
    provider: Provider
    requests: Mapping[int, bytes]

    @property
    def port(self) -> int:
        return int(self.client.transport.get_extra_info("peername")[1])

    @property
    def provider_port(self) -> int:
        return int(self.provider.transport.get_extra_info("sockname")[1])

    async def short_streams(self, count: int) -> None:
        await self._streams(SHORT, count)

    async def bursts(self, count: int) -> None:
        await self._streams(BURST, count)

    async def lone_deltas(self, count: int) -> None:
        """Let the provider say one delta after the other, each when the one before has reached the client."""
        for _ in range(count):
            self.provider.say_more()
            await self.lone.delta()

    async def _streams(self, deltas: int, count: int) -> None:
        before, request = self.client.deltas, self.requests[deltas]
        for _ in range(count):
            await self.client.stream(request)
        if (found := self.client.deltas - before) != count * deltas:
            raise ConnectionError(f"[{count}] streams of [{deltas}] deltas had [{found}]")


@dataclass(frozen=True)
class Load:
    """`ask` is told how often to ask; each time has `units` of what `title` names. `times` give a steady figure."""

    name: str
    title: str
    units: int
    times: int
    ask: Callable[[Gateway, int], Awaitable[None]]


LOADS = (
    Load("request", f"a request of {SHORT} deltas", 1, 500, Gateway.short_streams),
    Load("burst", f"a delta in a burst of {BURST}", BURST, 20, Gateway.bursts),
    Load("lone", "a delta that arrives alone", 1, 1_000, Gateway.lone_deltas),
)


async def warm_up(gateway: Gateway) -> None:
    for load in LOADS:
        await load.ask(gateway, max(1, load.times // 4))
    gc.collect()
    # What is there now stays; to look at it again would be work that comes by chance.
    gc.freeze()


def run(measure: Callable[[Gateway], Awaitable[Found]], data_dir: Path) -> Found:
    """Start a gateway in this process, which has to be a new one, and return what `measure` returns.

    `data_dir` must be empty. Raise ConnectionError where an answer is not what it has to be. The end of what the
    gateway logged is added to any exception.
    """
    _prepare_environment(data_dir)
    path = data_dir / "log"
    with path.open("w", buffering=1) as log, redirect_stderr(log):
        try:
            config, key = serve()
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                return runner.run(_measure(config, key, measure))
        except Exception as error:
            error.add_note(path.read_text()[-_SHOWN_OF_LOG:])
            raise


def _prepare_environment(data_dir: Path) -> None:
    for name in list(os.environ):
        if name.startswith("GATEWAY_") or name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY"):
            del os.environ[name]
    os.environ |= _ENVIRONMENT | {"GATEWAY_DATA_DIR": str(data_dir)}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inference_project.settings")


def serve() -> tuple[uvicorn.Config, str]:
    """Do all that `manage.py serve` does up to the server; return what the server would be, and an API key."""
    django.setup()
    printed = StringIO()
    with patch.object(uvicorn, "run") as server:
        call_command("serve", stdout=printed)
    key = re.search(r"API key: +(\S+)", printed.getvalue())
    assert key is not None, printed.getvalue()
    return uvicorn.Config(*server.call_args.args, **server.call_args.kwargs), key[1]


async def _measure(config: uvicorn.Config, key: str, measure: Callable[[Gateway], Awaitable[Found]]) -> Found:
    provider = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0)
    async with provider, _started(config) as port:
        await asyncio.to_thread(_put_endpoint, port, key, provider.sockets[0].getsockname()[1])
        client, lone = await Client.connected(port), await Client.connected(port)
        requests = {deltas: _request(port, key, deltas) for deltas in _ANSWERS}
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                await lone.begin(requests[LONE])
                return await measure(Gateway(client, lone, Provider.latest, requests))
        finally:
            client.close()
            lone.close()


@asynccontextmanager
async def _started(config: uvicorn.Config) -> AsyncIterator[int]:
    """Yield the port at which the server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        # The server has nothing else that could be waited for.
        while not server.started and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def _put_endpoint(port: int, key: str, provider_port: int) -> None:
    settings = {
        "api_key": "benchmark-key",
        "model_id": "gpt-5",
        "url": f"http://127.0.0.1:{provider_port}{OPENAI.path}",
        "rate_limit": {"requests_per_minute": 1_000_000_000},
    }
    content = json.dumps({"service": "openai", "service_settings": settings}).encode()
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}{_ENDPOINT}"
    with urllib.request.urlopen(urllib.request.Request(url, content, headers, method="PUT")) as answer:
        answer.read()


def _request(port: int, key: str, deltas: int) -> bytes:
    content = json.dumps({"input": f"deltas:{deltas}"}).encode()
    lines = (
        f"POST {_ENDPOINT}/_stream HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: ApiKey {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
