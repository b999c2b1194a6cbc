"""Who is connected to: what passes the guard, directly or through the outbound proxy, and no other."""

from __future__ import annotations

import asyncio
import copy
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from endpoints.providers._addresses import PrivateHosts, is_public, may_connect, not_encrypted, not_public
from endpoints.providers._response import LeanConnection
from wire.errors import ProviderError

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.tracing import Trace

# A stream holds its connection as long as it lasts, so this bounds the open streams of a process. It is there so
# that a leak becomes an error that says so, before the process runs out of file descriptors. Hosts have no bound of
# their own: nearly all streams of a gateway may go to one.
MAX_CONNECTIONS = 20_000
KEEP_ALIVE_SECONDS = 60.0
# Behind a proxy, names of the world outside often cannot be resolved, and some resolvers take their time to say so.
LOOK_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """The outbound proxy. `url` is without user and password; `headers` are sent to it alone."""

    url: URL
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read `http://user:password@host:port`, in which user and password may be percent-encoded."""
        url = URL(text)
        headers = {"User-Agent": "inference-gateway"}
        if url.user or url.password:
            headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(url.user or "", url.password or "")
        return cls(url.origin(), headers)


class Connector(aiohttp.TCPConnector):
    """Keeps the connections to hosts whose addresses `resolver` hands out."""

    def __init__(self, resolver: AbstractResolver, tls: ssl.SSLContext) -> None:
        super().__init__(resolver=resolver, ssl=tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        factory: Any = partial(LeanConnection, loop=self._loop)
        self._factory = factory


class ProxyConnector(Connector):
    """Connects by TLS: to hosts that are opened directly, to all others through the proxy.

    The proxy is told the name and looks it up once more, so what is found here cannot be pinned; who may not be
    reached from where the proxy stands is the proxy's to refuse. What a name means here is judged all the same. Where
    it means nothing here, the proxy is asked.
    """

    def __init__(
        self, proxy: Proxy, private_hosts: PrivateHosts, tls: ssl.SSLContext, resolver: AbstractResolver
    ) -> None:
        super().__init__(GuardedResolver(private_hosts, resolver, encrypted=True), tls)
        self._proxy = proxy
        self._private_hosts = private_hosts
        # The address of the proxy is not judged: an administrator chose it.
        self._through = Connector(resolver, tls)

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        if await self._is_opened(req.url.raw_host or "", req.url.port or 0):
            return await super()._create_connection(req, traces, timeout)
        # A copy, since the pool would not find again what it knows by a request that had no proxy.
        req = copy.copy(req)
        req.update_proxy(self._proxy.url, None, CIMultiDict(self._proxy.headers))
        return await self._through._create_connection(req, traces, timeout)

    async def close(self, *, abort_ssl: bool = False) -> None:
        await self._through.close(abort_ssl=abort_ssl)
        await super().close(abort_ssl=abort_ssl)

    async def _is_opened(self, host: str, port: int) -> bool:
        """Whether GATEWAY_PRIVATE_HOSTS has the host. Raise ProviderError where it is neither there nor public."""
        if self._private_hosts.opens_name(host, port):
            return True
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await self._through._resolve_host(host, port)
        except (OSError, UnicodeError):
            return False
        addresses = [ip_address(one["host"]) for one in found]
        private = [address for address in addresses if not is_public(address)]
        if not all(self._private_hosts.opens_address(address, port) for address in private):
            raise ProviderError(f"Request refused: {not_public(host, port)}", status=400)
        return bool(addresses) and all(self._private_hosts.opens_address(address, port) for address in addresses)


class GuardedResolver(AbstractResolver):
    """Hands out only addresses that may be connected to. What it returns is what is connected to, so that a name
    cannot mean another address a moment later."""

    def __init__(self, private_hosts: PrivateHosts, resolver: AbstractResolver, *, encrypted: bool) -> None:
        self._private_hosts = private_hosts
        self._encrypted = encrypted
        self._resolver = resolver

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
