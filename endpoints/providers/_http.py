"""The only way out: every request to a provider, and every request for a token, goes through one guarded client.

httpx2 is what the vendors' libraries take as their HTTP client; aiohttp below it does the work, since it reads a
stream several times cheaper. Both keep cookies, follow redirects and heed proxy variables unless told otherwise:
here a cookie of one tenant would be sent with the key of another, and a redirect would leave the guarded address.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from functools import lru_cache
from ipaddress import ip_address

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from endpoints.providers._addresses import (
    PrivateHosts,
    check_url,
    is_public,
    may_connect,
    not_encrypted,
    not_public,
)
from wire.errors import ProviderError

__all__ = [
    "Answer",
    "ConnectionFailed",
    "HttpClient",
    "PrivateHosts",
    "check_url",
    "invalid_host",
    "without_query",
]

# A stream holds its connection as long as it lasts, so this bounds the open streams of a process. It is there so
# that a leak becomes an error that says so, before the process runs out of file descriptors.
MAX_CONNECTIONS = 20_000
KEEP_ALIVE_SECONDS = 60.0
# Until the first byte of a body the caller's own deadline counts; this one ends what has none. Models think long.
FIRST_BYTE_SECONDS = 600.0
MAX_ERROR_BYTES = 64 * 2**10
MAX_ANSWER_BYTES = 50 * 2**20
# After the last event, the end of the body usually is in the next packet; with it the connection can be used again.
LAST_BYTE_SECONDS = 0.1
# aiohttp writes larger bodies in pieces when they are files.
_LARGE_BODY = 2**20


class ConnectionFailed(Exception):
    """There is no answer, or no whole one. `cause` is safe to show; `status` is what the caller gets.

    What is `repeatable` may be asked again as long as nothing of an answer was passed on.
    """

    def __init__(self, cause: str, *, status: int = 500, repeatable: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.repeatable = repeatable


class HttpClient:
    """One for each process and event loop; close it with `aclose`.

    `idle_seconds` is the longest silence inside a body, counted from its first byte. `ca_bundle` is a file of
    certificates that are trusted besides those of the system. `resolver` is for tests.
    """

    def __init__(
        self,
        private_hosts: PrivateHosts,
        connect_seconds: float = 5.0,
        idle_seconds: float = 60.0,
        ca_bundle: str | None = None,
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._idle_seconds = idle_seconds
        transport = _Transport(private_hosts, connect_seconds, _tls_context(ca_bundle), resolver)
        self.client = httpx2.AsyncClient(
            transport=transport,
            headers={"Accept-Encoding": "identity", "User-Agent": "inference-gateway"},
            follow_redirects=False,
            trust_env=False,
        )
        self.client._cookies = _NoCookies()
        """What vendors' libraries are given as their HTTP client. Send with `stream=True` and read with `answer`."""

    def answer(self, response: httpx2.Response) -> Answer:
        return Answer(response, self._idle_seconds)

    async def aclose(self) -> None:
        await self.client.aclose()


class Answer:
    """A response whose body is read as it arrives. Close it with `aclose`, which never waits for the network."""

    def __init__(self, response: httpx2.Response, idle_seconds: float) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._response = response
        self._raw: aiohttp.ClientResponse = response.extensions["aiohttp_response"]
        self._idle_seconds = idle_seconds
        self._longest_silence = FIRST_BYTE_SECONDS
        self._decoded: AsyncIterator[bytes] | None = None
        if response.headers.get("content-encoding", "identity") != "identity":
            self._decoded = response.aiter_bytes()

    async def read(self) -> bytes:
        """Return what has arrived, b"" at the end of the body. Raise ConnectionFailed."""
        try:
            data = await (self._raw.content.readany() if self._decoded is None else anext(self._decoded, b""))
        except Exception as error:
            raise _failure(error, self._raw.url, f"no data for [{self._longest_silence:g}s]") from None
        if self._longest_silence != self._idle_seconds:
            self._limit_silence()
        return data

    async def read_all(self) -> bytes:
        """Return the whole body; that of a refusal is cut at MAX_ERROR_BYTES.

        Raise ConnectionFailed, also where the body is larger than MAX_ANSWER_BYTES.
        """
        if not 200 <= self.status < 300:
            return await self._read_refusal()
        body = bytearray()
        while data := await self.read():
            body += data
            if len(body) > MAX_ANSWER_BYTES:
                raise ConnectionFailed(f"the answer is larger than [{MAX_ANSWER_BYTES // 2**20}] MiB")
        return bytes(body)

    async def finish(self) -> None:
        """Read the rest of a body that has said all, if it comes at once, so that its connection is kept."""
        if self._raw.content.at_eof():
            return
        with contextlib.suppress(TimeoutError, ConnectionFailed):
            async with asyncio.timeout(LAST_BYTE_SECONDS):
                while await self.read():
                    pass

    async def aclose(self) -> None:
        if isinstance(self._decoded, AsyncGenerator):
            await self._decoded.aclose()
        await self._response.aclose()

    async def _read_refusal(self) -> bytes:
        try:
            return await self._response.aread()
        except Exception as error:
            raise _failure(error, self._raw.url, f"no data for [{FIRST_BYTE_SECONDS:g}s]") from None

    def _limit_silence(self) -> None:
        self._longest_silence = self._idle_seconds
        connection = self._raw.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._idle_seconds
            connection.protocol.start_timeout()


class _Transport(httpx2.AsyncBaseTransport):
    """httpx2 above, aiohttp below. The sessions belong to the event loop of the first request."""

    def __init__(
        self,
        private_hosts: PrivateHosts,
        connect_seconds: float,
        tls: ssl.SSLContext,
        resolver: AbstractResolver | None,
    ) -> None:
        self._private_hosts = private_hosts
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._resolver = resolver
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        address = str(request.url)
        if problem := check_url(address, self._private_hosts):
            raise ProviderError(f"Request refused: {problem}", status=400)
        url = URL(address)
        content = request.content
        try:
            response = await self._session(url.scheme).request(
                request.method,
                url,
                headers=request.headers.multi_items(),
                data=io.BytesIO(content) if len(content) > _LARGE_BODY else content or None,
                allow_redirects=False,
            )
        except Exception as error:
            late = f"no answer within [{FIRST_BYTE_SECONDS:g}s]"
            raise _failure(error, url, late, connect_seconds=self._connect_seconds) from None
        return httpx2.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            request=request,
            extensions={"aiohttp_response": response},
        )

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        """Return the session for `scheme`; each has its own pool, since the resolver is not told the scheme."""
        session = self._sessions.get(scheme)
        if session is None:
            session = self._sessions[scheme] = self._new_session(encrypted=scheme == "https")
        return session

    def _new_session(self, *, encrypted: bool) -> aiohttp.ClientSession:
        resolver = _GuardedResolver(self._private_hosts, self._resolver, encrypted=encrypted)
        connector = aiohttp.TCPConnector(
            resolver=resolver, ssl=self._tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS
        )
        return aiohttp.ClientSession(
            connector=connector,
            # `connect` covers the wait for a free connection, the resolution, all addresses and the TLS handshake.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_seconds, sock_read=FIRST_BYTE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )


class _Body(httpx2.AsyncByteStream):
    """The body as httpx2 reads it: for refusals, which are cut at MAX_ERROR_BYTES, and for encoded bodies."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        refusal = not 200 <= self._response.status < 300
        left = MAX_ERROR_BYTES if refusal else None
        while data := await self._response.content.readany():
            yield data[:left]
            if left is not None:
                left -= len(data)
                if left <= 0:
                    return

    async def aclose(self) -> None:
        # A body that was read to its end leaves a connection for the next request. Closing any other is what tells
        # the provider to stop.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _GuardedResolver(AbstractResolver):
    """Hands out only addresses that may be connected to. What it returns is what is connected to, so that a name
    cannot mean another address a moment later."""

    def __init__(
        self, private_hosts: PrivateHosts, resolver: AbstractResolver | None = None, *, encrypted: bool
    ) -> None:
        self._private_hosts = private_hosts
        self._encrypted = encrypted
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._resolver.resolve(host, port, family)
        except UnicodeError as error:
            raise OSError(str(error)) from None
        if not found:
            raise OSError("the name has no address")
        if self._private_hosts.opens_name(host, port):
            return found
        allowed = [one for one in found if self._allows(one, port)]
        if not allowed:
            public = any(is_public(ip_address(one["host"])) for one in found)
            problem = not_encrypted(host, port) if public else not_public(host, port)
            raise ProviderError(f"Request refused: {problem}", status=400)
        return allowed

    async def close(self) -> None:
        await self._resolver.close()

    def _allows(self, found: ResolveResult, port: int) -> bool:
        return may_connect(ip_address(found["host"]), port, self._private_hosts, encrypted=self._encrypted)


class _NoCookies(httpx2.Cookies):
    """Neither keeps cookies nor spends time on them."""

    def extract_cookies(self, response: httpx2.Response) -> None:
        pass

    def set_cookie_header(self, request: httpx2.Request) -> None:
        pass


def without_query(url: str) -> str:
    """Return `url` as messages may show it: without its query, which may carry a key."""
    return url.partition("?")[0]


def invalid_host(url: str) -> ProviderError:
    return ProviderError(f"Invalid host [{without_query(url)}], please check that the URL is correct.", status=400)


def _failure(error: Exception, url: URL, late: str, connect_seconds: float = 0.0) -> Exception:
    """Return what is raised instead of `error`; `late` says which wait was too long. Addresses stay unsaid."""
    match error:
        case ProviderError():
            return error
        case aiohttp.SocketTimeoutError():
            return ConnectionFailed(late, status=408)
        case TimeoutError():
            return ConnectionFailed(f"no connection within [{connect_seconds:g}s]", repeatable=True)
        case aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | httpx2.InvalidURL():
            return invalid_host(str(url))
        case aiohttp.ClientConnectorCertificateError():
            return ConnectionFailed(f"the certificate was not accepted: {_certificate_problem(error)}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return ConnectionFailed("the TLS handshake failed")
        case aiohttp.ClientConnectorError():
            return ConnectionFailed(_words(error.os_error), repeatable=True)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return ConnectionFailed("the connection was closed before the end of the answer", repeatable=True)
        case httpx2.DecodingError():
            return ConnectionFailed("the answer is not encoded as it says")
        case aiohttp.ClientError():
            return ConnectionFailed("the answer is not valid HTTP")
    return error


def _words(error: OSError) -> str:
    """Return the system's words for `error`, as in `connection refused`."""
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "the connection failed"


def _certificate_problem(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "it is not valid"


@lru_cache
def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the context that all connections share; making one takes 20 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    return context
