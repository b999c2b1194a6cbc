"""Limits as callers meet them: a running gateway, its own server, several workers."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway import Answer, Gateway


@pytest.fixture(scope="module")
def narrow() -> Iterator[Gateway]:
    """A gateway with narrow bounds."""
    with Gateway.started(
        GATEWAY_MAX_STREAMS="3", GATEWAY_MAX_STREAMS_PER_CALLER="2", GATEWAY_MAX_WAITING="1"
    ) as running:
        yield running


@pytest.mark.parametrize("suffix", ["", "/_stream"])
def test_a_request_over_the_limit_that_cannot_wait_so_long_is_refused_at_once(gateway: Gateway, suffix: str) -> None:
    path = endpoint(gateway, rate_limit={"requests_per_minute": 2})
    for _ in range(2):
        assert ask(gateway, path + suffix).status == 200
    began = time.monotonic()
    answer = ask(gateway, f"{path}{suffix}?timeout=20s")
    assert time.monotonic() - began < 10
    assert answer.status == 429
    assert 30 < int(answer.headers["Retry-After"]) <= 60
    assert "has a rate limit of [2] requests per minute" in answer.error["reason"]


def test_endpoints_without_a_limit_are_asked_as_often_as_anybody_likes(gateway: Gateway) -> None:
    path = endpoint(gateway)
    assert {ask(gateway, path).status for _ in range(120)} == {200}


def test_no_caller_has_more_streams_open_than_one_may_have(narrow: Gateway) -> None:
    path = endpoint(narrow, words_per_second=2)
    body = {"input": "word " * 100}
    with narrow.stream(f"{path}/_stream", body) as first, narrow.stream(f"{path}/_stream", body) as second:
        assert (first.status, second.status) == (200, 200)
        first.event()
        refused = ask(narrow, f"{path}/_stream")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert "GATEWAY_MAX_STREAMS_PER_CALLER" in refused.error["reason"]
        other = narrow.call("POST", "/_security/api_key", {"name": "other"}, narrow.login()).json()["encoded"]
        with narrow.stream(f"{path}/_stream", body, key=other) as third:
            assert third.status == 200
            refused = ask(narrow, f"{path}/_stream", key=other)
            assert refused.status == 429
            assert "GATEWAY_MAX_STREAMS " in refused.error["reason"]
    deadline = time.monotonic() + 20
    while ask(narrow, f"{path}/_stream").status != 200:
        assert time.monotonic() < deadline, "the clients have left, and their slots are not free"
        time.sleep(0.05)


def test_a_waiting_client_that_leaves_makes_room_for_another(narrow: Gateway) -> None:
    path = endpoint(narrow, rate_limit={"requests_per_minute": 1})
    deadline = time.monotonic() + 20
    while ask(narrow, path).status != 200:
        assert time.monotonic() < deadline, "clients of the other test have left, and their slots are not free"
    with sent(narrow, f"{path}?timeout=300s") as one, sent(narrow, f"{path}?timeout=300s") as other:
        (refused,) = select.select([one, other], [], [], 20)[0]
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += refused.recv(4096)
        assert b" 429 " in answer.partition(b"\r\n")[0]
        assert b"GATEWAY_MAX_WAITING" in answer
        # The other one waits; now it leaves.
    while time.monotonic() < deadline + 20:
        with sent(narrow, f"{path}?timeout=300s") as connection:
            if not select.select([connection], [], [], 0.5)[0]:
                return
    raise AssertionError("nobody could wait any more")


def test_with_redis_several_workers_admit_together_exactly_the_limit(redis_server: str) -> None:
    with Gateway.started(GATEWAY_WORKERS="2", REDIS_URL=redis_server) as gateway:
        for _ in range(5):
            failures = gateway.read_log().count("Redis fails")
            statuses = statuses_of_a_crowd(gateway, endpoint(gateway, rate_limit={"requests_per_minute": 7}))
            # A machine that stood still made Redis late, and the workers go on alone then.
            if gateway.read_log().count("Redis fails") == failures:
                break
        assert (statuses.count(200), statuses.count(429)) == (7, 23)


def statuses_of_a_crowd(gateway: Gateway, path: str) -> list[int]:
    """Return the statuses of 30 requests that come at once."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(ask(gateway, f"{path}?timeout=1s").status)) for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def endpoint(gateway: Gateway, **settings: Any) -> str:
    """Make an endpoint that repeats the prompt, and return its path."""
    return f"/_inference/completion/{gateway.put('echo', **settings)}"


def ask(gateway: Gateway, path: str, **how: Any) -> Answer:
    return gateway.call("POST", path, {"input": "a word"}, **how)


def sent(gateway: Gateway, path: str) -> socket.socket:
    """Send a request and return the socket; nothing is read."""
    body = b'{"input": "a word"}'
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ApiKey {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", gateway.port), 20)
    connection.sendall(head.encode() + body)
    return connection
