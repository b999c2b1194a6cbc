"""httpx2 above, aiohttp below: how a request is sent and its answer read, and what may go wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from endpoints.providers._addresses import PrivateHosts, check_url
from endpoints.providers._connections import Connector, GuardedResolver, Proxy, ProxyConnector
from endpoints.providers._content_encoding import KNOWN
from endpoints.providers._prepared import Prepared
from endpoints.providers._response import Response
from wire.errors import ProviderError

# Until the first byte of a body the caller's own deadline counts, which may be a day; this one ends what has none.
FIRST_BYTE_SECONDS = 86_400.0
MAX_ERROR_BYTES = 64 * 2**10
ERROR_SECONDS = 5.0
_NAMED_ENCODINGS = KNOWN | {"br", "zstd", "compress", "x-compress"}
_CLOSED = "the connection was closed before the end of the answer"


class ConnectionFailed(Exception):
    """There is no answer, or no whole one. `cause` is safe to show; `status` is what the caller gets.

    What is `repeatable` may be asked again as long as nothing of an answer was passed on. `cut` says that there was a
    connection and that it ended or broke.
    """

    def __init__(self, cause: str, *, status: int = 500, repeatable: bool = False, cut: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.repeatable = repeatable
        self.cut = cut


class Transport(httpx2.AsyncBaseTransport):
    """Sends what passes the guard. The connections belong to the event loop of the first request."""

    def __init__(
        self,
        private_hosts: PrivateHosts,
        connect_seconds: float,
        tls: ssl.SSLContext,
        proxy: Proxy | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._private_hosts = private_hosts
        self._limits = _limits(connect_seconds)
        self._tls = tls
        self._proxy = proxy
        self._resolver = resolver
        self._connectors: dict[str, Connector] = {}

    def prepare(self, request: httpx2.Request) -> Prepared:
        """Return what is sent for `request`, whose body does not count. Raise ProviderError for a refused URL."""
        address = str(request.url)
        if problem := check_url(address, self._private_hosts):
            raise ProviderError(f"Request refused: {problem}", status=400)
        # The length is that of the body that will be sent.
        headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() != "content-length"]
        return Prepared(request.method, URL(address), CIMultiDict(headers))

    async def send(self, prepared: Prepared, content: bytes, connect_seconds: float | None = None) -> Response:
        """Return the answer once its head is here; close it. Raise ConnectionFailed or ProviderError."""
        limits = self._limits if connect_seconds is None else _limits(connect_seconds)
        try:
            connection = await self._connector(prepared.url.scheme).connect(prepared.request(), [], limits)
            response = await Response.to(prepared, content, connection, FIRST_BYTE_SECONDS)
        except Exception as error:
            late = f"no answer within [{FIRST_BYTE_SECONDS:g}s]"
            raise failure_of(error, prepared.url, late, connect_seconds=limits.connect or 0.0) from None
        _check_encoding(response)
        return response

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        connect_seconds = request.extensions["timeout"]["connect"]
        response = await self.send(self.prepare(request), request.content, connect_seconds)
        # Bodies are decoded below httpx2, in pieces of bounded size.
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"]
        return httpx2.Response(
            response.status,
            headers=headers,
            stream=_Body(response),
            request=request,
            extensions={"response": response},
        )

    async def aclose(self) -> None:
        for connector in self._connectors.values():
            await connector.close()
        self._connectors.clear()

    def _connector(self, scheme: str) -> Connector:
        """Return the connections for `scheme`; each has its own pool, since the resolver is not told the scheme."""
        connector = self._connectors.get(scheme)
        if connector is None:
            connector = self._connectors[scheme] = self._new_connector(encrypted=scheme == "https")
        return connector

    def _new_connector(self, *, encrypted: bool) -> Connector:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        # Requests without encryption go to opened hosts only, and those are reached without the proxy.
        if self._proxy is not None and encrypted:
            return ProxyConnector(self._proxy, self._private_hosts, self._tls, resolver)
        return Connector(GuardedResolver(self._private_hosts, resolver, encrypted=encrypted), self._tls)


class _Body(httpx2.AsyncByteStream):
    """The body as httpx2 reads it."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not 200 <= self._response.status < 300:
            yield await refusal(self._response)
            return
        try:
            while data := await self._response.read(MAX_ERROR_BYTES):
                yield data
        except Exception as error:
            raise failure_of(error, self._response.url, "no more data") from None

    async def aclose(self) -> None:
        self._response.close()


async def refusal(response: Response) -> bytes:
    """Return what comes soon of the body of a refusal, up to MAX_ERROR_BYTES; its status says more than its body."""
    body = bytearray()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ERROR_SECONDS):
            while len(body) < MAX_ERROR_BYTES and (data := await response.read(MAX_ERROR_BYTES)):
                body += data
    return bytes(body[:MAX_ERROR_BYTES])


@lru_cache(1024)
def _limits(connect_seconds: float) -> aiohttp.ClientTimeout:
    """`connect` covers the wait for a free connection, the resolution, all addresses, the proxy and TLS."""
    return aiohttp.ClientTimeout(total=None, connect=connect_seconds)


def _check_encoding(response: Response) -> None:
    """Raise ConnectionFailed for an encoding that is not known; a refusal says enough by its status."""
    encoding = response.headers.get("Content-Encoding")
    if encoding is None or encoding.strip().lower() in KNOWN or not 200 <= response.status < 300:
        return
    response.close()
    # Others are not repeated: some providers repeat what they were sent.
    shown = encoding if set(encoding.lower().split(", ")) <= _NAMED_ENCODINGS else "***"
    raise ConnectionFailed(f"the answer is encoded as [{shown[:80]}], which was not asked for")


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
        case aiohttp.ClientHttpProxyError():
            status = error.status
            return ConnectionFailed(f"the outbound proxy answered with status [{status}]", repeatable=status >= 500)
        case aiohttp.ClientProxyConnectionError():
            return ConnectionFailed(f"the outbound proxy: {_words(error.os_error)}", repeatable=True)
        case aiohttp.ClientConnectorDNSError() if error.host != url.raw_host:
            return ConnectionFailed("the name of the outbound proxy cannot be resolved", repeatable=True)
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
        case ContentEncodingError():
            return ConnectionFailed("the answer is not encoded as it says")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return ConnectionFailed(_CLOSED, repeatable=True, cut=True)
        case aiohttp.ClientError() | HttpProcessingError():
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
