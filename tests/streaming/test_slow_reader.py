"""A client that reads slowly, or not at all: the provider is slowed down with it, and memory does not grow."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.fakes.behaviours import FIRST, LAST, text
from tests.fakes.http import Exchange
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from tests.streaming.browser import Browser
from tests.streaming.test_client_gone import raw_request, until

WRITE_SECONDS = 3
READERS = 40
MEGABYTE = 2**20
# As small as the kernel lets it be, so that it says at each read that something was read.
RECEIVE_BYTES = 1


@pytest.fixture(scope="module")
def strict() -> Iterator[Gateway]:
    """A gateway that soon drops who does not read, and gives everything else its time."""
    with Gateway.started(GATEWAY_SKIP_VALIDATION="true", GATEWAY_WRITE_SECONDS=str(WRITE_SECONDS)) as running:
        yield running


def path_of(gateway: Gateway, provider: FakeProvider, model: str, task_type: str = "completion") -> str:
    end = "chat/completions" if task_type == "completion" else "embeddings"
    url = f"{provider.url}/v1/{end}"
    inference_id = gateway.put("openai", task_type, api_key=provider.api_key, model_id=model, url=url)
    return f"/_inference/{task_type}/{inference_id}"


def read_slowly(connections: list[socket.socket], seconds: int) -> None:
    """Read 1 kB/s from each."""
    for _ in range(seconds):
        began = time.monotonic()
        for connection in connections:
            assert connection.recv(1024)
        time.sleep(max(0.0, began + 1 - time.monotonic()))


def raw(gateway: Gateway, path: str, **body: object) -> bytes:
    content = json.dumps(body or {"input": "hello"}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def assert_dropped(gateway: Gateway, connection: socket.socket, request: bytes) -> None:
    """Send a request, read nothing, and assert that the gateway closes the connection after the write limit."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    connection.connect(("127.0.0.1", gateway.port))
    connection.sendall(request)
    began = time.monotonic()
    # Until earlier connections are gone, and this one is not.
    time.sleep(1)
    descriptors = gateway.descriptors()
    until(lambda: gateway.descriptors() < descriptors, 4 * WRITE_SECONDS)
    assert time.monotonic() - began > WRITE_SECONDS * 0.9


def test_slow_readers_cost_little_however_much_the_provider_sends_and_are_not_dropped(
    strict: Gateway, provider: FakeProvider
) -> None:
    path = path_of(strict, provider, "flood:100") + "/_stream"
    with ExitStack() as stack:
        # What the first streams need is needed once.
        first = stack.enter_context(raw_request(strict, path, receive_bytes=RECEIVE_BYTES))
        read_slowly([first], 2)
        before = strict.memory()
        readers = [stack.enter_context(raw_request(strict, path, receive_bytes=RECEIVE_BYTES)) for _ in range(READERS)]
        read_slowly(readers, 4 * WRITE_SECONDS)
        grown = strict.memory() - before
        assert grown / READERS < MEGABYTE
        assert provider.abandoned <= 1
        began = time.monotonic()
        assert strict.call("POST", "/_inference/echo-completion", {"input": ""}).status == 200
        assert time.monotonic() - began < 1
    assert provider.wait_closed(10, count=READERS)


def test_a_page_of_the_playground_that_reads_slowly_is_served_slowly(strict: Gateway, provider: FakeProvider) -> None:
    inference_id = path_of(strict, provider, "flood:100").rpartition("/")[2]
    start = {"type": "start", "id": 1, "inference_id": inference_id, "input": "x"}
    with Browser(strict).unread_playground(start, RECEIVE_BYTES) as page:
        read_slowly([page], 3 * WRITE_SECONDS)
        assert provider.abandoned == 0
    assert provider.wait_closed(10)


def test_one_who_reads_nothing_is_dropped_and_the_provider_released(strict: Gateway, provider: FakeProvider) -> None:
    path = path_of(strict, provider, "flood:100") + "/_stream"
    descriptors = strict.descriptors()
    with raw_request(strict, path):
        began = time.monotonic()
        assert provider.wait_closed(3 * WRITE_SECONDS + 2)
        assert time.monotonic() - began > WRITE_SECONDS * 0.9
        # Its own connection too: to wait until it reads the rest would be to wait for ever.
        until(lambda: strict.descriptors() <= descriptors)


def test_the_write_limit_of_an_endpoint_holds_for_its_answers_and_not_for_the_next_on_the_connection(
    strict: Gateway, provider: FakeProvider
) -> None:
    own, other = path_of(strict, provider, "flood:100"), path_of(strict, provider, "flood:100")
    with closing(sqlite3.connect(strict.data_dir / "gateway.sqlite3")) as database, database:
        query = "UPDATE endpoints_endpoint SET write_seconds = 60 WHERE inference_id = ?"
        database.execute(query, [own.rpartition("/")[2]])
    with raw_request(strict, f"{own}/_stream"):
        assert not provider.wait_closed(2 * WRITE_SECONDS)
    assert provider.wait_closed()
    with raw_request(strict, own) as connection:
        assert b"200 OK" in connection.recv(65_536)
        connection.sendall(raw(strict, f"{other}/_stream"))
        assert provider.wait_closed(3 * WRITE_SECONDS, count=2)


async def whole_embeddings(exchange: Exchange) -> None:
    """Some megabytes."""
    data = [
        {"index": place, "embedding": [0.123456789] * 8192} for place in range(len(exchange.request.json()["input"]))
    ]
    exchange.json({"object": "list", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}})


def test_who_does_not_read_a_large_answer_without_a_stream_is_dropped(strict: Gateway) -> None:
    with FakeProvider.running(respond=whole_embeddings) as provider:
        path = path_of(strict, provider, "x", "text_embedding")
        # The connection to the provider stays.
        assert strict.call("POST", path, {"input": "x"}).status == 200
        with socket.socket() as connection:
            assert_dropped(strict, connection, raw(strict, path, input=["x"] * 64))
        assert provider.connections == 1


def test_who_does_not_read_what_management_answers_is_dropped(strict: Gateway) -> None:
    request = f"GET /_inference/_services HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {strict.key}\r\n\r\n"
    with socket.socket() as connection:
        assert_dropped(strict, connection, request.encode() * 12)


async def huge_deltas(exchange: Exchange) -> None:
    """Twenty deltas of 10 MiB, each in an event of its own."""
    exchange.start_stream()
    exchange.write(FIRST)
    for _ in range(20):
        await exchange.write_slowly(text("x" * (10 * MEGABYTE)))
        await asyncio.sleep(0.01)
    exchange.write(LAST)
    exchange.end()


def test_deltas_larger_than_any_buffer_are_not_piled_up_for_a_slow_reader(strict: Gateway) -> None:
    with FakeProvider.running(respond=huge_deltas) as provider:
        path = path_of(strict, provider, "x") + "/_stream"
        before = strict.memory()
        with raw_request(strict, path, receive_bytes=RECEIVE_BYTES) as reader:
            read_slowly([reader], 2 * WRITE_SECONDS)
            assert strict.memory() - before < 100 * MEGABYTE
            assert provider.abandoned == 0
