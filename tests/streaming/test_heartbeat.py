"""Comments fill the silence of a stream, so that nobody between gateway and client takes it for dead."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway, deltas

COMMENT = ": keep-alive"


def started(**environment: str) -> Iterator[Gateway]:
    with Gateway.started(
        None, GATEWAY_SKIP_VALIDATION="true", GATEWAY_HEARTBEAT_SECONDS="0.2", **environment
    ) as running:
        yield running


@pytest.fixture(scope="module")
def beating() -> Iterator[Gateway]:
    yield from started()


@pytest.fixture(scope="module")
def early() -> Iterator[Gateway]:
    yield from started(GATEWAY_EARLY_HEARTBEAT="true")


def path_of(gateway: Gateway, provider: FakeProvider, model: str) -> str:
    url = f"{provider.url}/v1/chat/completions"
    return f"/_inference/completion/{gateway.put('openai', api_key=provider.api_key, model_id=model, url=url)}/_stream"


def test_silence_after_the_first_delta_is_filled_with_comments(beating: Gateway, provider: FakeProvider) -> None:
    with beating.stream(path_of(beating, provider, "idle:1.1"), {"input": "x"}) as stream:
        assert stream.text() == "one"
    assert 2 <= len(stream.comments) <= 5
    assert set(stream.comments) == {COMMENT}


def test_a_comment_is_a_line_of_its_own_between_whole_events(beating: Gateway, provider: FakeProvider) -> None:
    answer = beating.call("POST", path_of(beating, provider, "idle:0.5"), {"input": "x"})
    parts = answer.body.split(b"\n\n")
    assert parts[0].startswith(b"event: message\ndata: {")
    assert set(parts[1:-2]) == {COMMENT.encode()}
    assert parts[-2:] == [b"event: message\ndata: [DONE]", b""]


def test_a_stream_that_talks_has_no_comments(beating: Gateway, provider: FakeProvider) -> None:
    with beating.stream(path_of(beating, provider, "tick:0.05:30"), {"input": "x"}) as stream:
        stream.text()
    assert not stream.comments


def test_before_the_first_delta_nothing_is_promised(beating: Gateway, provider: FakeProvider) -> None:
    answer = beating.call("POST", path_of(beating, provider, "slow-headers:30") + "?timeout=700ms", {"input": "x"})
    assert answer.status == 408
    assert COMMENT.encode() not in answer.body


def test_early_comments_come_before_the_first_delta_where_an_administrator_wants_them(
    early: Gateway, provider: FakeProvider
) -> None:
    path = path_of(early, provider, "late:4")
    # The first request to a service waits for its library.
    early.call("POST", path_of(early, provider, "gpt-echo"), {"input": "x"})
    began = time.monotonic()
    with early.stream(path, {"input": "x"}) as stream:
        assert stream.status == 200
        assert time.monotonic() - began < 3
        name, data = stream.event()
        assert len(stream.comments) >= 3
        assert (name, deltas(data)) == ("message", "late")
        assert stream.event() == ("message", "[DONE]")


def test_after_an_early_comment_a_failure_is_an_event(early: Gateway, provider: FakeProvider) -> None:
    with early.stream(path_of(early, provider, "slow-headers:30") + "?timeout=900ms", {"input": "x"}) as stream:
        ((name, data),) = stream.events()
    assert (stream.status, name, json.loads(data)["status"]) == (200, "error", 408)
    assert stream.comments
    assert provider.wait_closed(2)


def test_a_failure_before_an_early_comment_keeps_its_status(early: Gateway, provider: FakeProvider) -> None:
    answer = early.call("POST", path_of(early, provider, "error:401"), {"input": "x"})
    assert answer.status == 401


def test_a_client_that_leaves_while_early_comments_come_releases_the_provider(
    early: Gateway, provider: FakeProvider
) -> None:
    with early.stream(path_of(early, provider, "slow-headers:30"), {"input": "x"}) as stream:
        assert isinstance(stream.response, http.client.HTTPResponse)
        assert stream.response.readline().decode().strip() == COMMENT
    assert provider.wait_closed(2)


def test_early_comments_stay_in_the_time_limits(provider: FakeProvider) -> None:
    for gateway in started(GATEWAY_EARLY_HEARTBEAT="true", GATEWAY_TOTAL_SECONDS="1"):
        with gateway.stream(path_of(gateway, provider, "slow-headers:30"), {"input": "x"}) as stream:
            ((name, data),) = stream.events()
        assert (name, json.loads(data)["status"]) == ("error", 408)
