"""Tokens of Google Cloud: which keys are taken, what is asked with them, and what is done where that fails."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from endpoints.providers import _google_credentials
from endpoints.providers._base import Provider
from endpoints.providers._google_credentials import ServiceAccount, problem_of
from tests.fakes import googlevertexai
from tests.fakes.googlevertexai import PROJECT, key_file, pem, private_key
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client, streamed, text_of
from wire.errors import ProviderError, StatusError


@pytest.fixture
def google() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=googlevertexai.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(google: FakeProvider, key: str) -> AsyncIterator[Provider]:
    settings = {"service_account_json": key, "project_id": PROJECT, "model_id": "gemini"}
    async with client(service_urls={"googlevertexai": google.url, "googlevertexai.token": google.url}) as http:
        yield bound("googlevertexai", http, settings=settings)


def token_requests(google: FakeProvider) -> int:
    return sum(request.path == "/token" for request in google.requests)


def test_a_key_file_is_taken_as_it_was_downloaded() -> None:
    assert "\n" in key_file()
    assert problem_of(key_file()) == ""
    assert problem_of(json.dumps(json.loads(key_file()))) == ""


def test_a_key_file_may_lack_what_is_not_needed() -> None:
    assert problem_of(key_file(token_uri=None, private_key_id=None, client_id=None)) == ""


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("AIza-no-json", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ('"text"', "it is not a JSON object"),
        ("[" * 100_000, "it is not a JSON object"),
        ("{}", "its [type] is not [service_account]"),
        ('{"type": "authorized_user"}', "its [type] is not [service_account]"),
        ('{"type": "service_account"}', "it does not have [client_email, private_key]"),
        ('{"type": "service_account", "client_email": 1, "private_key": ""}', "it does not have [client_email, private_key]"),
        (key_file(private_key="-----BEGIN PRIVATE KEY-----\nMIIE"), "its [private_key] is not an RSA key that can sign"),
        (key_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "its [private_key] is not an RSA key that can sign"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_key_is_named(key: str, problem: str) -> None:
    assert problem_of(key) == problem


async def test_a_token_is_fetched_once_and_sent_with_each_request(google: FakeProvider) -> None:
    async with endpoint(google, key_file()) as provider:
        assert text_of(await streamed(provider, "hello")) == "hello"
        assert text_of(await streamed(provider, "again")) == "again"
    assert token_requests(google) == 1
    assert {
        request.headers["authorization"].removeprefix("Bearer ") for request in google.requests[1:]
    } == google.tokens


async def test_many_requests_at_once_share_one_token_request(google: FakeProvider) -> None:
    async with endpoint(google, key_file("slow")) as provider:
        await asyncio.gather(*(streamed(provider) for _ in range(20)))
    assert token_requests(google) == 1


async def test_endpoints_with_the_same_key_share_a_token(google: FakeProvider) -> None:
    async with endpoint(google, key_file()) as provider:
        other = bound(
            "googlevertexai",
            provider.binding.http,
            settings={"service_account_json": key_file(), "project_id": PROJECT, "model_id": "another"},
        )
        await streamed(provider)
        await streamed(other)
    assert token_requests(google) == 1


async def test_a_token_that_ends_soon_is_fetched_again(google: FakeProvider) -> None:
    async with endpoint(google, key_file("short")) as provider:
        await streamed(provider)
        await asyncio.sleep(0.55)
        await streamed(provider)
    assert token_requests(google) == 2


async def test_a_refused_token_is_dropped(google: FakeProvider) -> None:
    async with endpoint(google, key_file()) as provider:
        await streamed(provider)
        google.tokens.clear()
        with pytest.raises(ProviderError, match=r"status \[401\]"):
            await streamed(provider)
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert token_requests(google) == 2


async def test_a_token_that_is_not_given_is_a_403_with_nothing_of_the_key(google: FakeProvider) -> None:
    async with endpoint(google, key_file("refused")) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    host = google.url.removeprefix("http://")
    start = f"Failed to get an access token from [{host}]. Cause: status [400], [invalid_grant: Invalid JWT Signature."
    assert error.value.reason.startswith(start)
    assert error.value.status == 403
    signature = google.last.form()["assertion"].rpartition(".")[2]
    assert signature not in error.value.reason
    assert token_requests(google) == len(google.requests) == 1


async def test_the_token_address_of_a_key_is_never_asked(google: FakeProvider) -> None:
    with FakeProvider.running(respond=googlevertexai.respond) as elsewhere:
        async with endpoint(google, key_file(token_uri=f"{elsewhere.url}/token")) as provider:
            assert text_of(await streamed(provider, "hello")) == "hello"
        assert elsewhere.requests == []


def test_nothing_of_a_key_is_in_a_text() -> None:
    account = ServiceAccount("https://oauth2.googleapis.com/token", key_file())
    assert "PRIVATE KEY" not in repr(account)
    assert pem(private_key()) in account.secrets()


def test_without_google_auth_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    monkeypatch.setattr(_google_credentials, "_usable", set())
    with pytest.raises(StatusError, match=r'pip install "inference-gateway\[google\]"') as error:
        problem_of(key_file())
    assert error.value.status == 500
