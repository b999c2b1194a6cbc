"""The guarded way out, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from endpoints.providers import _http, _transport
from endpoints.providers._base import Provider
from endpoints.providers._http import ConnectionFailed
from endpoints.providers._http_provider import HttpProvider
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import client, openai, streamed, text_of
from tests.providers.sockets import Names, get, port_of
from wire.errors import ProviderError


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "127.1",
        "2130706433",
        "0x7f.1",
    ],
)
async def test_a_literal_private_address_is_refused_without_a_connection(host: str) -> None:
    async with client("") as http:
        with pytest.raises(ProviderError) as error:
            await get(http, f"https://{host}/")
    assert error.value.status == 400
    assert error.value.reason.startswith("Request refused: ")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
async def test_a_name_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    async with client("", resolver=Names(evil_example=address)) as http:
        with pytest.raises(ProviderError) as error:
            await get(http, "https://evil.example/path?key=secret")
    assert error.value.status == 400
    assert "[evil.example:443] is not at a public address; GATEWAY_PRIVATE_HOSTS can open it" in error.value.reason
    assert address not in error.value.reason
    assert "secret" not in error.value.reason


async def test_a_name_is_never_connected_to_its_private_address_though_it_has_a_public_one(fake: FakeProvider) -> None:
    """The public address is a documentation one that the test calls public; nothing answers there."""
    names = Names(mixed_example="127.0.0.1 1.2.3.4")
    async with client("", connect_seconds=0.2, resolver=names) as http:
        with pytest.raises(ConnectionFailed):
            await get(http, f"https://mixed.example:{port_of(fake)}/")
    assert fake.connections == 0


async def test_an_opened_name_is_reached_wherever_it_resolves_to(fake: FakeProvider) -> None:
    async with client("engine.local", resolver=Names(engine_local="127.0.0.1")) as http:
        assert await get(http, f"http://engine.local:{port_of(fake)}/health") == b'{"healthy": true}'
    assert fake.last.headers["host"].startswith("engine.local:")


async def test_a_name_at_an_opened_address_is_reached_by_plain_http(fake: FakeProvider) -> None:
    names = Names(engine_local="127.0.0.1 10.0.0.1")
    async with client("127.0.0.0/8", resolver=names) as http:
        assert await get(http, f"http://engine.local:{port_of(fake)}/health") == b'{"healthy": true}'
    assert names.asked == 1


async def test_plain_http_to_a_name_at_a_public_address_is_refused() -> None:
    async with client("10.0.0.0/8", resolver=Names(public_example="1.2.3.4")) as http:
        with pytest.raises(ProviderError, match="plain http is refused"):
            await get(http, "http://public.example/")


async def test_a_name_that_does_not_resolve_says_so_without_its_query() -> None:
    async with client("", resolver=Names()) as http:
        with pytest.raises(ProviderError) as error:
            await get(http, "https://nowhere.example/v1/chat?key=secret")
    assert error.value.status == 400
    assert error.value.reason == (
        "Invalid host [https://nowhere.example/v1/chat], please check that the URL is correct."
    )


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_be_resolved_at_all_says_so(host: str) -> None:
    async with client("") as http:
        with pytest.raises(ProviderError, match="Invalid host"):
            await get(http, f"https://{host}/")


@pytest.mark.parametrize("host", ["a\u2764b", "[v1.a]", "xn--", "a%", "%31", "."])
async def test_a_host_that_cannot_exist_says_so(fake: FakeProvider, host: str) -> None:
    async with openai(fake, "gpt-echo", url=f"https://{host}/v1?key=secret", http={"resolver": Names()}) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    assert error.value.status == 400
    assert error.value.reason == f"Invalid host [https://{host}/v1], please check that the URL is correct."


async def test_a_redirect_is_an_answer_and_is_not_followed(fake: FakeProvider) -> None:
    async with openai(fake, "redirect") as provider:
        with pytest.raises(ProviderError, match=r"^Unhandled redirection .* status \[302\]") as error:
            await streamed(provider)
    assert error.value.status == 302
    assert len(fake.requests) == 1


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request(fake: FakeProvider) -> None:
    async with openai(fake, "cookie") as provider:
        await streamed(provider)
        await streamed(provider)
    assert len(fake.requests) == 2
    assert all("cookie" not in request.headers for request in fake.requests)


async def test_proxy_variables_are_not_heeded(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with openai(fake, "gpt-echo") as provider:
        assert text_of(await streamed(provider, "hello")) == "hello"


async def free_connection(provider: Provider) -> None:
    """Wait until the connection of the last answer waits for another request."""
    assert isinstance(provider, HttpProvider)
    connector = provider.binding.http._transport._connectors["http"]
    for _ in range(1000):
        if connector._conns:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the connection is not free")


async def test_connections_are_used_again(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine that stands still for a moment the last bytes may come later than anyone should wait for them.
    monkeypatch.setattr(_http, "LAST_BYTE_SECONDS", 5.0)
    async with openai(fake, "gpt-echo") as provider:
        for _ in range(5):
            await streamed(provider)
            await free_connection(provider)
    assert fake.connections == 1


async def test_a_connection_is_used_again_when_the_end_of_the_body_comes_a_little_late(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "LAST_BYTE_SECONDS", 5.0)
    async with openai(fake, "slow-end:0.03") as provider:
        await streamed(provider)
        await free_connection(provider)
        await streamed(provider)
    assert fake.connections == 1


async def test_nobody_waits_for_the_end_of_a_body_that_has_said_all(fake: FakeProvider) -> None:
    async with openai(fake, "slow-end:30") as provider:
        began = time.monotonic()
        assert text_of(await streamed(provider)) == "one"
        assert time.monotonic() - began < _http.LAST_BYTE_SECONDS
        assert await asyncio.to_thread(fake.wait_closed, 2)


async def test_a_refused_connection_names_the_host() -> None:
    with FakeProvider.running() as gone:
        pass
    async with openai(gone, "gpt-echo") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    host = gone.url.removeprefix("http://")
    assert error.value.status == 500
    assert error.value.reason == (
        "Failed to send OpenAI chat completions request from inference entity id [my-endpoint] "
        f"to [{host}]. Cause: connection refused"
    )


async def test_a_connection_that_takes_too_long_is_given_up() -> None:
    """Nothing answers the first packets of a connection to a server whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with client(connect_seconds=0.2) as http:
            with pytest.raises(ConnectionFailed, match=r"no connection within \[0\.2s\]"):
                await get(http, f"http://127.0.0.1:{address[1]}/")
        for filler in fillers:
            filler.close()


async def test_an_answer_that_is_not_http_is_refused(fake: FakeProvider) -> None:
    async with openai(fake, "no-http") as provider:
        with pytest.raises(ProviderError, match="Cause: the answer is not valid HTTP"):
            await streamed(provider)


async def test_silence_inside_a_body_ends_it(fake: FakeProvider) -> None:
    async with openai(fake, "idle", http={"idle_seconds": 0.2}) as provider:
        with pytest.raises(ProviderError, match=r"was cut off\. Cause: no data for \[0\.2s\]") as error:
            await streamed(provider)
        assert error.value.status == 408
        assert await asyncio.to_thread(fake.wait_closed)


async def test_the_wait_for_the_first_byte_is_not_silence_inside_a_body(fake: FakeProvider) -> None:
    async with openai(fake, "late:0.4", http={"idle_seconds": 0.1}) as provider:
        assert text_of(await streamed(provider)) == "late"


async def test_a_provider_that_never_answers_is_given_up(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_BYTE_SECONDS", 0.2)
    async with openai(fake, "slow-headers") as provider:
        with pytest.raises(ProviderError, match=r"Cause: no answer within \[0\.2s\]") as error:
            await streamed(provider)
    assert error.value.status == 408
    assert len(fake.requests) == 1


async def test_a_whole_answer_that_is_too_large_is_refused(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MAX_ANSWER_BYTES", 2 * 2**20)
    async with openai(fake, "huge:60") as provider:
        with pytest.raises(ProviderError, match=r"larger than \[2\] MiB"):
            await streamed(provider)
        assert await asyncio.to_thread(fake.wait_closed)


async def test_a_large_prompt_arrives_whole(fake: FakeProvider) -> None:
    text = "ö" * 2_000_000
    async with openai(fake, "gpt-echo") as provider:
        await streamed(provider, text)
    assert fake.last.json()["messages"] == [{"content": text, "role": "user"}]


async def test_an_encoded_stream_is_decoded_although_none_was_asked_for(fake: FakeProvider) -> None:
    async with openai(fake, "zipped") as provider:
        assert text_of(await streamed(provider, "squeezed")) == "squeezed"
    assert fake.last.headers["accept-encoding"] == "identity"
