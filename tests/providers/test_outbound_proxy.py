"""The outbound proxy: what goes through it, what does not, and what it is told."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from endpoints.providers import _connections
from endpoints.providers._http import ConnectionFailed
from endpoints.providers._tokens import ClientCredentials, Tokens
from tests.fakes.provider import FakeProvider
from tests.fakes.proxy import FakeProxy
from tests.providers.certificates import Authority
from tests.providers.endpoints import client
from tests.providers.sockets import Names, get, port_of
from wire.errors import ProviderError

HEALTHY = b'{"healthy": true}'
PASSWORD = "p@ss word"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path)


def through(proxy: FakeProxy, authority: Authority, names: Names | None = None) -> dict[str, object]:
    """Return the options of a client behind `proxy`, whose resolver knows `names`."""
    url = f"http://gateway:p%40ss%20word@{proxy.address}"
    return {"proxy": url, "ca_bundle": str(authority.file), "resolver": names or Names()}


@pytest.mark.parametrize("names", [Names(), Names(api_example="1.2.3.4 8.8.8.8")], ids=["unknown here", "public"])
async def test_a_provider_is_reached_by_its_name_through_the_proxy(authority: Authority, names: Names) -> None:
    with FakeProvider.running(tls=authority.server("api.example")) as fake:
        async with (
            FakeProxy({"api.example:443": port_of(fake)}).running() as proxy,
            client("", **through(proxy, authority, names)) as http,
        ):
            assert await get(http, "https://api.example/health") == HEALTHY
            assert await get(http, "https://api.example/health") == HEALTHY
    assert len(proxy.heads) == 1, "the tunnel is kept"
    assert proxy.heads[0].startswith("CONNECT api.example:443 HTTP/1.1\r\n")
    assert fake.last.path == "/health"


async def test_the_proxy_alone_is_told_its_user_and_password(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("api.example")) as fake:
        async with (
            FakeProxy({"api.example:443": port_of(fake)}).running() as proxy,
            client("", **through(proxy, authority)) as http,
        ):
            request = http.client.build_request("GET", "https://api.example/health", headers={"Authorization": "key"})
            await http.answer(await http.client.send(request, stream=True)).read_all()
    encoded = base64.b64encode(f"gateway:{PASSWORD}".encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {encoded}\r\n" in proxy.heads[0]
    assert "key" not in proxy.heads[0]
    assert "proxy-authorization" not in fake.last.headers
    assert fake.last.headers["authorization"] == "key"


async def test_a_proxy_without_a_user_is_told_none(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("api.example")) as fake:
        async with FakeProxy({"api.example:443": port_of(fake)}).running() as proxy:
            options = {**through(proxy, authority), "proxy": f"http://{proxy.address}"}
            async with client("", **options) as http:
                assert await get(http, "https://api.example/health") == HEALTHY
    assert "Authorization" not in proxy.heads[0]


async def test_access_tokens_are_fetched_through_the_proxy(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("login.example")) as fake:
        async with (
            FakeProxy({"login.example:443": port_of(fake)}).running() as proxy,
            client("", **through(proxy, authority)) as http,
        ):
            credentials = ClientCredentials("https://login.example/token", "me", fake.api_key, ("all",))
            assert await Tokens(http, credentials).get()
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("opened", ["engine.local", "engine.local:{port}", "127.0.0.0/8", "127.0.0.1:{port}"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_opened_hosts_are_reached_directly(authority: Authority, opened: str, scheme: str) -> None:
    tls = authority.server("engine.local") if scheme == "https" else None
    with FakeProvider.running(tls=tls) as fake:
        async with FakeProxy().running() as proxy:
            names = Names(engine_local="127.0.0.1")
            hosts = opened.format(port=port_of(fake))
            async with client(hosts, **through(proxy, authority, names)) as http:
                assert await get(http, f"{scheme}://engine.local:{port_of(fake)}/health") == HEALTHY
    assert proxy.heads == []


async def test_an_opened_address_is_reached_directly(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("127.0.0.1")) as fake:
        async with FakeProxy().running() as proxy, client("127.0.0.1", **through(proxy, authority)) as http:
            assert await get(http, f"{fake.url}/health") == HEALTHY
    assert proxy.heads == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://169.254.169.254/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "http://api.example/",
        "https://inside.example/",
        "https://mixed.example/",
    ],
)
async def test_the_proxy_is_not_asked_for_what_may_not_be_reached(authority: Authority, url: str) -> None:
    """A proxy might choose the private one among several addresses."""
    names = Names(inside_example="10.0.0.1", mixed_example="8.8.8.8 10.0.0.1", api_example="8.8.8.8")
    async with FakeProxy().running() as proxy, client("", **through(proxy, authority, names)) as http:
        with pytest.raises(ProviderError, match=r"^Request refused: ") as error:
            await get(http, url)
    assert error.value.status == 400
    assert proxy.heads == []


async def test_the_proxy_itself_is_no_host_that_may_be_asked(authority: Authority) -> None:
    async with FakeProxy().running() as proxy, client("", **through(proxy, authority)) as http:
        with pytest.raises(ProviderError, match="is not at a public address"):
            await get(http, f"https://{proxy.address}/")
    assert proxy.heads == []


async def test_a_resolver_that_says_nothing_does_not_keep_the_proxy_from_being_asked(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connections, "LOOK_UP_SECONDS", 0.05)
    with FakeProvider.running(tls=authority.server("api.example")) as fake:
        async with (
            FakeProxy({"api.example:443": port_of(fake)}).running() as proxy,
            client("", **through(proxy, authority, Names(silent=True))) as http,
        ):
            assert await get(http, "https://api.example/health") == HEALTHY


async def test_the_certificate_behind_the_proxy_is_verified(authority: Authority) -> None:
    with FakeProvider.running(tls=authority.server("evil.example")) as fake:
        async with (
            FakeProxy({"api.example:443": port_of(fake)}).running() as proxy,
            client("", **through(proxy, authority)) as http,
        ):
            with pytest.raises(ConnectionFailed, match=r"certificate was not accepted: Hostname mismatch"):
                await get(http, "https://api.example/health")
    assert fake.requests == []


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_what_the_proxy_refuses_is_said_without_its_password(
    authority: Authority, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeProxy(status=status).running() as proxy, client("", **through(proxy, authority)) as http:
        with pytest.raises(ConnectionFailed) as error:
            await get(http, "https://api.example/")
    assert error.value.cause == f"the outbound proxy answered with status [{status}]"
    assert error.value.repeatable is (status == 502)
    shown = f"{error.value!r} {http!r} {http.client._transport!r} {caplog.text}"
    assert "p%40ss" not in shown
    assert PASSWORD not in shown
    assert base64.b64encode(f"gateway:{PASSWORD}".encode()).decode() not in shown


async def test_a_proxy_that_is_not_there_is_named_as_what_failed(authority: Authority) -> None:
    async with FakeProxy().running() as proxy:
        options = through(proxy, authority)
    async with client("", **options) as http:
        with pytest.raises(ConnectionFailed, match="the outbound proxy: connection refused"):
            await get(http, "https://api.example/")


async def test_a_proxy_whose_name_is_unknown_is_named_as_what_failed(authority: Authority) -> None:
    options = {"proxy": "http://proxy.local:3128", "ca_bundle": str(authority.file), "resolver": Names()}
    async with client("", **options) as http:
        with pytest.raises(ConnectionFailed, match="the name of the outbound proxy cannot be resolved"):
            await get(http, "https://api.example/")
