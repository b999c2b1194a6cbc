"""httpx2 above, aiohttp below, a guard between: how a request reaches its host, and what may go wrong with it."""

from __future__ import annotations

import io
import os
import socket
import ssl
from collections.abc import AsyncIterator
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

# A stream holds its connection as long as it lasts, so this bounds the open streams of a process. It is there so
# that a leak becomes an error that says so, before the process runs out of file descriptors.
MAX_CONNECTIONS = 20_000
KEEP_ALIVE_SECONDS = 60.0
# Until the first byte of a body the caller's own deadline counts; this one ends what has none. Models think long.
FIRST_BYTE_SECONDS = 600.0
MAX_ERROR_BYTES = 64 * 2**10
ERROR_SECONDS = 5.0
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


class Transport(httpx2.AsyncBaseTransport):
    """Sends what passes the guard. The sessions belong to the event loop of the first request."""

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
            raise failure_of(error, url, late, connect_seconds=self._connect_seconds) from None
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
    """The body as httpx2 reads it: for encoded bodies, and for refusals.

    Of a refusal what comes soon, up to MAX_ERROR_BYTES, is enough: its status says more than its body.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        refusal = not 200 <= self._response.status < 300
        left = MAX_ERROR_BYTES
        if refusal:
            limit_silence(self._response, ERROR_SECONDS)
        try:
            while (data := await self._response.content.readany()) and left > 0:
                yield data[:left] if refusal else data
                left -= len(data) if refusal else 0
        except Exception as error:
            if not refusal:
                raise failure_of(error, self._response.url, "no more data") from None

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


def limit_silence(response: aiohttp.ClientResponse, seconds: float) -> None:
    """From now on, reading fails after so many seconds without data."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.read_timeout = seconds
        connection.protocol.start_timeout()


def without_query(url: str) -> str:
    """Return `url` as messages may show it: without its query, which may carry a key."""
    return url.partition("?")[0]


def invalid_host(url: str) -> ProviderError:
    return ProviderError(f"Invalid host [{without_query(url)}], please check that the URL is correct.", status=400)


def failure_of(error: Exception, url: URL, late: str, connect_seconds: float = 0.0) -> Exception:
    """Return what is raised instead of `error`; `late` says which wait was too long. Addresses stay unsaid."""
    match error:
        case ProviderError():
            return error
        case aiohttp.SocketTimeoutError():
            return ConnectionFailed(late, status=408)
        case TimeoutError():
            return ConnectionFailed(f"no connection within [{connect_seconds:g}s]", repeatable=True)
        case aiohttp.ClientConnectorDNSError() if error.os_error.errno == socket.EAI_AGAIN:
            return ConnectionFailed("its name cannot be resolved now", repeatable=True)
        case aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | httpx2.InvalidURL():
            return invalid_host(str(url))
        case aiohttp.ClientConnectorCertificateError():
            return ConnectionFailed(f"the certificate was not accepted: {_certificate_problem(error)}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return ConnectionFailed("the TLS handshake failed")
        case aiohttp.ClientConnectorError():
            return ConnectionFailed(_words(error.os_error), repeatable=True)
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
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
def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the context that all connections share; making one takes 20 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle is not None:
        context.load_verify_locations(cafile=ca_bundle)
    return context
