"""Nothing in the process grows with what a provider sends, over real sockets.

Each server writes without end, as fast as it is read; what is told is how much memory that takes at most.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from endpoints.providers import _connections, _http, _response, _transport
from endpoints.providers._base import user_message
from endpoints.providers._http import ConnectionFailed
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import client, openai, streamed
from tests.providers.sockets import get, serving
from wire.errors import ProviderError

MIB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM = HEAD + b"content-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@contextmanager
def at_most(mebibytes: float) -> Iterator[None]:
    """Fail where more memory than that was taken at once."""
    tracemalloc.start()
    try:
        yield
        taken = tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
    assert taken < mebibytes, f"{taken:.1f} MiB"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("first", "endless"),
    [
        (HEAD, b"a: b\r\n" * 1000),
        (HEAD + b"a: ", b"a" * 2**16),
        (HEAD, b"a" * 2**16),
        (b"HTTP/1.1 200 ", b"a" * 2**16),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 1000),
        (HEAD + CHUNKED + b"0\r\n", b"a: b\r\n" * 1000),
        (HEAD + CHUNKED + b"0\r\na: ", b"a" * 2**16),
    ],
    ids=["headers", "header", "header name", "reason", "interim answers", "trailers", "trailer"],
)
async def test_a_head_without_end_is_refused(first: bytes, endless: bytes) -> None:
    with at_most(8):
        async with serving(first, endless) as port, client() as http:
            with pytest.raises(ConnectionFailed, match="the answer is not valid HTTP"):
                await get(http, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("first", "endless"),
    [(b"", b"\r\n" * 2**15), (HEAD + CHUNKED + b"5;", b"a" * 2**16), (HEAD + CHUNKED, b"0" * 2**16)],
    ids=["empty lines", "chunk extension", "chunk size"],
)
async def test_bytes_that_say_nothing_are_refused(first: bytes, endless: bytes) -> None:
    with at_most(4):
        async with serving(first, endless) as port, client() as http:
            with pytest.raises(ConnectionFailed, match="the answer is not valid HTTP"):
                async with asyncio.timeout(5):
                    await get(http, f"http://127.0.0.1:{port}/")


async def test_an_event_without_end_is_given_up(fake: FakeProvider) -> None:
    async with serving(STREAM + CHUNKED + chunk(b"data: "), chunk(b"a" * 2**16)) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            with at_most(40), pytest.raises(ProviderError, match=r"an event is larger than \[16\] MiB"):
                await streamed(provider)


async def test_an_event_of_lines_without_end_is_given_up(fake: FakeProvider) -> None:
    async with serving(STREAM + CHUNKED, chunk(b"data: %b\n" % (b"a" * 2**15))) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            with at_most(60), pytest.raises(ProviderError, match=r"an event is larger than \[16\] MiB"):
                await streamed(provider)


async def test_a_stream_that_is_read_slowly_is_held_back() -> None:
    """A provider that sends what it wants meets a full socket, not the memory of the gateway."""
    with at_most(8):
        async with serving(STREAM + CHUNKED, chunk(b": nothing\n" * 5000)) as port, client() as http:
            request = http.client.build_request("GET", f"http://127.0.0.1:{port}/")
            answer = http.answer(await http.client.send(request, stream=True))
            for _ in range(10):
                assert len(await answer.read()) < MIB
                await asyncio.sleep(0.02)
            await answer.aclose()


async def test_a_whole_answer_without_end_is_given_up(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MAX_ANSWER_BYTES", 8 * MIB)
    async with serving(HEAD + b"content-type: application/json\r\n\r\n", b" " * 2**16) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            with at_most(24), pytest.raises(ProviderError, match=r"the answer is larger than \[8\] MiB"):
                await provider.complete(user_message("hello"))


@pytest.mark.parametrize("rest", [b"a" * 2**16, b""], ids=["without end", "that stops midway"])
async def test_of_a_refusal_only_the_beginning_is_read(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(_transport, "ERROR_SECONDS", 0.2)
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1000000000\r\n\r\n"
    async with serving(head + b'{"error": "', rest) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            with at_most(8), pytest.raises(ProviderError, match=r"status \[400\]"):
                await streamed(provider)


async def test_a_refusal_that_trickles_is_waited_for_only_so_long(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no data, but bytes all the time, so that it is never silent."""
    monkeypatch.setattr(_transport, "ERROR_SECONDS", 0.2)
    async with serving(b"HTTP/1.1 400 Bad Request\r\n" + CHUNKED + b"5;", b"a" * 100) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            with pytest.raises(ProviderError, match=r"status \[400\]"):
                async with asyncio.timeout(10):
                    await streamed(provider)


def bomb(encoding: str) -> bytes:
    """Return a beginning of 64 MiB of spaces, compressed."""
    spaces = b" " * (64 * MIB)
    return gzip.compress(spaces) if encoding == "gzip" else zlib.compress(spaces)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 400])
async def test_a_compressed_answer_is_bounded_by_what_it_unpacks_to(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, encoding: str, status: int
) -> None:
    monkeypatch.setattr(_http, "MAX_ANSWER_BYTES", 4 * MIB)
    body = bomb(encoding)
    head = b"HTTP/1.1 %d Any\r\ncontent-encoding: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    async with serving(head % (status, encoding.encode(), len(body)) + body) as port:
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "any") as provider:
            expected = r"the answer is larger than \[4\] MiB" if status == 200 else r"status \[400\]"
            with at_most(16), pytest.raises(ProviderError, match=expected):
                await provider.complete(user_message("hello"))


@pytest.mark.parametrize(
    ("encoding", "shown"), [("gzip, gzip", "gzip, gzip"), ("compress", "compress"), ("a" * 5000, "***")]
)
async def test_an_encoding_that_nobody_asked_for_is_refused(encoding: str, shown: str) -> None:
    answer = HEAD + f"content-encoding: {encoding}\r\ncontent-length: 2\r\n\r\nok".encode()
    async with serving(answer) as port, client() as http:
        with pytest.raises(ConnectionFailed) as error:
            await get(http, f"http://127.0.0.1:{port}/")
    assert error.value.cause == f"the answer is encoded as [{shown}], which was not asked for"


async def test_an_answer_that_is_not_encoded_as_it_says_is_refused() -> None:
    answer = HEAD + b"content-encoding: gzip\r\ncontent-length: 10\r\n\r\nnot zipped"
    async with serving(answer) as port, client() as http:
        with pytest.raises(ConnectionFailed, match="the answer is not encoded as it says"):
            await get(http, f"http://127.0.0.1:{port}/")


ANSWER = HEAD + b"content-length: 2\r\n\r\nok"


async def test_answers_that_nobody_asked_for_close_the_connection_that_waits_for_its_next_request() -> None:
    gone = asyncio.Event()
    with at_most(16):
        async with serving(ANSWER, ANSWER * 2000, wait=0.05, gone=gone) as port, client() as http:
            assert await get(http, f"http://127.0.0.1:{port}/") == b"ok"
            async with asyncio.timeout(10):
                await gone.wait()


async def test_an_answer_that_came_before_its_request_is_not_taken_for_it() -> None:
    """Both are in one packet, so the second is here before the connection goes back to the others."""
    async with serving(ANSWER + ANSWER.replace(b"ok", b"no")) as port, client() as http:
        for _ in range(3):
            assert await get(http, f"http://127.0.0.1:{port}/") == b"ok"


async def test_some_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * _response.MAX_INTERIM_ANSWERS
    async with serving(interim + ANSWER) as port, client() as http:
        assert await get(http, f"http://127.0.0.1:{port}/") == b"ok"


async def test_no_more_connections_are_open_than_the_bound(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connections, "MAX_CONNECTIONS", 3)
    async with openai(fake, "slow-headers", http={"connect_seconds": 1.0}) as provider:
        streams = [asyncio.create_task(streamed(provider)) for _ in range(5)]
        refused, waiting = await asyncio.wait(streams, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(ProviderError, match=r"no connection within \[1s\]"):
            await refused.pop()
        assert (fake.connections, len(fake.requests)) == (3, 3)
        for stream in waiting:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
