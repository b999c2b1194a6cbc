"""The address that a request really came from."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, "" where the server did not say (a Unix socket).

    A proxy in `settings.TRUSTED_PROXIES` is believed what it appended to X-Forwarded-For; what stands further left
    was written by whoever is named there, and counts only while that is such a proxy too.
    """
    remote: str = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    hops = [remote, *reversed(forwarded[-1000:].split(","))] if forwarded else [remote]
    client = remote
    for hop in hops:
        address = _parse(hop)
        if address is None:
            break
        client = str(address)
        if not any(address in network for network in settings.TRUSTED_PROXIES):
            break
    return client


def network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that an IPv6 client chooses addresses from."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address


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
