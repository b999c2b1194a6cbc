"""Which addresses requests may go to, whatever way they are written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from endpoints.providers._addresses import PrivateHosts, check_url, is_public, may_connect

NOTHING = PrivateHosts.parse("")
NOT_PUBLIC = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),  # noqa: S104
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
    *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1"),
    *("2001:10::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fd20:ce::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860::8888"]
WRAPPED_PUBLIC = ["::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_private_or_reserved_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", [*PUBLIC, *WRAPPED_PUBLIC])
def test_other_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", [address for address in NOT_PUBLIC if "%" not in address])
def test_a_url_with_such_an_address_is_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert "is not at a public address" in check_url(f"https://{host}/v1", NOTHING)


@pytest.mark.parametrize("host", ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%25lo]", "[2606:4700::1111%25eth0]"])
def test_an_address_with_a_zone_is_refused_even_where_it_is_opened(host: str) -> None:
    assert "has a zone" in check_url(f"https://{host}/v1", PrivateHosts.parse("::/0"))


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "0x7f.0.0.1", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "1.2.3", "08.1.1.1"],
)
def test_other_spellings_of_an_address_are_refused_even_where_it_is_opened(host: str) -> None:
    opened = PrivateHosts.parse("127.0.0.1, 0.0.0.0/0")
    assert "not a canonical IPv4 address" in check_url(f"https://{host}/", opened)


@pytest.mark.parametrize("host", ["127。0。0。1", "①②⑦.0.0.1", "127.0.0.1"])
def test_unicode_digits_are_judged_as_what_they_become(host: str) -> None:
    assert check_url(f"https://{host}/", NOTHING)


def test_a_public_https_url_is_fine() -> None:
    assert check_url("https://api.openai.com/v1/chat/completions?x=1", NOTHING) == ""
    assert check_url("https://8.8.8.8/", NOTHING) == ""


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "[2606:4700::1111]"])
def test_plain_http_is_refused_even_for_a_public_host(host: str) -> None:
    assert "plain http is refused" in check_url(f"http://{host}/", NOTHING)


@pytest.mark.parametrize(
    ("opened", "url"),
    [
        ("vllm", "http://vllm:8000/v1"),
        ("vllm", "http://VLLM./v1"),
        ("vllm:8000", "http://vllm:8000/v1"),
        ("10.0.0.5", "http://10.0.0.5:8000/v1"),
        ("10.0.0.5", "http://[::ffff:10.0.0.5]:8000/v1"),
        ("10.0.0.5:8000", "https://10.0.0.5:8000/v1"),
        ("10.0.0.0/8", "http://10.1.2.3/v1"),
        ("::1", "http://[::1]:8000/v1"),
        ("[::1]:8000", "http://[::1]:8000/v1"),
        ("fd00::/8", "https://[fd00::1]/v1"),
        ("::ffff:10.0.0.0/104", "http://10.1.2.3/v1"),
        ("::ffff:10.0.0.0/104", "http://[::ffff:10.1.2.3]/v1"),
        ("64:ff9b::10.0.0.0/104", "https://[64:ff9b::10.1.2.3]/v1"),
        ("64:ff9b:1::/48", "https://[64:ff9b:1::10.0.0.1]/v1"),
        (" a , vllm , b ", "http://vllm/v1"),
    ],
)
def test_an_opened_host_is_reached(opened: str, url: str) -> None:
    assert check_url(url, PrivateHosts.parse(opened)) == ""


@pytest.mark.parametrize(
    ("opened", "url"),
    [
        ("vllm:8000", "http://vllm:8001/v1"),
        ("vllm", "http://vllm.example.com/v1"),
        ("vllm", "http://evil-vllm/v1"),
        ("10.0.0.5:8000", "http://10.0.0.5:8001/v1"),
        ("10.0.0.0/24", "https://10.0.1.1/v1"),
        ("localhost", "http://127.0.0.1/v1"),
        ("::/0", "https://[::ffff:10.0.0.1]/v1"),
        ("::/0", "https://[64:ff9b::10.0.0.1]/v1"),
        ("0.0.0.0/0", "https://[::1]/v1"),
        ("10.0.0.0/8", "https://[64:ff9b:1::10.0.0.1]/v1"),
        ("fe80::/10", "https://[fe80::1%25eth0]/v1"),
        ("10.0.0.5:443", "http://10.0.0.5/v1"),
    ],
)
def test_only_what_is_opened_is_reached(opened: str, url: str) -> None:
    assert check_url(url, PrivateHosts.parse(opened))


def test_a_name_that_may_resolve_to_an_opened_address_is_judged_later() -> None:
    assert check_url("http://vllm:8000/v1", PrivateHosts.parse("10.0.0.0/8")) == ""
    assert check_url("http://vllm:8000/v1", PrivateHosts.parse("10.0.0.5:9000"))


def test_a_connection_without_encryption_goes_only_to_opened_addresses() -> None:
    opened = PrivateHosts.parse("10.0.0.0/8")
    assert may_connect(ip_address("10.0.0.1"), 80, opened, encrypted=False)
    assert not may_connect(ip_address("8.8.8.8"), 80, opened, encrypted=False)
    assert may_connect(ip_address("8.8.8.8"), 443, opened, encrypted=True)


@pytest.mark.parametrize(
    "item",
    [
        "http://vllm",
        "vllm:0",
        "vllm:65536",
        "vllm:x",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "127.1",
        "a b",
        "-a",
        "*.x",
        "[::1",
        "::g",
        "fe80::1%eth0",
        "fe80::%eth0/64",
        "1.2.3.4.5",
    ],
)
def test_a_bad_item_is_named(item: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        PrivateHosts.parse(f"fine, {item}")
    assert item.strip("[") in str(error.value)


def test_an_empty_list_opens_nothing() -> None:
    assert PrivateHosts.parse(" , ") == NOTHING
