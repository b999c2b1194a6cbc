"""A client that leaves: the connection to the provider is closed at once, in every phase of the request."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from tests.streaming.conftest import MakePath

AT_ONCE = 0.25


def raw_request(gateway: Gateway, path: str, version: str = "1.1") -> socket.socket:
    """Send a request and return the socket; nothing is read."""
    body = json.dumps({"input": "hello"})
    head = (
        f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nAuthorization: ApiKey {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", gateway.port), 10)
    connection.sendall((head + body).encode())
    return connection


def finish(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of a polite end, as a killed client on a bad network does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_half(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


WAYS = pytest.mark.parametrize("leave", [finish, reset, close_half])


@WAYS
@pytest.mark.parametrize(
    ("model", "stream"),
    [("slow-headers:30", "/_stream"), ("late:30", "/_stream"), ("slow-headers:30", "")],
    ids=["waiting for headers", "waiting for the first delta", "not streaming"],
)
def test_before_the_first_delta(
    impatient: Gateway, provider: FakeProvider, asking: MakePath, model: str, stream: str, leave: object
) -> None:
    connection = raw_request(impatient, asking(model) + stream)
    assert provider.wait_requests(1)
    left = time.monotonic()
    leave(connection)  # type: ignore[operator]
    assert provider.wait_closed(2)
    assert time.monotonic() - left < AT_ONCE
    connection.close()


@WAYS
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_midway(impatient: Gateway, provider: FakeProvider, asking: MakePath, version: str, leave: object) -> None:
    connection = raw_request(impatient, asking("tick:0.05:1000") + "/_stream", version)
    received = b""
    while received.count(b"event: message") < 3:
        received += connection.recv(65536)
    left = time.monotonic()
    leave(connection)  # type: ignore[operator]
    assert provider.wait_closed(2)
    assert time.monotonic() - left < AT_ONCE
    connection.close()


def test_while_a_retry_is_waited_for(impatient: Gateway, provider: FakeProvider, asking: MakePath) -> None:
    connection = raw_request(impatient, asking("error:503") + "/_stream")
    assert provider.wait_requests(1)
    connection.close()
    time.sleep(1.5)
    assert len(provider.requests) == 1


def test_many_who_leave_at_once_leave_nothing_behind(
    impatient: Gateway, provider: FakeProvider, asking: MakePath
) -> None:
    path = asking("tick:0.05:1000") + "/_stream"
    descriptors = impatient.descriptors()
    connections = [raw_request(impatient, path) for _ in range(100)]
    for connection in connections:
        connection.recv(1)
    for connection in connections:
        connection.close()
    assert provider.wait_closed(5, count=100)
    deadline = time.monotonic() + 3
    while impatient.descriptors() > descriptors + 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # What was left behind must not keep the next one from being served.
    assert impatient.call("POST", "/_inference/echo-completion", {"input": "still here"}).status == 200
    assert "Traceback" not in impatient.read_log()
