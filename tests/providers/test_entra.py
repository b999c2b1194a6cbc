"""Tokens of Microsoft Entra: made by msal, asked for through the guarded client, at one address."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import _entra
from endpoints.providers._base import Provider
from tests.fakes import azureopenai
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client, streamed, text_of
from wire.errors import ProviderError, StatusError

FAILED = "Failed attempting to retrieve access token for Azure OpenAI request for inference id: [my-endpoint]. Cause: "


@pytest.fixture
def azure() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=azureopenai.respond) as running:
        yield running


@asynccontextmanager
async def endpoints(azure: FakeProvider, *given: dict[str, Any], **options: Any) -> AsyncIterator[list[Provider]]:
    addresses = {"azureopenai": azure.url, "azureopenai.token": azure.url}
    options.setdefault("service_urls", addresses)
    async with client(**options) as http:
        yield [bound("azureopenai", http, settings=settings(**one)) for one in given or ({},)]


def settings(**given: Any) -> dict[str, Any]:
    place = {"resource_name": "my-resource", "deployment_id": "gpt-5", "api_version": "2024-10-21"}
    credentials = {"client_id": "app", "client_secret": "s3cret-of-app", "scopes": ["b", "a"], "tenant_id": "my tenant"}
    return {**place, **credentials, **given}


def asked_for_tokens(azure: FakeProvider) -> int:
    return sum("oauth2" in request.path for request in azure.requests)


async def test_a_token_is_fetched_once_and_sent_with_each_request(azure: FakeProvider) -> None:
    async with endpoints(azure) as [provider]:
        assert text_of(await streamed(provider, "hello")) == "hello"
        assert text_of(await streamed(provider, "again")) == "again"
    asked = azure.requests[0]
    assert (asked.method, asked.path) == ("POST", "/my%20tenant/oauth2/v2.0/token")
    form = asked.form()
    assert form.pop("client_info") == "1"
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "s3cret-of-app",
        "scope": "a b",
    }
    assert [request.headers.get("authorization") for request in azure.requests[1:]] == [
        f"Bearer {token}" for token in azure.tokens
    ] * 2


async def test_nothing_of_the_machine_is_told(azure: FakeProvider) -> None:
    async with endpoints(azure) as [provider]:
        await streamed(provider)
    assert not [name for name in azure.requests[0].headers if name.startswith("x-client")]


async def test_endpoints_with_the_same_credentials_share_one_exchange(azure: FakeProvider) -> None:
    async with endpoints(azure, {}, {"deployment_id": "other"}) as providers:
        await asyncio.gather(*(streamed(provider) for provider in providers * 10))
    assert asked_for_tokens(azure) == 1


async def test_another_tenant_is_another_credential(azure: FakeProvider) -> None:
    async with endpoints(azure, {}, {"tenant_id": "another"}) as providers:
        for provider in providers:
            await streamed(provider)
    assert asked_for_tokens(azure) == 2


async def test_many_exchanges_at_once_leave_threads_for_the_resolution_of_names(azure: FakeProvider) -> None:
    """The event loop resolves names in its threads; with all of them waiting for tokens it would stand still."""
    named = azure.url.replace("127.0.0.1", "localhost")
    many = [{"client_id": f"app-{number}"} for number in range(40)]
    addresses = {"azureopenai": named, "azureopenai.token": named}
    async with endpoints(azure, *many, private_hosts="localhost", service_urls=addresses) as providers:
        async with asyncio.timeout(20):
            await asyncio.gather(*(streamed(provider) for provider in providers))
    assert asked_for_tokens(azure) == 40


async def test_no_address_of_an_answer_is_followed(azure: FakeProvider) -> None:
    async with endpoints(azure, {"client_id": "elsewhere"}) as [provider]:
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert asked_for_tokens(azure) == 1


async def test_the_region_of_this_machine_does_not_change_the_address(
    azure: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    async with endpoints(azure) as [provider]:
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert azure.requests[0].path == "/my%20tenant/oauth2/v2.0/token"


async def test_a_refused_token_is_dropped(azure: FakeProvider) -> None:
    async with endpoints(azure) as [provider]:
        await streamed(provider)
        azure.tokens.clear()
        with pytest.raises(ProviderError, match="Received an authentication error"):
            await streamed(provider)
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert asked_for_tokens(azure) == 2


async def test_the_public_address_is_asked_where_no_other_is_set(azure: FakeProvider) -> None:
    async with endpoints(azure, private_hosts="", service_urls={}) as [provider]:
        credentials = provider._tokens._credentials  # type: ignore[attr-defined]
    assert credentials.token_url == "https://login.microsoftonline.com/my%20tenant/oauth2/v2.0/token"


@pytest.mark.parametrize(
    ("client_id", "cause"),
    [
        ("refused", "status [401], [invalid_client: AADSTS7000215: Invalid client secret *** for my tenant]"),
        ("not-json", "the answer has no [access_token]"),
    ],
)
async def test_a_token_that_is_not_given_is_a_failure_without_secrets(
    azure: FakeProvider, client_id: str, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with endpoints(azure, {"client_id": client_id}) as [provider]:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    host = azure.url.removeprefix("http://")
    assert error.value.reason == f"{FAILED}Failed to get an access token from [{host}]. Cause: {cause}"
    assert error.value.status == 500
    assert "s3cret-of-app" not in error.value.reason + caplog.text
    assert asked_for_tokens(azure) == 1


async def test_neither_tokens_nor_secrets_are_logged(azure: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with endpoints(azure) as [provider]:
        await streamed(provider)
    assert "s3cret-of-app" not in caplog.text
    assert not [token for token in azure.tokens if token in caplog.text]


async def test_secrets_and_tokens_are_taken_out_of_messages(azure: FakeProvider) -> None:
    async with endpoints(azure, {"deployment_id": "error:400"}) as [provider]:
        with pytest.raises(ProviderError, match=r"Error message: \[refused for Bearer \*\*\*\]"):
            await streamed(provider)
        assert set(provider.secrets()) == {"s3cret-of-app", *azure.tokens}  # type: ignore[attr-defined]


async def test_the_guard_holds_for_the_token_service(azure: FakeProvider) -> None:
    addresses = {"azureopenai": azure.url, "azureopenai.token": "https://10.0.0.1"}
    async with endpoints(azure, service_urls=addresses) as [provider]:
        with pytest.raises(ProviderError, match=r"Request refused: \[10.0.0.1:443\] is not at a public address"):
            await streamed(provider)


async def test_a_missing_library_is_named_with_its_extra(azure: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msal", None)
    async with endpoints(azure) as [provider]:
        with pytest.raises(StatusError, match=r'pip install "inference-gateway\[azure\]"') as error:
            await streamed(provider)
    assert error.value.status == 500


def test_secrets_are_in_no_text_of_the_credentials() -> None:
    credentials = _entra.EntraCredentials("https://x/token", "app", "s3cret-of-app", ("a",), "my-tenant")
    assert "s3cret-of-app" not in repr(credentials)
    assert credentials.secrets() == ("s3cret-of-app",)
