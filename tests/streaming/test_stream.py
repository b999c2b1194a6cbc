"""What a stream is made of, byte for byte, and how it ends; with the echo service, over real sockets."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gateway import Gateway, deltas

STREAM = "/_inference/completion/{}/_stream"


@pytest.fixture(scope="module")
def echo(gateway: Gateway) -> str:
    """The path of a stream that does not wait between words."""
    return STREAM.format(gateway.put("echo"))


@pytest.mark.parametrize(
    "path",
    [
        "/_inference/completion/{}/_stream",
        "/_inference/{}/_stream",
        "/_inference/any/{}/_stream",
        "/_inference/{}/_stream/",
    ],
)
def test_every_form_of_the_address_streams(gateway: Gateway, echo: str, path: str) -> None:
    inference_id = echo.split("/")[3]
    with gateway.stream(path.format(inference_id), {"input": "one two"}) as stream:
        assert stream.status == 200
        assert stream.text() == "one two"


def test_the_bytes_are_events_with_deltas_and_a_done(gateway: Gateway, echo: str) -> None:
    answer = gateway.call("POST", echo, {"input": "hi"})
    assert answer.body == b'event: message\ndata: {"completion":[{"delta":"hi"}]}\n\nevent: message\ndata: [DONE]\n\n'


def test_the_head_says_what_clients_and_proxies_need(gateway: Gateway, echo: str) -> None:
    headers = {"Accept": "application/vnd.elasticsearch+json; compatible-with=9", "X-Opaque-Id": "job-7"}
    answer = gateway.call("POST", echo, {"input": "hi"}, headers)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    assert answer.headers["X-Opaque-Id"] == "job-7"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Encoding"] is None


def test_words_arrive_when_they_are_said_and_not_at_the_end(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", words_per_second=10))
    with gateway.stream(path, {"input": "a b c d e f"}) as stream:
        times = []
        for _, data in stream.events():
            if data != "[DONE]":
                times.append(time.monotonic())
    assert len(times) == 6
    assert 0.35 < times[-1] - times[0] < 2


def test_deltas_of_one_read_share_an_event(gateway: Gateway, echo: str) -> None:
    answer = gateway.call("POST", echo, {"input": "one two three"})
    first = answer.body.split(b"\n\n")[0].partition(b"data: ")[2]
    assert json.loads(first) == {"completion": [{"delta": "one "}, {"delta": "two "}, {"delta": "three"}]}


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "päivää 日本語 🎉", 'quote " and \\ and </script>', "a\tb\r\nc", "data: [DONE]\n\n"]
)
def test_the_text_arrives_as_it_was(gateway: Gateway, echo: str, text: str) -> None:
    with gateway.stream(echo, {"input": text}) as stream:
        assert stream.text() == text


def test_a_model_that_says_nothing_sends_only_the_end(gateway: Gateway, echo: str) -> None:
    assert gateway.call("POST", echo, {"input": ""}).body == b"event: message\ndata: [DONE]\n\n"


def test_characters_that_readers_take_for_line_ends_are_escaped(gateway: Gateway, echo: str) -> None:
    answer = gateway.call("POST", echo, {"input": "a\u2028b\u2029c\x85d"})
    assert all(escape in answer.body for escape in (rb"\u2028", rb"\u2029", rb"\u0085"))
    assert len(answer.body.decode().splitlines()) == answer.body.count(b"\n")


def test_an_input_of_one_in_an_array_is_a_single_input(gateway: Gateway, echo: str) -> None:
    with gateway.stream(echo, {"input": ["one two"]}) as stream:
        assert stream.text() == "one two"


def test_pretty_does_not_break_events(gateway: Gateway, echo: str) -> None:
    plain = gateway.call("POST", echo, {"input": "hi"})
    assert gateway.call("POST", echo + "?pretty&human&error_trace=true", {"input": "hi"}).body == plain.body


def test_a_failure_before_the_first_delta_has_its_own_status(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", fail_after_words=0))
    answer = gateway.call("POST", path, {"input": "a b c"})
    assert answer.status == 500
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.body.startswith(b"event: error\ndata: ")
    assert answer.error["type"] == "status_exception"


def test_a_failure_after_the_first_delta_is_an_event_and_the_end_without_done(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", fail_after_words=2, words_per_second=50))
    with gateway.stream(path, {"input": "a b c"}) as stream:
        events = list(stream.events())
    assert stream.status == 200
    assert [name for name, _ in events] == ["message", "message", "error"]
    assert "".join(deltas(data) for _, data in events[:-1]) == "a b "
    assert json.loads(events[-1][1])["status"] == 500


def test_a_first_delta_that_comes_too_late_is_408(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", first_word_delay_ms=5000))
    asked = time.monotonic()
    answer = gateway.call("POST", path + "?timeout=200ms", {"input": "a"})
    assert time.monotonic() - asked < 2
    assert (answer.status, answer.error["reason"]) == (408, "Request timed out after [200ms]")


def test_the_timeout_does_not_cut_a_stream_that_began(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", words_per_second=10))
    with gateway.stream(path + "?timeout=200ms", {"input": "a b c d e f"}) as stream:
        assert stream.text() == "a b c d e f"


def test_many_streams_run_side_by_side(gateway: Gateway) -> None:
    path = STREAM.format(gateway.put("echo", words_per_second=20))

    def one(number: int) -> str:
        with gateway.stream(path, {"input": f"stream number {number} is here"}) as stream:
            return stream.text()

    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        texts = list(pool.map(one, range(40)))
    assert texts == [f"stream number {number} is here" for number in range(40)]
    assert time.monotonic() - began < 5


def test_a_byte_order_mark_stands_before_each_event_where_it_is_wanted() -> None:
    with Gateway.started(GATEWAY_STREAM_BOM="true") as gateway:
        path = STREAM.format(gateway.put("echo", fail_after_words=1, words_per_second=50))
        events = gateway.call("POST", path, {"input": "a b"}).body.split(b"\n\n")
        assert [event[:9] for event in events[:-1]] == [b"\xef\xbb\xbfevent:"] * 2


def test_a_changed_endpoint_is_used_at_once_and_a_deleted_one_is_gone(gateway: Gateway) -> None:
    inference_id = gateway.put("echo")
    path = STREAM.format(inference_id)
    assert gateway.call("POST", path, {"input": "a b"}).status == 200
    assert gateway.call("DELETE", f"/_inference/{inference_id}").status == 200
    assert gateway.call("POST", path, {"input": "a b"}).status == 404
