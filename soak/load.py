"""Clients of all kinds at a steady rate: who finish, who leave, who read slowly, who are refused; faults for most."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from conformance.client import Leaving, Request, Transfer, ask
from conformance.dialects import Elasticsearch
from conformance.promises import Evidence, Limits, no_secret
from conformance.provider.catalog import FAULTS
from conformance.provider.fault import Fault
from conformance.provider.playing import RUN_MARK
from conformance.runner import chosen

LIMITS = Limits(first_delta=3, idle=2, stall=2)
PROVIDER_KEY = "sk-soak-0123456789"
_SEED = 4
_FLOOD = FAULTS["client-stops-reading"]
_SLOW_SECONDS = 20
_SHARES = {"finish": 60, "leave": 30, "are refused": 10}
_PATIENCE = 60.0
# Beyond, the machine is too slow for the rate: it is measured how the gateway lives, not how much it does.
_MOST_AT_ONCE = 200


class Load:
    """`asked` counts the requests that the gateway was sent, `problems` what no answer may be.

    Whether an end is the right one for a fault is judged where nothing else goes on: by `make conformance`.
    """

    def __init__(self, base_url: str, api_key: str, provider_url: str, slow_readers: int) -> None:
        self._dialect = Elasticsearch(base_url, api_key, provider_url, PROVIDER_KEY)
        self._slow_readers = slow_readers
        self._random = random.Random(_SEED)  # noqa: S311 (not for cryptography)
        self._open: set[asyncio.Task[None]] = set()
        self.asked: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Make an endpoint for each fault. Raise conformance.dialects.Refused."""
        for fault, wire in (*_faults(), (_FLOOD, "openai")):
            await self._dialect.prepare(fault, wire)

    async def run(self, seconds: float, rate: float) -> None:
        """Ask `rate` times a second, and wait for all answers at the end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        slow = [asyncio.create_task(self._read_slowly(began + seconds)) for _ in range(self._slow_readers)]
        faults = _faults()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(began + number / rate - loop.time())
            if len(self._open) < _MOST_AT_ONCE:
                self._begin(self._one(faults))
        await asyncio.gather(*self._open, *slow)

    def _begin(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(asking)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def _one(self, faults: Sequence[tuple[Fault, str]]) -> Coroutine[Any, Any, None]:
        kind = self._random.choices(list(_SHARES), list(_SHARES.values()))[0]
        if kind == "are refused":
            return self._refused()
        fault, wire = self._random.choice(faults)
        leaving = None
        # Where the client has to leave, the provider goes on without an end.
        if kind == "leave" or fault.leave:
            kind = "leave"
            seconds, reset = self._random.uniform(0, 2), self._random.random() < 0.5
            leaving = Leaving(lambda _: asyncio.sleep(seconds), reset=reset)
        self.asked[kind] += 1
        return self._meet(fault, wire, leaving)

    async def _meet(self, fault: Fault, wire: str, leaving: Leaving | None) -> None:
        """Ask for a fault; who stays has to see one of the ends that there are."""
        request = self._dialect.request(fault, wire, f"{RUN_MARK}{secrets.token_hex(8)} Say something.")
        seen = await ask(self._dialect.base_url, request, _PATIENCE, leaving)
        told = self._dialect.read(seen, streamed=fault.streamed)
        evidence = Evidence(fault, wire, seen, told, (), LIMITS, (PROVIDER_KEY,))
        if seen.transfer is not Transfer.LEFT and evidence.ending is None:
            self.problems[f"{fault.name} ({wire}): no end that there is, but {seen.transfer.value}"] += 1
        for words in no_secret(evidence):
            self.problems[f"{fault.name} ({wire}): {words}"] += 1

    async def _refused(self) -> None:
        """Ask with a key that is none, or for an endpoint that is none."""
        self.asked["are refused"] += 1
        request = self._dialect.request(FAULTS["ordinary"], "openai", "x")
        path = "/_inference/completion/nobody/_stream"
        without_key = replace(request, headers={"Authorization": "ApiKey bm9ib2R5Om5vYm9keQ=="})
        wrong, status = self._random.choice([(without_key, 401), (replace(request, path=path), 404)])
        seen = await ask(self._dialect.base_url, wrong, _PATIENCE)
        if seen.status != status:
            self.problems[f"status {seen.status}, not {status}"] += 1

    async def _read_slowly(self, until: float) -> None:
        """Read 1 kB/s of answers without end, one after the other; leave each after a while."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            self.asked["read slowly"] += 1
            request = self._dialect.request(_FLOOD, "openai", f"{RUN_MARK}{secrets.token_hex(8)} Say something.")
            with contextlib.closing(self._connection()) as connection:
                await loop.sock_connect(connection, self._address())
                await loop.sock_sendall(connection, _raw(request))
                for _ in range(_SLOW_SECONDS):
                    if not await loop.sock_recv(connection, 1024):
                        self.problems["an answer without end has ended"] += 1
                        break
                    await asyncio.sleep(1)

    def _connection(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return connection

    def _address(self) -> tuple[str, int]:
        parts = urlsplit(self._dialect.base_url)
        return str(parts.hostname), int(parts.port or 80)


def _faults() -> Sequence[tuple[Fault, str]]:
    """Return the faults that disturb nobody else, and are one request each."""
    return [(fault, wire) for fault, wire in chosen(("openai", "anthropic")) if not fault.alone and fault.twice is None]


def _raw(request: Request) -> bytes:
    content = b'{"input": "%s"}' % request.body["input"].encode()
    headers = {**request.headers, "Host": "x", "Content-Type": "application/json", "Content-Length": len(content)}
    lines = (f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*lines, "", "")).encode() + content
