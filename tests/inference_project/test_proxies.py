"""Whose word counts for where a client is: that of the proxies in GATEWAY_TRUSTED_PROXIES, and nobody else's."""

from __future__ import annotations

import pytest

from tests.gateway import Gateway


def guess(gateway: Gateway, times: int, forwarded: str) -> list[int]:
    headers = gateway.login("admin", "a wrong guess") | {"X-Forwarded-For": forwarded}
    return [gateway.call("GET", "/_inference", headers=headers, key="").status for _ in range(times)]


def test_a_trusted_proxy_is_believed_and_only_its_client_waits() -> None:
    with Gateway.started(GATEWAY_TRUSTED_PROXIES="127.0.0.0/8") as gateway:
        assert guess(gateway, 11, "198.51.100.1") == [401] * 10 + [429]
        assert guess(gateway, 1, "198.51.100.2") == [401]
        # What stands further left was written by the client itself.
        assert guess(gateway, 1, "198.51.100.9, 198.51.100.1") == [429]


def test_nobody_else_is_believed() -> None:
    with Gateway.started() as gateway:
        statuses = [guess(gateway, 1, f"198.51.100.{number}")[0] for number in range(11)]
        assert statuses == [401] * 10 + [429]


@pytest.mark.parametrize(("proto", "status"), [("https", 200), ("http", 301)])
def test_a_trusted_proxy_says_whether_the_page_was_encrypted(proto: str, status: int) -> None:
    environment = {"GATEWAY_PUBLIC_URL": "https://gateway.example.org", "GATEWAY_TRUSTED_PROXIES": "127.0.0.1"}
    with Gateway.started(None, **environment) as gateway:
        headers = {"Host": "gateway.example.org", "X-Forwarded-Proto": proto}
        assert gateway.call("GET", "/admin/login/", headers=headers, key="").status == status


def test_without_a_trusted_proxy_no_page_redirects_to_itself() -> None:
    with Gateway.started(GATEWAY_PUBLIC_URL="https://gateway.example.org") as gateway:
        headers = {"Host": "gateway.example.org", "X-Forwarded-Proto": "https"}
        assert gateway.call("GET", "/admin/login/", headers=headers, key="").status == 200
