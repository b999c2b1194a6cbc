"""The WebSocket of the playground, on the real server: whose it is, what it streams, how it ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming.consumers import MOST_OF_USER, MOST_STREAMS
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from tests.streaming.browser import Browser, Playground
from tests.streaming.test_client_gone import AT_ONCE, ATTEMPTS, gauge, until

ECHO = "echo-completion"
MakeId = Callable[..., str]
_names = iter(range(1000))


@pytest.fixture(scope="session")
def browser(impatient: Gateway) -> Browser:
    return Browser(impatient)


@pytest.fixture
def page(browser: Browser) -> Iterator[Playground]:
    with browser.playground() as opened:
        yield opened


@pytest.fixture
def endpoint(impatient: Gateway, provider: FakeProvider) -> MakeId:
    """Make an endpoint whose model tells the provider what to do; return its id."""

    def make(model: str, **settings: Any) -> str:
        url = f"{provider.url}/v1/chat/completions"
        return impatient.put("openai", api_key=provider.api_key, model_id=model, url=url, **settings)

    return make


def user(gateway: Gateway, roles: list[str]) -> tuple[str, str]:
    """Make a user and return name and password."""
    name = f"user-{next(_names)}"
    body = {"password": "correct horse", "roles": roles}
    assert gateway.call("PUT", f"/_security/user/{name}", body, gateway.login()).status == 200
    return name, "correct horse"


def test_the_events_are_those_of_the_api_and_the_end_says_what_is_known(page: Playground) -> None:
    answer = page.answer(ECHO, text="one two three")
    assert answer.text == "one two three"
    assert answer.events[-1] == ("message", "[DONE]")
    assert (answer.end["outcome"], answer.end["status"]) == ("complete", 200)
    assert answer.end["deltas"] >= 3
    assert 0 < answer.end["first_delta"] <= answer.end["duration"]


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}"],
)
def test_a_page_of_another_origin_is_refused_although_the_browser_sends_the_session(
    impatient: Gateway, browser: Browser, origin: str | None
) -> None:
    given = origin and origin.format(port=impatient.port)
    with pytest.raises(InvalidStatus) as refused, browser.playground(origin=given):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "cookies", ["", "sessionid=", "sessionid=0123456789abcdef0123456789abcdef", "sessionid=" + "x" * 5000]
)
def test_nobody_is_let_in_without_a_session(browser: Browser, cookies: str) -> None:
    with pytest.raises(InvalidStatus) as refused, browser.playground(cookies=cookies):
        pass
    assert refused.value.response.status_code == 403


def test_a_user_who_may_use_nothing_is_not_let_in(impatient: Gateway) -> None:
    name, password = user(impatient, ["inference_user"])
    browser = Browser(impatient, name, password)
    impatient.call("PUT", f"/_security/user/{name}", {"roles": []}, impatient.login())
    with pytest.raises(InvalidStatus) as refused, browser.playground():
        pass
    assert refused.value.response.status_code == 403


def test_a_session_does_not_open_the_api(impatient: Gateway, browser: Browser) -> None:
    for path in (f"/_inference/completion/{ECHO}/_stream", f"/_inference/completion/{ECHO}"):
        answer = impatient.call("POST", path, {"input": "x"}, {"Cookie": browser.cookies}, key="")
        assert answer.status == 401


def test_a_role_that_is_taken_away_counts_for_the_next_stream_of_an_open_page(impatient: Gateway) -> None:
    name, password = user(impatient, ["inference_user"])
    browser = Browser(impatient, name, password)
    with browser.playground() as page:
        assert page.answer(ECHO).text
        impatient.call("PUT", f"/_security/user/{name}", {"roles": []}, impatient.login())
        refused = page.answer(ECHO)
    assert (refused.end["status"], refused.error["type"]) == (401, "security_exception")


def test_who_signed_out_in_another_tab_streams_no_more(impatient: Gateway) -> None:
    browser = Browser(impatient)
    with browser.playground() as page:
        assert page.answer(ECHO).text
        assert browser.post_by_script("/admin/logout/", {}).status == 200
        assert page.answer(ECHO).end["status"] == 401


def test_an_endpoint_of_another_team_is_not_found_in_the_words_for_an_id_never_used(impatient: Gateway) -> None:
    def gateway(method: str, path: str, body: Any = None) -> int:
        return impatient.call(method, path, body, impatient.login()).status

    assert gateway("PUT", "/_gateway/teams/others", {"name": "Others"}) == 200
    path = "/_inference/completion/of-others?team=others"
    assert gateway("PUT", path, {"service": "echo", "service_settings": {}}) == 200
    name, password = user(impatient, ["inference_user"])
    with Browser(impatient, name, password).playground() as page:
        hidden = page.answer("of-others")
        missing = page.answer("of-nobody")
    assert hidden.end["status"] == missing.end["status"] == 404
    assert hidden.error["reason"].replace("of-others", "of-nobody") == missing.error["reason"]


def test_stop_closes_the_connection_to_the_provider_at_once_in_every_phase(
    page: Playground, provider: FakeProvider, endpoint: MakeId
) -> None:
    for phase, model in (
        ("midway", "tick:0.05:1000"),
        ("before the first delta", "late:30"),
        ("head", "slow-headers:30"),
    ):
        inference_id, seconds = endpoint(model), []
        for _ in range(ATTEMPTS):
            asked, closed = len(provider.requests), provider.abandoned
            page.start(inference_id)
            assert provider.wait_requests(asked + 1)
            if phase == "midway":
                assert page.message(1)["type"] == "event"
            stopped = time.monotonic()
            page.stop()
            assert provider.wait_closed(2, closed + 1)
            seconds.append(time.monotonic() - stopped)
            assert page.ended().end["outcome"] == "client_gone"
        assert min(seconds) < AT_ONCE, (phase, seconds)


def test_a_start_that_is_stopped_in_the_same_breath_ends_too(page: Playground) -> None:
    for number in range(20):
        page.start(ECHO, number)
        page.stop(number)
        assert page.ended(number).end["type"] == "end"


@pytest.mark.parametrize("polite", [True, False])
def test_a_page_that_is_closed_cancels_its_streams(
    browser: Browser, provider: FakeProvider, endpoint: MakeId, polite: bool
) -> None:
    # Nothing is said, so that nothing that is sent can notice.
    inference_id = endpoint("late:30")
    with browser.playground() as page:
        for number in range(MOST_STREAMS):
            page.start(inference_id, number)
        assert provider.wait_requests(MOST_STREAMS)
        if not polite:
            page.socket.socket.close()
        closed = time.monotonic()
    # GATEWAY_TOTAL_SECONDS is 4.
    assert provider.wait_closed(3, MOST_STREAMS), time.monotonic() - closed


def test_three_streams_run_side_by_side_and_a_fourth_is_refused(
    page: Playground, provider: FakeProvider, endpoint: MakeId
) -> None:
    inference_id = endpoint("tick:0.05:20")
    for number in range(MOST_STREAMS):
        page.start(inference_id, number)
    page.start(inference_id, 99)
    assert page.message(99)["type"] == "refused"
    answers = [page.ended(number) for number in range(MOST_STREAMS)]
    assert [answer.end["outcome"] for answer in answers] == ["complete"] * MOST_STREAMS
    assert len({answer.text for answer in answers}) == 1
    # They ran together, and not one behind the other.
    assert max(answer.end["duration"] for answer in answers) < sum(answer.end["duration"] for answer in answers) / 2
    assert page.answer(inference_id, 99).end["outcome"] == "complete"


def test_the_id_of_a_running_stream_is_not_taken_twice(page: Playground, endpoint: MakeId) -> None:
    page.start(endpoint("tick:0.05:1000"))
    assert page.message()["type"] == "event"
    page.start(ECHO)
    while (message := page.message())["type"] == "event":
        pass
    assert message["type"] == "refused"
    page.stop()
    assert page.ended().end["outcome"] == "client_gone"


@pytest.mark.parametrize(
    "message",
    [
        "", "no json", "[]", "{}", '{"type":"start"}', '{"type":"start","id":"1","inference_id":"x","input":"x"}',
        '{"type":"start","id":1,"inference_id":"x","input":"x","more":1}', '{"type":"stop"}', "[" * 100_000, b"\x00\xff",
        '{"type":"start","id":1,"inference_id":"' + "x" * 501 + '","input":"x"}', '{"type":"stop","id":-1}',
        '{"type":"stop","id":' + "9" * 5000 + "}", '{"type":"start","id":1,"inference_id":"x","input":"\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_and_the_page_goes_on(page: Playground, message: str | bytes) -> None:
    page.socket.send(message)
    assert page.message()["type"] == "refused"
    assert page.answer(ECHO).end["outcome"] == "complete"


def test_bytes_that_are_no_text_end_the_connection_without_a_traceback(impatient: Gateway, browser: Browser) -> None:
    before = impatient.read_log().count("Traceback")
    with browser.unread_playground({"type": "stop", "id": 1}, receive_bytes=65_536) as connection:
        connection.sendall(b"\x81\x84\0\0\0\0\xff\xfe\xfd\xfc")
        # The head of a close frame, and its code: invalid data.
        assert connection.recv(100)[2:] == (1007).to_bytes(2, "big")
        assert connection.recv(100) == b""
    assert impatient.read_log().count("Traceback") == before


def test_one_user_has_so_many_pages_open_and_leaves_some_to_others(impatient: Gateway) -> None:
    name, password = user(impatient, ["inference_user"])
    browser = Browser(impatient, name, password)
    with ExitStack() as stack:
        pages = [stack.enter_context(browser.playground()) for _ in range(MOST_OF_USER)]
        assert pages[-1].answer(ECHO).text
        with pytest.raises(ConnectionClosed) as refused, browser.playground() as one_more:
            one_more.answer(ECHO)
        assert refused.value.rcvd is not None
        assert f"[{MOST_OF_USER}] pages" in refused.value.rcvd.reason
        assert stack.enter_context(Browser(impatient).playground()).answer(ECHO).text
        pages[0].socket.close()
        until(lambda: _answers(browser))


def _answers(browser: Browser) -> bool:
    with suppress(ConnectionClosed), browser.playground() as page:
        return bool(page.answer(ECHO).text)
    return False


def test_a_message_that_is_too_long_ends_the_connection(page: Playground) -> None:
    with pytest.raises(ConnectionClosed):
        page.answer(ECHO, text="x" * 11_000_000)


def test_what_the_api_refuses_is_refused_in_its_words(page: Playground, impatient: Gateway) -> None:
    for inference_id, given in (
        (ECHO, {"input": "\0"}),
        (ECHO, {"input": "x", "task_settings": {"a": 1}}),
        ("of-nobody", {"input": "x"}),
        ("", {"input": "x"}),
    ):
        answer = impatient.call("POST", f"/_inference/completion/{inference_id or '%20'}/_stream", given)
        refused = page.answer(inference_id, text=given["input"], task_settings=given.get("task_settings", {}))
        assert (refused.end["outcome"], refused.end["status"]) == ("refused", answer.status)
        if inference_id:
            assert refused.error == answer.error


def test_a_rate_limit_holds_here_too() -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway.started(GATEWAY_FIRST_DELTA_SECONDS="2", GATEWAY_SKIP_VALIDATION="true"))
        provider = stack.enter_context(FakeProvider.running())
        url = f"{provider.url}/v1/chat/completions"
        inference_id = gateway.put(
            "openai", api_key=provider.api_key, model_id="x", url=url, rate_limit={"requests_per_minute": 1}
        )
        path = f"/_inference/completion/{inference_id}/_stream"
        assert gateway.call("POST", path, {"input": "x"}).status == 200
        refused = stack.enter_context(Browser(gateway).playground()).answer(inference_id)
        assert (refused.end["status"], len(provider.requests)) == (429, 1)
        seconds = re.compile(r"\d+")
        over_http = gateway.call("POST", path, {"input": "x"})
        assert seconds.sub("", refused.error["reason"]) == seconds.sub("", over_http.error["reason"])


def test_the_places_for_open_requests_are_those_of_the_api() -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(
            Gateway.started(GATEWAY_MAX_STREAMS_PER_CALLER="1", GATEWAY_SKIP_VALIDATION="true")
        )
        provider = stack.enter_context(FakeProvider.running())
        url = f"{provider.url}/v1/chat/completions"
        inference_id = gateway.put("openai", api_key=provider.api_key, model_id="tick:0.05:1000", url=url)
        page = stack.enter_context(Browser(gateway).playground())
        page.start(inference_id)
        assert page.message(1)["type"] == "event"
        # The same user by another door.
        over_http = gateway.call("POST", f"/_inference/completion/{ECHO}", {"input": "x"}, gateway.login())
        assert over_http.status == 429
        refused = page.answer(ECHO, 2)
        assert (refused.end["status"], refused.error["reason"]) == (429, over_http.error["reason"])
        page.stop()
        assert page.ended(1).end["outcome"] == "client_gone"
        assert page.answer(ECHO, 2).end["outcome"] == "complete"


def test_a_failure_of_the_provider_is_an_error_event_with_its_status(page: Playground, endpoint: MakeId) -> None:
    before = page.answer(endpoint("error:401"))
    assert (before.end["outcome"], before.end["status"], before.error["type"]) == (
        "upstream_error",
        401,
        "status_exception",
    )
    midway = page.answer(endpoint("cut"))
    assert midway.events[0][0] == "message"
    assert (midway.end["outcome"], midway.error["type"]) == ("upstream_cut", "status_exception")


def test_a_page_that_does_not_read_is_dropped_and_its_provider_left(
    impatient: Gateway, browser: Browser, provider: FakeProvider, endpoint: MakeId
) -> None:
    inference_id = endpoint("flood:100000")
    with browser.playground(max_queue=1) as page:
        page.start(inference_id)
        assert provider.wait_requests()
        # GATEWAY_WRITE_SECONDS is 2, GATEWAY_TOTAL_SECONDS 4.
        assert provider.wait_closed(15)
        until(lambda: gauge(impatient, "gateway_open_requests") == 0)


def test_a_drain_ends_a_stream_with_the_error_event() -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway.started(GATEWAY_DRAIN_SECONDS="1", GATEWAY_SKIP_VALIDATION="true"))
        provider = stack.enter_context(FakeProvider.running())
        url = f"{provider.url}/v1/chat/completions"
        inference_id = gateway.put("openai", api_key=provider.api_key, model_id="tick:0.05:1000", url=url)
        page = stack.enter_context(Browser(gateway).playground())
        page.start(inference_id)
        assert page.message(1)["type"] == "event"
        gateway.process.terminate()
        ended = page.ended(1)
        assert (ended.end["outcome"], ended.error["reason"]) == ("drained", "The gateway is shutting down, try again")
        assert provider.wait_closed()
        assert gateway.process.wait(10) == 0
        assert "Traceback" not in gateway.read_log()
