"""The path of a stream, once it is warm: no database query, no thread, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.db.backends.utils import CursorWrapper

from access import keys
from access.models import User
from endpoints import lifecycle
from inference_project.asgi import application
from streaming.relay import Relay
from usage import log
from usage.record import Record

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def encoded_key() -> str:
    user = User.objects.create_superuser("admin", "of-the-admin")
    lifecycle.create("words", "completion", {"service": "echo", "service_settings": {}})
    return keys.create(owner_id=user.pk, name="app").encoded


def scope(path: str, key: str) -> dict[str, Any]:
    headers = [(b"authorization", f"ApiKey {key}".encode()), (b"content-type", b"application/json")]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip


async def streamed(key: str) -> bytes:
    communicator = ApplicationCommunicator(application, scope("/_inference/completion/words/_stream", key))
    await communicator.send_input({"type": "http.request", "body": json.dumps({"input": "one two"}).encode()})
    assert (await communicator.receive_output())["status"] == 200
    body = b""
    while True:
        message = await communicator.receive_output()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await communicator.wait()
    return body


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the warm path went to a thread or to the database")


def test_a_warm_stream_asks_no_database_and_no_thread(encoded_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice() -> None:
        first = await streamed(encoded_key)
        monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
        monkeypatch.setattr(CursorWrapper, "execute", refuse)
        assert await streamed(encoded_key) == first
        assert first.endswith(b"data: [DONE]\n\n")

    async_to_sync(twice)()


def test_an_ended_stream_leaves_no_task_and_no_relay(encoded_key: str) -> None:
    async def run() -> None:
        await streamed(encoded_key)
        before = asyncio.all_tasks()
        await streamed(encoded_key)
        assert asyncio.all_tasks() == before
        assert not Relay.live

    async_to_sync(run)()


def test_a_response_that_is_never_read_leaves_nothing(encoded_key: str) -> None:
    """A client that leaves between the first delta and the first send, where no generator's own end runs."""

    async def run() -> None:
        communicator = ApplicationCommunicator(application, scope("/_inference/completion/words/_stream", encoded_key))
        await streamed(encoded_key)
        await communicator.send_input({"type": "http.request", "body": b'{"input": "one two"}'})
        await communicator.send_input({"type": "http.disconnect"})
        await communicator.wait()
        assert not Relay.live

    async_to_sync(run)()


def test_a_refusal_that_nobody_waits_for_is_over_all_the_same(
    encoded_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django logs refusals in a thread; the client may leave meanwhile."""
    ended: list[Record] = []
    monkeypatch.setattr(log, "write", ended.append)
    monkeypatch.setattr("django.core.handlers.base.log_response", lambda *_, **__: time.sleep(0.3))

    async def run() -> None:
        communicator = ApplicationCommunicator(application, scope("/_inference/completion/nobody/_stream", encoded_key))
        await communicator.send_input({"type": "http.request", "body": b'{"input": "x"}'})
        await asyncio.sleep(0.1)
        await communicator.send_input({"type": "http.disconnect"})
        await communicator.wait()

    async_to_sync(run)()
    assert [(record.outcome, record.status) for record in ended] == [("refused", 404)]
