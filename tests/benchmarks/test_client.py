"""What a client of the benchmarks counts does not depend on how the network cuts a stream."""

from __future__ import annotations

import asyncio
import time
from array import array
from unittest.mock import Mock

import pytest

from benchmarks.client import Connection, StreamFailed
from benchmarks.provider import burst, stamped
from benchmarks.wires import OPENAI


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
async def test_deltas_are_counted_once_however_they_are_cut(size: int) -> None:
    connection = _connection()
    asked = asyncio.create_task(connection.stream(b"request"))
    await asyncio.sleep(0)
    _feed(connection, burst(OPENAI, 30), size)
    assert await asked == 30
    assert not connection.is_streaming()


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_the_delay_of_each_stamped_delta_is_kept(size: int) -> None:
    delays = array("d")
    connection = _connection(delays)
    asked = asyncio.create_task(connection.begin(b"request"))
    await asyncio.sleep(0)
    began = time.monotonic()
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    _feed(connection, head + b"".join(OPENAI.event(stamped()) for _ in range(5)), size)
    await asked
    assert connection.deltas == len(delays) == 5
    # The stamps have microseconds.
    assert all(-1e-6 <= delay <= time.monotonic() - began + 1e-6 for delay in delays)
    assert connection.is_streaming()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", "429 Too Many Requests"),
        (b"HTTP/1.1 200 OK\r\n\r\nnothing\r\n0\r\n\r\n", "the stream had no deltas"),
    ],
)
async def test_what_is_no_stream_is_said(answer: bytes, words: str) -> None:
    connection = _connection()
    asked = asyncio.create_task(connection.stream(b"request"))
    await asyncio.sleep(0)
    connection.data_received(answer)
    with pytest.raises(StreamFailed, match=words):
        await asked


def _connection(delays: array[float] | None = None) -> Connection:
    connection = Connection(OPENAI.marker, delays)
    connection.connection_made(Mock())
    return connection


def _feed(connection: Connection, data: bytes, size: int) -> None:
    # The status line is looked for in the first read; no server sends less of it.
    head, rest = data[:13], data[13:]
    connection.data_received(head)
    for start in range(0, len(rest), size):
        connection.data_received(rest[start : start + size])
