"""Whom the gateway believes to be a provider, over real TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from endpoints.providers._http import ConnectionFailed
from tests.fakes.provider import FakeProvider
from tests.providers.certificates import Authority
from tests.providers.endpoints import client, openai, streamed, text_of
from tests.providers.sockets import Names, get, port_of, serving
from wire.errors import ProviderError

REASON = r"Cause: the certificate was not accepted: "


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path)


async def test_an_authority_of_the_bundle_is_trusted_besides_those_of_the_system(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("127.0.0.1")) as fake:
        async with openai(fake, "gpt-echo", http={"ca_bundle": str(authority.file)}) as provider:
            assert text_of(await streamed(provider, "hello")) == "hello"


async def test_a_name_is_compared_with_the_name_of_the_url_whatever_it_resolves_to(authority: Authority) -> None:
    names = Names(engine_example="127.0.0.1")
    with FakeProvider.running(tls=authority.server("engine.example")) as fake:
        async with client("engine.example", ca_bundle=str(authority.file), resolver=names) as http:
            assert await get(http, f"https://engine.example:{port_of(fake)}/health") == b'{"healthy": true}'


@pytest.mark.parametrize(
    ("host", "expired", "trusted", "reason"),
    [
        ("127.0.0.1", False, "other", "unable to get local issuer certificate"),
        ("127.0.0.1", False, None, "unable to get local issuer certificate"),
        ("127.0.0.1", True, "authority", "certificate has expired"),
        ("127.0.0.2", False, "authority", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        ("engine.example", False, "authority", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_a_certificate_that_proves_nothing_is_refused_and_the_reason_said(
    authority: Authority, host: str, expired: bool, trusted: str | None, reason: str
) -> None:
    bundles = {"authority": authority.file, "other": Authority.made(authority.file.parent, "other").file, None: None}
    bundle = bundles[trusted]
    with FakeProvider.running(tls=authority.server(host, expired=expired)) as fake:
        async with openai(fake, "gpt-echo", http={"ca_bundle": str(bundle) if bundle else None}) as provider:
            with pytest.raises(ProviderError, match=REASON + reason) as error:
                await streamed(provider)
    assert (error.value.status, error.value.cut) == (500, False)
    assert fake.requests == []


async def test_a_self_signed_certificate_is_refused(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.as_server()) as fake:
        async with openai(fake, "gpt-echo") as provider:
            with pytest.raises(ProviderError, match=REASON + "self-signed certificate"):
                await streamed(provider)
    assert fake.requests == []


async def test_a_server_that_does_not_speak_tls_is_refused() -> None:
    async with serving(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, client("127.0.0.1") as http:
        with pytest.raises(ConnectionFailed, match="the TLS handshake failed"):
            await get(http, f"https://127.0.0.1:{port}/")
