"""One line in JSON for each request that is over, whatever became of it, and nothing in it that has to stay secret."""

from __future__ import annotations

import json
import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from access.privileges import Caller
from endpoints.providers._base import Usage
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from usage import log
from usage.record import Record

ECHO = "/_inference/completion/echo-completion"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def logging_gateway() -> Iterator[Gateway]:
    with Gateway.started(GATEWAY_SKIP_VALIDATION="true", GATEWAY_LOG_LEVEL="DEBUG") as gateway:
        yield gateway


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


def lines(gateway: Gateway) -> list[dict[str, Any]]:
    """Return the lines of requests that were written so far."""
    return [json.loads(line) for line in gateway.read_log().splitlines() if line.startswith("{")]


def new_lines(gateway: Gateway, before: int, count: int = 1) -> list[dict[str, Any]]:
    """Wait for so many lines after the first `before`, and for no more."""
    deadline = time.monotonic() + 10
    while len(found := lines(gateway)[before:]) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    assert len(found) == count
    return found


def endpoint(gateway: Gateway, provider: FakeProvider, model: str) -> str:
    url = f"{provider.url}/v1/chat/completions"
    return gateway.put("openai", api_key=provider.api_key, model_id=model, url=url)


def test_a_stream_is_one_line_that_says_what_it_was(logging_gateway: Gateway, provider: FakeProvider) -> None:
    before = len(lines(logging_gateway))
    inference_id = endpoint(logging_gateway, provider, "tick:0.02:5")
    headers = {"X-Opaque-Id": "app-17", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with logging_gateway.stream(f"/_inference/{inference_id}/_stream", {"input": "x"}, headers) as stream:
        stream.text()
    (line,) = new_lines(logging_gateway, before)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("time"))
    assert 0.02 < line.pop("first_delta") < line["duration"]
    assert 0.1 < line.pop("duration") < 10
    assert re.fullmatch(r"[\w-]{20}", line.pop("api_key_id"))
    del line["input_tokens"], line["output_tokens"]
    assert line == {
        "outcome": "complete", "status": 200, "refusal": None, "stream": True, "service": "openai",
        "task_type": "completion", "inference_id": inference_id, "user": "admin", "opaque_id": "app-17",
        "trace_id": TRACE, "waited": 0.0, "deltas": 5, "retries": 0,
    }  # fmt: skip


def test_a_request_without_a_stream_is_one_line_too(logging_gateway: Gateway) -> None:
    before = len(lines(logging_gateway))
    assert logging_gateway.call("POST", ECHO, {"input": "one two"}).status == 200
    (line,) = new_lines(logging_gateway, before)
    assert (line["outcome"], line["stream"], line["input_tokens"], line["output_tokens"]) == ("complete", False, 2, 2)


@pytest.mark.parametrize(
    ("path", "key", "status", "user"),
    [
        ("/_inference/completion/made-up/_stream", "-", 404, "admin"),
        (f"{ECHO}/_stream", "", 401, None),
        ("/_inference/rerank/echo-completion", "-", 400, "admin"),
    ],
)
def test_who_is_refused_has_a_line(
    logging_gateway: Gateway, path: str, key: str, status: int, user: str | None
) -> None:
    before = len(lines(logging_gateway))
    assert logging_gateway.call("POST", path, {"input": "x"}, key=key).status == status
    (line,) = new_lines(logging_gateway, before)
    assert (line["outcome"], line["status"], line["user"], line["deltas"]) == ("refused", status, user, 0)


def test_nobody_who_leaves_is_lost(logging_gateway: Gateway, provider: FakeProvider) -> None:
    path = f"/_inference/{endpoint(logging_gateway, provider, 'tick:0.05:1000')}/_stream"
    before = len(lines(logging_gateway))
    headers = {"Authorization": f"ApiKey {logging_gateway.key}", "Content-Type": "application/json"}
    connections = [logging_gateway._connection() for _ in range(40)]
    for connection in connections:
        connection.request("POST", path, b'{"input": "x"}', headers)
    assert provider.wait_requests(40)
    for connection in connections:
        connection.close()
    found = new_lines(logging_gateway, before, 40)
    assert {line["outcome"] for line in found} == {"client_gone"}


def test_a_drained_stream_has_its_line_before_the_process_ends(provider: FakeProvider) -> None:
    with Gateway.started(GATEWAY_SKIP_VALIDATION="true", GATEWAY_DRAIN_SECONDS="0.2") as gateway:
        path = f"/_inference/{endpoint(gateway, provider, 'tick:0.05:1000')}/_stream"
        with gateway.stream(path, {"input": "x"}) as stream:
            stream.event()
            gateway.process.send_signal(signal.SIGTERM)
            list(stream.events())
        gateway.process.wait(20)
        (line,) = lines(gateway)
        assert (line["outcome"], line["status"]) == ("drained", 200)
        assert line["deltas"] > 0


def test_no_line_holds_a_prompt_an_answer_or_a_secret(logging_gateway: Gateway, provider: FakeProvider) -> None:
    password = logging_gateway.password
    for model in ("", "error:500", "raw:garbage", "not-json"):
        inference_id = endpoint(logging_gateway, provider, model or "any")
        for door in ("", "/_stream"):
            headers = logging_gateway.login() if door else None
            logging_gateway.call("POST", f"/_inference/{inference_id}{door}", {"input": "canary prompt"}, headers)
    logging_gateway.call("POST", ECHO, {"input": "canary prompt", "canary": 1})
    logging_gateway.call("POST", f"{ECHO}?canary=1", {"input": "canary prompt"})
    text = logging_gateway.read_log()
    secret = logging_gateway.key
    for forbidden in ("canary", secret, password, provider.api_key):
        assert forbidden not in text


def test_nobody_forges_a_line(logging_gateway: Gateway) -> None:
    before = len(lines(logging_gateway))
    forged = 'x\x85{"outcome":"complete"}\x9b2J' + "y" * 1000
    headers = {"X-Opaque-Id": forged, "traceparent": "00-\x85" + "0" * 31 + "-00f067aa0ba902b7-01"}
    logging_gateway.call("POST", ECHO, {"input": "x"}, headers)
    (line,) = new_lines(logging_gateway, before)
    assert line["opaque_id"].startswith("x\\x85{")
    assert len(line["opaque_id"]) == 128
    assert line["trace_id"] is None
    assert all(line.isprintable() for line in logging_gateway.read_log().splitlines())


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return a function that returns the lines that were written since the last call."""
    return lambda: capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("tokens", [-1, 10**400])
def test_tokens_that_cannot_be_are_not_believed(written: Callable[[], list[str]], tokens: int) -> None:
    """Directly: no recorded provider goes as far as this."""
    Record(stream=True, service="openai", usage=Usage(tokens, 7, 0)).finish()
    (line,) = map(json.loads, written())
    assert (line["input_tokens"], line["output_tokens"]) == (None, 7)


@pytest.mark.parametrize("name", ["\ud800", "a\u2028b", "%s %d", "\x00"])
def test_every_name_can_be_written(written: Callable[[], list[str]], name: str) -> None:
    """Directly: most of these are refused before they come here."""
    record = Record(stream=False, opaque_id=name, inference_id=name, task_type=name, status=999)
    record.caller = Caller(user_id=1, username=name)
    record.finish()
    (line,) = written()
    assert line.isprintable()
    assert json.loads(line)["user"] in (name, ascii(name)[1:-1])


def test_a_record_is_finished_once(written: Callable[[], list[str]]) -> None:
    record = Record(stream=True)
    record.finish()
    record.finish()
    assert len(written()) == 1


def test_above_info_nothing_is_written(written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log.logger, "level", logging.WARNING)
    log.logger.manager._clear_cache()  # type: ignore[attr-defined]
    Record(stream=True).finish()
    log.logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert written() == []
