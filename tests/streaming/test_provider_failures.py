"""What a client sees when the provider fails: a status before the first delta, an event after it, never a lie."""

from __future__ import annotations

import json
import time

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway, deltas, free_port
from tests.streaming.conftest import MakePath


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("error:401", 401, "Received an authentication error status code for request from inference entity id [{id}] status [401]"),
        ("error:404", 404, "Resource not found at [{url}] for request from inference entity id [{id}] status [404]"),
        ("error:418", 418, "Received an unsuccessful status code for request from inference entity id [{id}] status [418]"),
        ("error:504", 400, "Received a server error status code for request from inference entity id [{id}] status [504]"),
        ("error:429::60", 429, "Received a rate limit status code. Token limit [30000], remaining tokens [0]. Request limit [500], remaining requests [499] for request"),
        ("redirect", 302, "Unhandled redirection for request from inference entity id [{id}] status [302]"),
        ("error-in-200", 400, "Received an error response for request from inference entity id [{id}] status [200]. Error message: [not today]"),
        ("web-page", 500, "Failed to send OpenAI chat completions request from inference entity id [{id}] to [{host}]"),
    ],
)  # fmt: skip
def test_a_refusal_has_its_status_in_json_and_in_an_event(
    impatient: Gateway, provider: FakeProvider, asking: MakePath, model: str, status: int, reason: str
) -> None:
    path = asking(model)
    inference_id = path.rpartition("/")[2]
    url = f"{provider.url}/v1/chat/completions"
    expected = reason.format(id=inference_id, url=url, host=provider.url.removeprefix("http://"))
    for suffix in ("", "/_stream"):
        # Shorter than the wait that a 429 asks for, so that no second attempt is worth waiting for.
        answer = impatient.call("POST", f"{path}{suffix}?timeout=10s", {"input": "x"})
        assert answer.status == status, answer.body
        assert answer.error["reason"].startswith(expected)
        assert provider.api_key.encode() not in answer.body


def test_a_provider_that_cannot_be_reached_is_500_and_named(impatient: Gateway) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/chat/completions?key=in-the-query"
    inference_id = impatient.put("openai", api_key="sk-secret-key", model_id="m", url=url)
    answer = impatient.call("POST", f"/_inference/{inference_id}/_stream?timeout=10s", {"input": "x"})
    assert (answer.status, answer.error["type"]) == (500, "status_exception")
    assert f"127.0.0.1:{port}" in answer.error["reason"]
    assert b"in-the-query" not in answer.body


@pytest.mark.parametrize("model", ["cut", "raw:no-end", "raw:error-midway"])
def test_what_breaks_midway_is_an_error_event_behind_the_deltas_and_no_done(
    impatient: Gateway, asking: MakePath, model: str
) -> None:
    with impatient.stream(asking(model) + "/_stream", {"input": "x"}) as stream:
        events = list(stream.events())
    assert stream.status == 200
    assert "".join(deltas(data) for name, data in events if name == "message") == "one two"
    assert events[-1][0] == "error"
    assert json.loads(events[-1][1])["error"]["type"] == "status_exception"
    assert all(data != "[DONE]" for _, data in events)


def test_a_provider_that_falls_silent_is_an_error_event(impatient: Gateway, asking: MakePath) -> None:
    began = time.monotonic()
    with impatient.stream(asking("idle:30") + "/_stream", {"input": "x"}) as stream:
        events = list(stream.events())
    assert time.monotonic() - began < 4
    assert events[-1][0] == "error"
    assert json.loads(events[-1][1])["status"] == 408


def test_a_stream_ends_after_its_total_time(impatient: Gateway, provider: FakeProvider, asking: MakePath) -> None:
    began = time.monotonic()
    with impatient.stream(asking("tick:0.2:1000") + "/_stream", {"input": "x"}) as stream:
        events = list(stream.events())
    assert 3.5 < time.monotonic() - began < 7
    assert (events[-1][0], json.loads(events[-1][1])["status"]) == ("error", 408)
    assert provider.wait_closed(1)


def test_a_model_that_thinks_longer_than_the_timeout_is_not_cut(impatient: Gateway, asking: MakePath) -> None:
    with impatient.stream(asking("think:1.5") + "/_stream?timeout=500ms", {"input": "x"}) as stream:
        assert stream.status == 200
        assert stream.text() == "yes"


def test_the_total_time_counts_before_the_first_delta_too(impatient: Gateway, asking: MakePath) -> None:
    answer = impatient.call("POST", asking("think:30") + "/_stream", {"input": "x"})
    assert answer.status == 408
    assert "total time" in answer.error["reason"]


def test_a_passing_failure_is_tried_again_before_the_first_delta(
    impatient: Gateway, provider: FakeProvider, asking: MakePath
) -> None:
    with impatient.stream(asking("error:503:1") + "/_stream", {"input": "still there"}) as stream:
        assert stream.text() == "still there"
    assert len(provider.requests) == 2


def test_no_key_is_in_the_log(impatient: Gateway, provider: FakeProvider) -> None:
    log = impatient.read_log()
    assert provider.api_key not in log
    assert impatient.key not in log
