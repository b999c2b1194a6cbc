"""The only way out: every request to a provider, and every request for a token, goes through one guarded client.

httpx2 is what the vendors' libraries take as their HTTP client; aiohttp below it does the work, since it reads a
stream several times cheaper. Both keep cookies, follow redirects and heed proxy variables unless told otherwise:
here a cookie of one tenant would be sent with the key of another, and a redirect would leave the guarded address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx2
from aiohttp.abc import AbstractResolver

from endpoints.providers._addresses import PrivateHosts, check_url
from endpoints.providers._connections import Proxy
from endpoints.providers._prepared import Prepared
from endpoints.providers._response import Response
from endpoints.providers._transport import (
    FIRST_BYTE_SECONDS,
    ConnectionFailed,
    Transport,
    failure_of,
    refusal,
    tls_context,
)

__all__ = ["Answer", "ConnectionFailed", "HttpClient", "PrivateHosts", "check_url"]

MAX_ANSWER_BYTES = 50 * 2**20
# At a time: what was read is kept several times over, as bytes, deltas and event, while the client does not read.
READ_BYTES = 65_536
# After the last event, the end of the body usually is in the next packet; with it the connection can be used again.
LAST_BYTE_SECONDS = 0.1


class HttpClient:
    """One for each process and event loop; close it with `aclose`.

    `connect_seconds` covers all that comes before a request can be sent: the resolution, each address, the proxy, TLS.
    `idle_seconds` is the longest silence inside a body, counted from its first byte. `ca_bundle` is a file of
    certificates that are trusted besides those of the system. `proxy` is `http://user:password@host:port`.
    `service_urls` are addresses that stand for the public ones of services, by the names that `GATEWAY_SERVICE_URLS`
    has for them. `resolver` is for tests.
    """

    def __init__(
        self,
        private_hosts: PrivateHosts,
        connect_seconds: float = 5.0,
        idle_seconds: float = 60.0,
        ca_bundle: str | None = None,
        *,
        proxy: str | None = None,
        service_urls: Mapping[str, str] | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._idle_seconds = idle_seconds
        self.service_urls: Mapping[str, str] = service_urls or {}
        self._transport = Transport(
            private_hosts, connect_seconds, tls_context(ca_bundle), Proxy.parse(proxy) if proxy else None, resolver
        )
        self.client = httpx2.AsyncClient(
            transport=self._transport,
            headers={"Accept-Encoding": "identity", "User-Agent": "inference-gateway"},
            follow_redirects=False,
            timeout=None,
            trust_env=False,
        )
        """What vendors' libraries are given as their HTTP client. Send with `stream=True` and read with `answer`. What
        is asked often goes past it, by `post`."""
        self.client._cookies = _NoCookies()

    def answer(self, response: httpx2.Response) -> Answer:
        """Return what reads `response`. Close it."""
        return Answer(response.extensions["response"], self._idle_seconds)

    def prepare(self, request: httpx2.Request) -> Prepared:
        """Return `request`, but for its body, in the form that `post` takes. Raise ProviderError for a refused URL."""
        return self._transport.prepare(request)

    async def post(
        self,
        prepared: Prepared,
        content: bytes,
        *,
        connect_seconds: float | None = None,
        idle_seconds: float | None = None,
    ) -> Answer:
        """Send a request, past the client, and return its answer once its head is here. Close it.

        The seconds stand for the client's own. Raise ConnectionFailed or ProviderError.
        """
        response = await self._transport.send(prepared, content, connect_seconds)
        return Answer(response, self._idle_seconds if idle_seconds is None else idle_seconds)

    async def aclose(self) -> None:
        await self.client.aclose()


class Answer:
    """A response whose body is read as it arrives. Close it with `aclose`, which never waits for the network."""

    def __init__(self, response: Response, idle_seconds: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        """Their names in any case."""
        self._raw = response
        self._idle_seconds = idle_seconds
        self._longest_silence = FIRST_BYTE_SECONDS
        self._finishing = False

    async def read(self) -> bytes:
        """Return what has arrived, of much a part; b"" at the end of the body. Raise ConnectionFailed."""
        try:
            data = await self._raw.read(READ_BYTES)
        except Exception as error:
            raise failure_of(error, self._raw.url, f"no data for [{self._longest_silence:g}s]") from None
        if self._longest_silence != self._idle_seconds:
            self._longest_silence = self._idle_seconds
            self._raw.limit_silence(self._idle_seconds)
        return data

    async def read_all(self) -> bytes:
        """Return the whole body; that of a refusal is cut at MAX_ERROR_BYTES.

        Raise ConnectionFailed, also where the body is larger than MAX_ANSWER_BYTES.
        """
        if not 200 <= self.status < 300:
            return await refusal(self._raw)
        body = bytearray()
        while data := await self.read():
            body += data
            if len(body) > MAX_ANSWER_BYTES:
                raise ConnectionFailed(f"the answer is larger than [{MAX_ANSWER_BYTES // 2**20}] MiB")
        return bytes(body)

    def finish(self) -> None:
        """Close a body that has said all, once its last bytes are here, if they come soon: so the connection is kept.

        Nobody has to wait for that; `aclose` does nothing any more.
        """
        if not self._raw.ended and not self._finishing:
            self._finishing = True
            asyncio.get_running_loop().call_later(LAST_BYTE_SECONDS, self._raw.close)

    async def aclose(self) -> None:
        if not self._finishing:
            self._raw.close()


class _NoCookies(httpx2.Cookies):
    """Neither keeps cookies nor spends time on them."""

    def extract_cookies(self, response: httpx2.Response) -> None:
        pass

    def set_cookie_header(self, request: httpx2.Request) -> None:
        pass
