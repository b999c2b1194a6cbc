"""OAuth 2.0 client credentials, with a real token endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from endpoints.providers import _tokens
from endpoints.providers._tokens import ClientCredentials, shared
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import client, openai, streamed, text_of
from wire.errors import ProviderError


def oauth(fake: FakeProvider, client_id: str = "app") -> dict[str, Any]:
    return {
        "client_id": client_id,
        "client_secret": "s3cret-of-app",
        "scopes": ["read", "write"],
        "token_url": f"{fake.url}/token",
    }


def token_requests(fake: FakeProvider) -> int:
    return sum(request.path == "/token" for request in fake.requests)


async def test_a_token_is_fetched_once_and_sent_with_each_request(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake)) as provider:
        assert text_of(await streamed(provider, "hello")) == "hello"
        assert text_of(await streamed(provider, "again")) == "again"
    asked = fake.requests[0]
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form() == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "s3cret-of-app",
        "scope": "read write",
    }
    assert token_requests(fake) == 1
    assert {request.headers["authorization"].removeprefix("Bearer ") for request in fake.requests[1:]} == fake.tokens


async def test_many_requests_at_once_share_one_token_request(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake, "slow:0.1")) as provider:
        await asyncio.gather(*(streamed(provider) for _ in range(20)))
    assert token_requests(fake) == 1


async def test_who_leaves_first_does_not_take_the_token_from_the_others(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake, "slow:0.2")) as provider:
        first = asyncio.create_task(streamed(provider))
        await asyncio.to_thread(fake.wait_requests)
        second = asyncio.create_task(streamed(provider, "still here"))
        await asyncio.sleep(0.05)
        first.cancel()
        assert text_of(await second) == "still here"
    assert token_requests(fake) == 1


async def test_a_token_that_ends_soon_is_fetched_again(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake, "expires:1")) as provider:
        await streamed(provider)
        await streamed(provider)
        assert token_requests(fake) == 1
        await asyncio.sleep(0.55)
        await streamed(provider)
    assert token_requests(fake) == 2


async def test_a_refused_token_is_dropped(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake)) as provider:
        await streamed(provider)
        fake.tokens.clear()
        with pytest.raises(ProviderError, match="Received an authentication error"):
            await streamed(provider)
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert token_requests(fake) == 2


async def test_a_token_that_was_replaced_meanwhile_is_not_dropped(fake: FakeProvider) -> None:
    async with client() as http:
        tokens = shared(http, ClientCredentials(f"{fake.url}/token", "app", "s3cret", ("read",)))
        token = await tokens.get()
        tokens.drop("an older one")
        assert await tokens.get() == token


async def test_endpoints_with_the_same_credentials_share_a_token(fake: FakeProvider) -> None:
    async with client() as http:
        credentials = [ClientCredentials(f"{fake.url}/token", "app", "s3cret", ("read",)) for _ in range(2)]
        kept = [shared(http, one) for one in credentials]
        other = shared(http, ClientCredentials(f"{fake.url}/token", "app", "another secret", ("read",)))
        assert kept[0] is kept[1]
        assert kept[0] is not other


@pytest.mark.parametrize(
    ("client_id", "status", "cause"),
    [
        ("refused", 401, "status [401], [invalid_client: bad secret ***]"),
        ("garbage", 500, "the answer has no [access_token]"),
    ],
)
async def test_a_token_that_is_not_given_names_the_host_and_no_secret(
    fake: FakeProvider, client_id: str, status: int, cause: str
) -> None:
    async with openai(fake, "gpt-echo", **oauth(fake, client_id)) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    host = fake.url.removeprefix("http://")
    assert error.value.reason == f"Failed to get an access token from [{host}]. Cause: {cause}"
    assert error.value.status == status
    assert "s3cret" not in error.value.reason
    assert len(fake.requests) == 1


async def test_a_token_host_that_is_not_there_is_named(fake: FakeProvider) -> None:
    with FakeProvider.running() as gone:
        pass
    settings = {**oauth(fake), "token_url": f"{gone.url}/token"}
    async with openai(fake, "gpt-echo", **settings) as provider:
        with pytest.raises(ProviderError, match=r"access token from \[127.0.0.1:\d+\]. Cause: connection refused"):
            await streamed(provider)
    assert fake.requests == []


async def test_the_guard_holds_for_token_hosts_too(fake: FakeProvider) -> None:
    settings = {**oauth(fake), "token_url": "https://10.0.0.1/token"}
    async with openai(fake, "gpt-echo", **settings) as provider:
        with pytest.raises(ProviderError, match=r"Request refused: \[10.0.0.1:443\] is not at a public address"):
            await streamed(provider)


async def test_a_token_host_that_never_answers_is_given_up(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tokens, "_FETCH_SECONDS", 0.1)
    async with openai(fake, "gpt-echo", **oauth(fake, "slow:3600")) as provider:
        with pytest.raises(ProviderError, match=r"Cause: no answer within \[0.1s\]"):
            await streamed(provider)


async def test_secrets_are_in_no_text_of_the_credentials() -> None:
    assert "s3cret" not in repr(ClientCredentials("https://x/token", "app", "s3cret", ()))
