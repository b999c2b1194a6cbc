"""A new encryption key while streams run, as the README says it: none is lost, and then the old key is of no use."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet, InvalidToken

from tests.fakes.behaviours import FIRST, LAST, answer, text
from tests.fakes.http import Exchange
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import ROOT, Gateway

STREAMS, ENDPOINTS, TURNS = 50, 5, 5
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
_PATIENCE_SECONDS = 60
# Longer than the test takes on a slow machine: nothing is ended by a limit.
PATIENT = {"GATEWAY_DRAIN_SECONDS": "300", "GATEWAY_IDLE_SECONDS": "300", "GATEWAY_STALL_SECONDS": "300"}


class Holding:
    """A provider whose streams say one word, and the other when they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    async def __call__(self, exchange: Exchange) -> None:
        if not exchange.request.json().get("stream") or not exchange.provider.accepts(exchange.request):
            await answer(exchange)
            return
        exchange.start_stream()
        exchange.write(FIRST + text("one"))
        # The event belongs to the thread of the test.
        while not self.go.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        exchange.write(text(" two") + LAST)
        exchange.end()


class Rotation:
    """A database that several gateways share."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self._url = database_url
        self._environment = PATIENT | ({"DATABASE_URL": database_url} if database_url else {})

    def started(self, keys: str) -> Any:
        return Gateway.started(self.folder, GATEWAY_SECRET_KEYS=keys, **self._environment)

    def rotate(self) -> str:
        """Run the command of the README."""
        variables = {
            "PATH": os.environ["PATH"],
            "GATEWAY_DATA_DIR": str(self.folder),
            "GATEWAY_SECRET_KEYS": f"{NEW},{OLD}",
            **self._environment,
        }
        command = [sys.executable, "manage.py", "rotate_secrets"]
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ciphertexts(self) -> list[str]:
        query = "SELECT ciphertext FROM endpoints_endpointsecret"
        if self._url:
            with psycopg.connect(self._url) as connection:
                return [row[0] for row in connection.execute(query)]
        with sqlite3.connect(self.folder / "gateway.sqlite3") as file:
            return [row[0] for row in file.execute(query)]


@pytest.fixture(params=["sqlite", "postgresql"])
def rotation(request: pytest.FixtureRequest, tmp_path: Path) -> Rotation:
    return Rotation(tmp_path, request.getfixturevalue("postgresql") if request.param == "postgresql" else "")


def paths() -> list[str]:
    return [f"/_inference/completion/chat-{number}" for number in range(ENDPOINTS)]


def make(gateway: Gateway, fake: FakeProvider, path: str) -> None:
    settings = {"api_key": API_KEY, "model_id": "m", "url": f"{fake.url}/v1/chat/completions"}
    body = {"service": "openai", "service_settings": settings, "task_settings": {"headers": {"X-Turn": "0"}}}
    assert gateway.call("PUT", path, body).status == 200


def streamed(gateway: Gateway, path: str, key: str, begun: threading.Semaphore) -> list[str]:
    """Return the data of all events of one stream; `begun` is released when the first is there."""
    with gateway.stream(f"{path}/_stream", {"input": "x"}, key=key) as stream:
        first = stream.event()
        begun.release()
        return [data for _, data in (first, *stream.events())]


def check_complete(gateway: Gateway, key: str) -> None:
    """Ask all endpoints, without a stream."""
    for path in paths():
        answer = gateway.call("POST", path, {"input": "a word"}, key=key)
        assert (answer.status, answer.json()) == (200, {"completion": [{"result": "a word"}]}), path


@contextmanager
def running(gateway: Gateway, key: str, threads: ThreadPoolExecutor) -> Iterator[Sequence[Future[list[str]]]]:
    """Yield so many streams, each of which has begun."""
    begun = threading.Semaphore(0)
    turns = itertools.islice(itertools.cycle(paths()), STREAMS)
    streams = [threads.submit(streamed, gateway, path, key, begun) for path in turns]
    for _ in streams:
        assert begun.acquire(timeout=60)
    yield streams


def update(gateway: Gateway, path: str, key: str) -> None:
    """Update an endpoint some times, one after the other."""
    for turn in range(1, TURNS + 1):
        body = {"task_settings": {"headers": {"X-Turn": str(turn)}}}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (answer := gateway.call("PUT", f"{path}/_update", body, key=key)).status == 503:
            # A machine that is too busy for its database in time; the caller is told to try again.
            assert time.monotonic() < deadline, answer.body
            time.sleep(0.2)
        assert answer.status == 200, answer.body


def opened(ciphertexts: Sequence[str], key: str) -> int:
    """Return how many of them `key` opens."""
    count = 0
    for ciphertext in ciphertexts:
        try:
            Fernet(key).decrypt(ciphertext.encode())
        except InvalidToken:
            continue
        count += 1
    return count


def test_a_rotation_under_running_streams_loses_none_and_no_update(rotation: Rotation) -> None:
    holding = Holding()
    with FakeProvider.running(respond=holding) as fake, ThreadPoolExecutor(STREAMS + ENDPOINTS + 1) as threads:
        try:
            with rotation.started(OLD) as first:
                key = first.key
                for path in paths():
                    make(first, fake, path)
                with running(first, key, threads) as streams, rotation.started(f"{NEW},{OLD}") as second:
                    # The restart: the first process takes nothing new and lets its streams end.
                    first.process.send_signal(signal.SIGTERM)
                    updates = [threads.submit(update, second, path, key) for path in paths()]
                    assert "secrets are encrypted with the first key" in rotation.rotate()
                    for one in updates:
                        one.result(120)
                    assert rotation.rotate() == f"{2 * ENDPOINTS} secrets are encrypted with the first key.\n"
                    assert not any(stream.done() for stream in streams)
                    check_complete(second, key)
                    holding.go.set()
                    expected = ["one", " two"]
                    for stream in streams:
                        *events, last = stream.result(60)
                        deltas = [part["delta"] for data in events for part in json.loads(data)["completion"]]
                        assert (deltas, last) == (expected, "[DONE]")
        finally:
            # Else the threads would wait for ever.
            holding.go.set()
        ciphertexts = rotation.ciphertexts()
        assert (opened(ciphertexts, NEW), opened(ciphertexts, OLD)) == (2 * ENDPOINTS, 0)
        with rotation.started(NEW) as third:
            fake.requests.clear()
            check_complete(third, key)
            assert [request.headers["x-turn"] for request in fake.requests] == [str(TURNS)] * ENDPOINTS
