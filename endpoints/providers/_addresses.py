"""Which addresses outgoing requests may go to: public ones, and those that `GATEWAY_PRIVATE_HOSTS` opens.

A request whose URL a user chose could otherwise reach what only this machine can reach: other services of its
network, or the metadata service of its cloud, which hands out credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Written out, since what `ipaddress` calls global differs between versions of Python.
# https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; also Alibaba Cloud's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's platform service, reachable from each of its machines
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; also Oracle Cloud's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, no longer in use
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; 255.255.255.255 is broadcast
        "2001::/23",  # protocol assignments, Teredo among them, which carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address; no longer in use
        "3fff::/20",  # documentation
    )
)
# All public IPv6 addresses are in here; loopback, unique local, link-local and multicast ones are not.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True)
class PrivateHosts:
    """The hosts that are opened although they may not be public; a port of None stands for all ports."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PrivateHosts:
        """Read a comma list of `host`, `host:port`, address and CIDR. Raise ValueError that names a bad item."""
        names, networks = set(), []
        for item in filter(None, (item.strip().lower() for item in text.split(","))):
            host, port = _opened(item)
            if isinstance(host, str):
                names.add((host, port))
            else:
                networks.append((host, port))
        return cls(frozenset(names), tuple(networks))

    def opens_name(self, host: str, port: int) -> bool:
        """Whether the host of a URL is opened by its name, whatever it resolves to."""
        host = host.lower().removesuffix(".")
        return (host, None) in self.names or (host, port) in self.names

    def opens_address(self, address: Address, port: int) -> bool:
        address = effective(address)
        return any(address in network and opened in (None, port) for network, opened in self.networks)

    def may_open_address(self, port: int) -> bool:
        """Whether some address is opened at `port`, so that only its resolution can tell about a name."""
        return any(opened in (None, port) for _, opened in self.networks)


def effective(address: Address) -> Address:
    """Return the IPv4 address that packets to `address` end at, where it is one that only wraps it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    address = effective(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def may_connect(address: Address, port: int, private_hosts: PrivateHosts, *, encrypted: bool) -> bool:
    """Whether a connection may go to `address`; one that is not encrypted only where it is opened."""
    return private_hosts.opens_address(address, port) or (encrypted and is_public(address))


def literal(host: str) -> Address | None:
    """Return the address that `host`, the host of a URL, spells; None for a name.

    Raise ValueError for other spellings of IPv4 addresses (`127.1`, `0x7f.1`, `2130706433`), which the system's
    resolver understands and readers do not, and for a zone (`fe80::1%eth0`), by which one address would be many.
    """
    if ":" in host and "%" in host:
        raise ValueError(f"[{host}] has a zone, which no address here may have")
    try:
        return ip_address(host)
    except ValueError:
        if ":" in host:
            raise ValueError(f"[{host}] is not an IPv6 address") from None
        if _ends_in_number(host):
            raise ValueError(
                f"[{host}] is not a canonical IPv4 address, which is four decimal numbers without leading zeros"
            ) from None
    return None


def check_url(url: str, private_hosts: PrivateHosts) -> str:
    """Return why requests to `url` would be refused whatever its name resolves to, "" where that is not known."""
    try:
        parts = URL(url)
        host, port = parts.raw_host or "", parts.port or 0
        address = literal(host)
    except ValueError as error:
        return str(error)
    if private_hosts.opens_name(host, port):
        return ""
    encrypted = parts.scheme == "https"
    if address is None:
        return "" if encrypted or private_hosts.may_open_address(port) else not_encrypted(host, port)
    if may_connect(address, port, private_hosts, encrypted=encrypted):
        return ""
    return not_encrypted(host, port) if is_public(address) else not_public(host, port)


def not_public(host: str, port: int) -> str:
    return f"[{host_port(host, port)}] is not at a public address; GATEWAY_PRIVATE_HOSTS can open it"


def not_encrypted(host: str, port: int) -> str:
    return (
        f"plain http is refused for [{host_port(host, port)}]; "
        "use https, or open the host and its port with GATEWAY_PRIVATE_HOSTS"
    )


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _opened(item: str) -> tuple[str | Network, int | None]:
    """Return the name or the network that `item` opens, and the port, None for all."""
    if "/" in item or (item.count(":") > 1 and not item.startswith("[")):
        return _network(item), None
    match = _HOST_PORT.fullmatch(item)
    if match is None:
        raise ValueError(f"[{item}] is not a host, host:port, address or CIDR")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"[{item}] has a port that is not from 1 to 65535")
    address = literal(match["ipv6"] or match["host"])
    if address is not None:
        return ip_network(effective(address)), port
    if not _NAME.fullmatch(match["host"] or ""):
        raise ValueError(f"[{item}] is not a host, host:port, address or CIDR")
    return match["host"], port


def _network(item: str) -> Network:
    try:
        network = ip_network(item)
    except ValueError as error:
        raise ValueError(f"[{item}] is not an address or CIDR: {error}") from None
    if "%" in item:
        raise ValueError(f"[{item}] has a zone, which no address here may have")
    first = effective(network.network_address)
    # Addresses are compared as what they wrap.
    wraps = isinstance(network, IPv6Network) and isinstance(first, IPv4Address) and network.prefixlen >= 96
    return ip_network((first, network.prefixlen - 96)) if wraps else network


def _ends_in_number(host: str) -> bool:
    """Whether a browser would read `host` as an IPv4 address (https://url.spec.whatwg.org/#ends-in-a-number-checker)."""
    labels = host.rstrip(".").split(".")
    return _NUMBER.fullmatch(labels[-1]) is not None
