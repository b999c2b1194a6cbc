"""A client that leaves: the connection to the provider is closed at once, in every phase of the request."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.fakes.provider import FakeProvider
from tests.fakes.silent import SilentServer
from tests.fakes.tasks import TaskCounter
from tests.gateway import Gateway
from tests.streaming.conftest import MakePath

AT_ONCE = 0.25
# A busy machine makes anything late now and then, and nothing three times in a row.
ATTEMPTS = 3
CROWD = 600

Leave = Callable[[socket.socket], None]


def raw_request(gateway: Gateway, path: str, version: str = "1.1", receive_bytes: int = 0) -> socket.socket:
    """Send a request and return the socket; nothing is read."""
    body = json.dumps({"input": "hello"})
    head = (
        f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nAuthorization: ApiKey {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.socket()
    connection.settimeout(10)
    if receive_bytes:
        # Has to be said before the connection is made.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect(("127.0.0.1", gateway.port))
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


def gauge(gateway: Gateway, name: str) -> int:
    """Return the sum of a metric over its labels."""
    text = gateway.call("GET", "/metrics").body.decode()
    return int(sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? ([\d.e+]+)$", text, re.MULTILINE)))


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_noticed_at_once(connect: Callable[[], socket.socket], leave: Leave, noticed: Callable[[], bool]) -> None:
    """Assert that the best of some attempts is as quick as was promised; `noticed` waits, and none may wait long."""
    seconds = []
    for _ in range(ATTEMPTS):
        connection = connect()
        left = time.monotonic()
        leave(connection)
        assert noticed()
        seconds.append(time.monotonic() - left)
        connection.close()
    assert min(seconds) < AT_ONCE, seconds


class Crowd:
    """Requests to one provider; each is connected once the provider has it."""

    def __init__(self, gateway: Gateway, provider: FakeProvider, path: str, version: str = "1.1") -> None:
        self._gateway, self._provider, self._path, self._version = gateway, provider, path, version
        self._asked = self._closed = 0

    def connect(self) -> socket.socket:
        connection = raw_request(self._gateway, self._path, self._version)
        self._asked += 1
        assert self._provider.wait_requests(self._asked)
        return connection

    def connect_and_read(self, mark: bytes) -> socket.socket:
        connection = self.connect()
        received = b""
        while received.count(mark) < 2:
            received += connection.recv(65536)
        return connection

    def noticed(self) -> bool:
        self._closed += 1
        return self._provider.wait_closed(2, count=self._closed)


@WAYS
@pytest.mark.parametrize(
    ("model", "stream"),
    [("slow-headers:30", "/_stream"), ("late:30", "/_stream"), ("slow-headers:30", "")],
    ids=["waiting for headers", "waiting for the first delta", "not streaming"],
)
def test_before_the_first_delta(
    impatient: Gateway, provider: FakeProvider, asking: MakePath, model: str, stream: str, leave: Leave
) -> None:
    crowd = Crowd(impatient, provider, asking(model) + stream)
    assert_noticed_at_once(crowd.connect, leave, crowd.noticed)


@WAYS
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_midway(impatient: Gateway, provider: FakeProvider, asking: MakePath, version: str, leave: Leave) -> None:
    crowd = Crowd(impatient, provider, asking("tick:0.05:1000") + "/_stream", version)
    assert_noticed_at_once(lambda: crowd.connect_and_read(b"event: message"), leave, crowd.noticed)


def test_midway_while_the_client_does_not_read(impatient: Gateway, provider: FakeProvider, asking: MakePath) -> None:
    crowd = Crowd(impatient, provider, asking("flood:100") + "/_stream")

    def connect() -> socket.socket:
        connection = crowd.connect()
        time.sleep(0.3)
        return connection

    # With bytes unread, every kernel makes a reset of it.
    assert_noticed_at_once(connect, finish, crowd.noticed)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("stream", ["/_stream", ""])
@WAYS
def test_while_the_provider_is_connected_to(impatient: Gateway, version: str, stream: str, leave: Leave) -> None:
    with SilentServer.running() as silent:
        # It accepts the connection, and never answers the handshake of TLS.
        url = f"https://127.0.0.1:{silent.port}/v1/chat/completions"
        path = f"/_inference/completion/{impatient.put('openai', api_key='x', model_id='x', url=url)}{stream}"
        asked = closed = 0

        def connect() -> socket.socket:
            nonlocal asked
            connection = raw_request(impatient, path, version)
            asked += 1
            assert silent.wait_accepted(asked)
            return connection

        def noticed() -> bool:
            nonlocal closed
            closed += 1
            return silent.wait_closed(2, closed)

        assert_noticed_at_once(connect, leave, noticed)


def test_while_the_provider_does_not_even_accept(impatient: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        address = full.getsockname()
        # What the kernel accepts for it; it leaves later ones without an answer.
        while not connecting_to(address[1]):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
            time.sleep(0.05)
        before = connecting_to(address[1])
        url = f"http://127.0.0.1:{address[1]}/v1/chat/completions"
        path = f"/_inference/completion/{impatient.put('openai', api_key='x', model_id='x', url=url)}/_stream"

        def connect() -> socket.socket:
            connection = raw_request(impatient, path)
            until(lambda: connecting_to(address[1]) > before)
            return connection

        def noticed() -> bool:
            until(lambda: connecting_to(address[1]) == before, 2)
            return True

        assert_noticed_at_once(connect, finish, noticed)


def connecting_to(port: int) -> int:
    """Return how many sockets of this machine have asked for a connection to `port` and got no answer yet."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if (f := line.split())[2].endswith(f":{port:04X}") and f[3] == "02")


@WAYS
@pytest.mark.parametrize("stream", ["/_stream", ""])
def test_while_waiting_for_its_turn_it_gives_back_its_place(
    gateway: Gateway, provider: FakeProvider, leave: Leave, stream: str
) -> None:
    url = f"{provider.url}/v1/chat/completions"
    limit = {"requests_per_minute": 1}
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id="x", url=url, rate_limit=limit)
    path = f"/_inference/completion/{inference_id}"
    assert gateway.call("POST", path, {"input": "the turn of this minute"}).status == 200
    asked = len(provider.requests)

    def connect() -> socket.socket:
        connection = raw_request(gateway, path + stream)
        until(lambda: gauge(gateway, "gateway_waiting_requests") == 1)
        return connection

    def noticed() -> bool:
        until(lambda: gauge(gateway, "gateway_waiting_requests") == gauge(gateway, "gateway_open_requests") == 0, 2)
        return True

    assert_noticed_at_once(connect, leave, noticed)
    assert len(provider.requests) == asked


@pytest.mark.parametrize("stream", ["/_stream", ""])
def test_while_a_retry_is_waited_for(impatient: Gateway, provider: FakeProvider, asking: MakePath, stream: str) -> None:
    connection = raw_request(impatient, asking("error:503:9:1") + stream)
    assert provider.wait_requests(1)
    time.sleep(0.2)
    connection.close()
    until(lambda: gauge(impatient, "gateway_open_requests") == 0, 1)
    time.sleep(1.5)
    assert len(provider.requests) == 1


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> TaskCounter:
    return TaskCounter(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def commenting(counter: TaskCounter) -> Iterator[Gateway]:
    """A gateway that sends comments before the first delta, and counts its tasks."""
    heartbeat = {"GATEWAY_HEARTBEAT_SECONDS": "1", "GATEWAY_EARLY_HEARTBEAT": "true"}
    with Gateway.started(None, GATEWAY_SKIP_VALIDATION="true", **heartbeat, **counter.environment) as running:
        yield running


@WAYS
@pytest.mark.parametrize("model", ["slow-headers:30", "late:30"])
def test_after_an_early_heartbeat(commenting: Gateway, provider: FakeProvider, model: str, leave: Leave) -> None:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = commenting.put("openai", api_key=provider.api_key, model_id=model, url=url)
    crowd = Crowd(commenting, provider, f"/_inference/completion/{inference_id}/_stream")
    assert_noticed_at_once(lambda: crowd.connect_and_read(b": keep-alive"), leave, crowd.noticed)


def sockets(gateway: Gateway) -> int:
    """Return how many of the descriptors of the process are sockets."""
    count = 0
    for descriptor in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        # It may be closed in this moment.
        with suppress(FileNotFoundError):
            count += os.readlink(descriptor).startswith("socket:")
    return count


def test_a_crowd_that_leaves_at_once_leaves_nothing_behind(
    commenting: Gateway, counter: TaskCounter, provider: FakeProvider
) -> None:
    url = f"{provider.url}/v1/chat/completions"

    def path(model: str) -> str:
        inference_id = commenting.put("openai", api_key=provider.api_key, model_id=model, url=url)
        return f"/_inference/completion/{inference_id}"

    midway, late, whole = path("tick:0.2:1000"), path("late:60"), path("slow-headers:60")
    assert commenting.call("POST", "/_inference/echo-completion", {"input": "warm"}).status == 200
    time.sleep(0.5)
    tasks, before, descriptors = counter.count(commenting), sockets(commenting), commenting.descriptors()
    phases = [f"{midway}/_stream", f"{late}/_stream", whole] * (CROWD // 3)
    crowd = [raw_request(commenting, path) for path in phases]
    assert provider.wait_requests(CROWD, 60), len(provider.requests)
    assert counter.count(commenting) > tasks + CROWD
    for connection in crowd:
        connection.close()
    assert provider.wait_closed(20, count=CROWD)
    until(lambda: sockets(commenting) <= before, 10)
    # Threads that were needed for the first time keep the database open, each with three files.
    assert commenting.descriptors() <= descriptors + 30
    until(lambda: gauge(commenting, "gateway_open_requests") == 0)
    until(lambda: counter.count(commenting) <= tasks)
    # What was left behind must not keep the next one from being served.
    assert commenting.call("POST", "/_inference/echo-completion", {"input": "still here"}).status == 200
    assert "Traceback" not in commenting.read_log()
