"""The time limits of a connection to a provider: those of the process, and those of one endpoint."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from endpoints.providers._base import Provider, user_message
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, openai, streamed, text_of
from wire.errors import ProviderError


@contextmanager
def host_that_does_not_accept() -> Iterator[int]:
    """Yield the port of a server whose queue is full: nothing answers the first packets of a connection to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for filler in fillers:
            filler.close()


def limited(provider: Provider, **seconds: float) -> Provider:
    """Return the same endpoint with time limits of its own."""
    copy = type(provider)(replace(provider.binding, **seconds))  # type: ignore[arg-type]
    copy.retries = provider.retries  # type: ignore[attr-defined]
    return copy


@pytest.mark.parametrize(("own", "said"), [({"connect_seconds": 0.15}, "0.15"), ({}, "0.3")])
async def test_a_host_that_does_not_accept_is_given_up_after_the_limit(own: dict[str, float], said: str) -> None:
    with host_that_does_not_accept() as port:
        fake = FakeProvider()
        fake.url = f"http://127.0.0.1:{port}"
        async with openai(fake, "gpt-echo", http={"connect_seconds": 0.3}) as provider:
            began = time.monotonic()
            with pytest.raises(ProviderError, match=rf"Cause: no connection within \[{said}s\]") as error:
                await streamed(limited(provider, **own))
    assert time.monotonic() - began >= 3 * float(said), "three attempts"
    assert (error.value.status, error.value.cut) == (500, False)


async def test_an_endpoint_may_wait_longer_than_the_process_would(fake: FakeProvider) -> None:
    """The process gives a connection no time at all."""
    async with openai(fake, "gpt-echo", http={"connect_seconds": 1e-9}) as provider:
        with pytest.raises(ProviderError, match="no connection within"):
            await streamed(provider)
        assert text_of(await streamed(limited(provider, connect_seconds=5.0), "hello")) == "hello"


@pytest.mark.parametrize(("own", "said"), [({"idle_seconds": 0.1}, "0.1"), ({}, "0.4")])
async def test_silence_between_bytes_ends_the_stream_after_the_limit(
    fake: FakeProvider, own: dict[str, float], said: str
) -> None:
    async with openai(fake, "idle", http={"idle_seconds": 0.4}) as provider:
        began = time.monotonic()
        with pytest.raises(ProviderError, match=rf"was cut off\. Cause: no data for \[{said}s\]") as error:
            await streamed(limited(provider, **own))
        assert time.monotonic() - began >= float(said)
        assert (error.value.status, error.value.cut) == (408, False)
        assert await asyncio.to_thread(fake.wait_closed)


async def test_an_endpoint_may_be_silent_for_longer_than_the_process_would_wait(fake: FakeProvider) -> None:
    async with openai(fake, "tick:0.3:3", http={"idle_seconds": 0.05}) as provider:
        with pytest.raises(ProviderError, match=r"no data for \[0\.05s\]"):
            await streamed(provider)
        assert text_of(await streamed(limited(provider, idle_seconds=10.0)))


async def test_the_limits_of_one_endpoint_do_not_stay_on_a_connection_that_others_use_next(fake: FakeProvider) -> None:
    async with openai(fake, "whole") as provider:
        await limited(provider, idle_seconds=0.05).complete(user_message("hello"))
        settings = {"api_key": fake.api_key, "model_id": "tick:0.3:3", "url": f"{fake.url}/v1/chat/completions"}
        assert text_of(await streamed(bound("openai", provider.binding.http, settings=settings)))
    assert fake.connections == 1
