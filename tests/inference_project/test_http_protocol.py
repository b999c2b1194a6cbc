"""What clients do on a connection that a server has to survive: long heads, offers to upgrade, pipelines."""

from __future__ import annotations

import json
import socket
import time

import pytest

from inference_project.http_protocol import MAX_HEAD_BYTES
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway


def request(gateway: Gateway, path: str, *headers: str) -> bytes:
    body = json.dumps({"input": "hello"})
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: ApiKey {gateway.key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


def connected(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), 10)


def flood(connection: socket.socket) -> None:
    """Send more of a head than any server should take."""
    for _ in range(200):
        connection.sendall(b"x" * 65_536)
        time.sleep(0.001)


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received and (piece := connection.recv(65536)):
        received += piece
    return received


@pytest.mark.parametrize("offer", ["h2c", "TLS/1.2"])
def test_an_offer_to_upgrade_is_passed_over_and_the_body_is_read(gateway: Gateway, offer: str) -> None:
    sent = request(gateway, "/_inference/completion/echo-completion", "Connection: Upgrade, HTTP2-Settings", f"UPGRADE: {offer}", "HTTP2-Settings: AAMAAABk")  # fmt: skip
    with connected(gateway) as connection:
        connection.sendall(sent + request(gateway, "/_inference/completion/echo-completion"))
        received = read_until(connection, b"}]}") + read_until(connection, b"}]}")
    assert received.count(b"200 OK") == received.count(b'"result":"hello"') == 2


def test_a_head_that_does_not_end_is_refused(gateway: Gateway) -> None:
    with connected(gateway) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            flood(connection)
    began = time.monotonic()
    assert gateway.call("GET", "/livez", key="").status == 200
    assert time.monotonic() - began < 1


def test_a_head_below_the_limit_is_read(gateway: Gateway) -> None:
    headers = {"X-Long": "x" * (MAX_HEAD_BYTES - 1000)}
    assert gateway.call("GET", "/livez", headers=headers, key="").status == 200


def test_one_who_pipelines_and_leaves_is_noticed(gateway: Gateway) -> None:
    with FakeProvider.running() as provider:
        url = f"{provider.url}/v1/chat/completions"
        path = f"/_inference/{gateway.put('openai', api_key=provider.api_key, model_id='late:30', url=url)}/_stream"
        connection = connected(gateway)
        connection.sendall(request(gateway, path))
        assert provider.wait_requests(2)  # The first was the validation call.
        # Behind a request that is being answered already: for this one the server stops reading.
        connection.sendall(request(gateway, path))
        time.sleep(0.1)
        connection.close()
        assert provider.wait_closed(2)
