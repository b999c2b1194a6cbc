"""The bound on request bodies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from inference_project.asgi import application
from wire import body_limit
from wire.body_limit import BodyLimit

LIMIT = 10


class Reader:
    """An application that reads a whole body and says how long it is; `answers_first` begins to answer before."""

    def __init__(self, *, answers_first: bool = False) -> None:
        self.answers_first = answers_first
        self.seen = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.answers_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            self.seen += len(message.get("body", b""))
            more = message.get("more_body", False)
        if not self.answers_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.seen).encode()})


def opened(app: Any, scope: dict[str, Any]) -> Any:
    return ApplicationCommunicator(app, scope)


async def send(app: Any, *parts: bytes, length: bytes | None = None, path: str = "/") -> tuple[int, bytes]:
    """Return status and body of the answer to a body that comes in `parts`."""
    headers = [] if length is None else [(b"content-length", length)]
    scope = {
        "type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80),
    }  # fmt: skip
    communicator = opened(app, scope)
    for number, part in enumerate(parts, 1):
        await communicator.send_input({"type": "http.request", "body": part, "more_body": number < len(parts)})
    start = await communicator.receive_output()
    body = await communicator.receive_output()
    return start["status"], body["body"]


async def test_a_body_within_the_limit_passes() -> None:
    assert await send(BodyLimit(Reader(), LIMIT), b"x" * 4, b"x" * 6) == (200, b"10")


@pytest.mark.parametrize("length", [b"11", b"9" * 18, b"9" * 10_000])
async def test_a_longer_one_is_refused_by_what_it_says_of_itself(length: bytes) -> None:
    reader = Reader()
    status, body = await send(BodyLimit(reader, LIMIT), b"x", length=length)
    assert status == 413
    assert json.loads(body)["error"]["type"] == "content_too_long_exception"
    assert reader.seen == 0


async def test_a_longer_one_of_unknown_length_is_refused_while_it_comes() -> None:
    status, body = await send(BodyLimit(Reader(), LIMIT), b"x" * 6, b"x" * 6, b"x" * 6)
    assert status == 413
    assert json.loads(body)["error"]["reason"].endswith("buffer limit [10]")


async def test_a_body_that_ends_too_long_is_refused_at_once() -> None:
    """Nothing more comes that would have to be waited for."""
    async with asyncio.timeout(1):
        status, _ = await send(BodyLimit(Reader(), LIMIT), b"x" * 6, b"x" * 6)
    assert status == 413


async def test_what_a_refused_client_still_sends_is_thrown_away() -> None:
    communicator = opened(BodyLimit(Reader(), LIMIT), {"type": "http", "headers": [(b"content-length", b"99")]})
    for _ in range(10):
        await communicator.send_input({"type": "http.request", "more_body": True})
    assert await communicator.receive_nothing()
    await communicator.send_input({"type": "http.request", "body": b"x", "more_body": False})
    assert (await communicator.receive_output())["status"] == 413
    await communicator.receive_output()


async def test_nothing_is_answered_twice() -> None:
    reader = Reader(answers_first=True)
    communicator = opened(BodyLimit(reader, LIMIT), {"type": "http", "headers": []})
    await communicator.send_input({"type": "http.request", "body": b"x" * 11, "more_body": False})
    assert (await communicator.receive_output())["status"] == 200
    assert await communicator.receive_nothing()
    await communicator.wait()


async def test_the_gateway_refuses_long_bodies_before_it_asks_who_calls() -> None:
    status, body = await send(application, b"x", length=b"999999999", path="/_inference/completion/x")
    assert status == 413
    assert json.loads(body)["status"] == 413


async def test_bodies_that_arrive_at_once_are_bounded_and_a_whole_one_counts_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_limit, "_MOST_ARRIVING_BYTES", 10)
    seen: list[int] = []

    async def reader(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(limit._arriving)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limit = BodyLimit(reader, 1000)
    assert (await send(limit, b"12345", b"67890"))[0] == 200
    assert (await send(limit, b"1234567890", b"1", b"2"))[0] == 503
    assert (seen, limit._arriving) == ([0], 0)
