"""The address that a request came from, and what of it counts as one client."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, "" where the server did not say (a Unix socket).

    What trusted proxies say of it was taken over by the server's outermost layer already.
    """
    return _shown(request.META.get("REMOTE_ADDR", ""))


def network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that an IPv6 client chooses addresses from."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address


@lru_cache(maxsize=4096)
def _shown(text: str) -> str:
    parsed = _parse(text)
    return "" if parsed is None else str(parsed)


@lru_cache(maxsize=4096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
