"""Which address counts as the client's."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from access.addresses import client_address, network


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("not an address", ""),
    ],
)
def test_an_address_has_one_spelling(remote: str, client: str) -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=remote)) == client


def test_a_header_alone_changes_nothing() -> None:
    headers = {"X-Forwarded-For": "198.51.100.1"}
    assert client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1")) == "192.0.2.1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("", ""), ("testserver", "testserver")],
)
def test_an_ipv6_client_is_a_network(address: str, counted: str) -> None:
    assert network(address) == counted
