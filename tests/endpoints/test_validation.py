"""The first question to a provider, while the rest of the gateway goes on."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.endpoints.api import openai
from tests.fakes.behaviours import answer
from tests.fakes.http import Exchange
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway

# Two more than PostgreSQL's pool has connections.
_UPDATES = 12


def test_updates_that_wait_for_their_provider_take_the_database_from_nobody(postgresql: str) -> None:
    speaks = threading.Event()

    async def respond(exchange: Exchange) -> None:
        await asyncio.to_thread(speaks.wait, 30)
        await answer(exchange)

    with (
        FakeProvider.running(respond=respond) as fake,
        Gateway.started(DATABASE_URL=postgresql) as gateway,
        ThreadPoolExecutor(_UPDATES) as threads,
    ):

        def update(number: int) -> int:
            body = {"task_settings": {"user": "me"}}
            return gateway.call("PUT", f"/_inference/chat-{number}/_update", body).status

        speaks.set()
        for number in range(_UPDATES):
            assert gateway.call("PUT", f"/_inference/completion/chat-{number}", openai(fake)).status == 200
        speaks.clear()
        updates = [threads.submit(update, number) for number in range(_UPDATES)]
        try:
            assert fake.wait_requests(2 * _UPDATES, timeout=10)
            assert gateway.call("GET", "/_inference").status == 200
        finally:
            speaks.set()
        assert [future.result() for future in updates] == [200] * _UPDATES
