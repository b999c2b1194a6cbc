"""What runs now, over all processes of a gateway: who sees it, and how it is stopped."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway, Stream
from tests.streaming.browser import Browser
from tests.streaming.test_client_gone import AT_ONCE, ATTEMPTS, until

RUNNING = "/admin/live/running"
STOP = "/admin/live/stop"
WORKERS = 2
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of several processes, in a directory whose name is longer than an address of a socket may be."""
    directory = tmp_path_factory.mktemp("x" * 120)
    with Gateway.started(directory, GATEWAY_WORKERS=str(WORKERS), GATEWAY_SKIP_VALIDATION="true") as gateway:
        until(lambda: len(sockets(gateway)) == WORKERS, 30)
        yield gateway
        assert "Traceback" not in gateway.read_log()
    assert sockets(gateway) == []


@pytest.fixture(scope="module")
def admin(workers: Gateway) -> Browser:
    return Browser(workers)


@pytest.fixture(scope="module")
def lead(workers: Gateway) -> Browser:
    """Who manages the endpoints of the team `search`."""
    return member(workers, "lead", "search", "inference_admin")


def member(gateway: Gateway, name: str, team: str, role: str) -> Browser:
    def put(path: str, body: Any) -> None:
        answer = gateway.call("PUT", path, body, gateway.login())
        assert answer.status == 200, answer.body

    put(f"/_gateway/teams/{team}", {"name": team})
    put(f"/_security/user/{name}", {"password": PASSWORD, "roles": []})
    put(f"/_gateway/teams/{team}/members/{name}", {"role": role})
    return Browser(gateway, name, PASSWORD)


def sockets(gateway: Gateway) -> list[Path]:
    return list((gateway.data_dir / "run").glob("*.sock"))


def endpoint(gateway: Gateway, provider: FakeProvider, model: str = "tick:0.05:2000", team: str = "") -> str:
    """Make an endpoint and return its path."""
    inference_id = f"live-{time.monotonic_ns()}"
    path = f"/_inference/completion/{inference_id}"
    settings = {"api_key": provider.api_key, "model_id": model, "url": f"{provider.url}/v1/chat/completions"}
    query = f"?team={team}" if team else ""
    body = {"service": "openai", "service_settings": settings}
    assert gateway.call("PUT", path + query, body, gateway.login()).status == 200
    return path


def running(browser: Browser, path: str = "") -> list[dict[str, Any]]:
    """Return what the page shows, of one endpoint if its path is given."""
    answer = browser.get(RUNNING)
    assert answer.status == 200, answer.body
    found = answer.json()
    assert found["silent"] == 0
    assert found["listing"]["total"] >= len(found["listing"]["running"])
    return [one for one in found["listing"]["running"] if path.endswith(one["inference_id"]) or not path]


def stop(browser: Browser, one: dict[str, Any]) -> bool:
    """Stop one request; return whether there was one. All that are not there are so in the same words."""
    answer = browser.post_by_script(STOP, {"process": one["process"], "number": one["number"]})
    told = {200: {"stopped": True}, 404: {"error": "There is no such request any more."}}
    assert answer.json() == told[answer.status]
    return answer.status == 200


def test_streams_of_all_processes_are_shown_and_stopped_from_any_of_them(workers: Gateway, admin: Browser) -> None:
    with FakeProvider.running() as provider, ExitStack() as stack:
        path = endpoint(workers, provider)
        processes: set[int] = set()
        streams: list[Stream] = []
        # Which process takes a connection is the kernel's choice.
        while len(processes) < WORKERS:
            assert len(streams) < 100
            streams.append(stack.enter_context(workers.stream(f"{path}/_stream", {"input": "x"})))
            streams[-1].event()
            processes = {one["process"] for one in running(admin, path)}
        shown = running(admin, path)
        assert len(shown) == len(streams)
        assert {(one["user"], one["api_key"], one["service"], one["stream"], one["phase"]) for one in shown} == {
            ("admin", "first key", "openai", True, "streaming")
        }
        assert all(one["deltas"] > 0 and one["seconds"] > 0 for one in shown)
        for one in shown:
            assert stop(admin, one)
        for stream in streams:
            name, data = list(stream.events())[-1]
            assert (name, json.loads(data)["status"]) == ("error", 400)
            error = json.loads(data)["error"]
            assert error["type"] == "task_cancelled_exception"
            assert error["reason"] == "The request was stopped by user [admin] on the page of live streams"
        assert provider.wait_closed(count=len(streams))
        assert running(admin, path) == []
        assert not stop(admin, shown[0])
        assert workers.read_log().count('"outcome":"drained"') >= len(streams)
        assert f"User [admin] stopped a request to [{path.rpartition('/')[2]}]" in workers.read_log()


def test_stop_closes_the_connection_to_the_provider_at_once_in_every_phase(workers: Gateway, admin: Browser) -> None:
    with FakeProvider.running() as provider, ThreadPoolExecutor() as pool:
        for model, way in (("tick:0.05:1000", "/_stream"), ("late:30", "/_stream"), ("slow-headers:30", "")):
            path, seconds = endpoint(workers, provider, model), []
            for _ in range(ATTEMPTS):
                asked, closed = len(provider.requests), provider.abandoned
                answer = pool.submit(workers.call, "POST", path + way, {"input": "x"})
                assert provider.wait_requests(asked + 1)
                (one,) = running(admin, path)
                assert one["stream"] == bool(way)
                began = time.monotonic()
                assert stop(admin, one)
                assert provider.wait_closed(2, closed + 1)
                seconds.append(time.monotonic() - began)
                told = answer.result(10)
                assert b"task_cancelled_exception" in told.body
                # What has begun has its status already.
                assert told.status == (200 if model.startswith("tick") else 400)
            assert min(seconds) < AT_ONCE, (model, seconds)


def test_one_who_waits_for_his_turn_is_shown_so_and_can_be_stopped(workers: Gateway, admin: Browser) -> None:
    with FakeProvider.running() as provider, ThreadPoolExecutor() as pool:
        url = f"{provider.url}/v1/chat/completions"
        limit = {"requests_per_minute": 1}
        inference_id = workers.put("openai", api_key=provider.api_key, model_id="x", url=url, rate_limit=limit)
        path = f"/_inference/completion/{inference_id}"
        queued: list[dict[str, Any]] = []
        # Each process has a turn to give; who comes later to it has to wait.
        while not queued:
            answer = pool.submit(workers.call, "POST", path, {"input": "x"})
            while not answer.done() and not queued:
                queued = [one for one in running(admin, path) if one["phase"] == "queued"]
            assert len(provider.requests) <= WORKERS
        assert stop(admin, queued[0])
        stopped = answer.result(10)
        assert (stopped.status, stopped.error["type"]) == (400, "task_cancelled_exception")


def test_each_sees_and_stops_own_requests_and_those_to_endpoints_that_he_manages(
    workers: Gateway, admin: Browser, lead: Browser
) -> None:
    user = member(workers, "user", "search", "inference_user")
    other = member(workers, "other", "sales", "inference_admin")
    with FakeProvider.running() as provider, ExitStack() as stack:
        shared, team = endpoint(workers, provider), endpoint(workers, provider, team="search")
        by_admin = stack.enter_context(workers.stream(f"{shared}/_stream", {"input": "x"}))
        by_admin.event()
        of_team = stack.enter_context(workers.stream(f"{team}/_stream", {"input": "x"}))
        of_team.event()
        login = workers.login("user", PASSWORD)
        by_user = stack.enter_context(workers.stream(f"{team}/_stream", {"input": "x"}, login, key=""))
        by_user.event()
        assert sorted(one["user"] for one in running(admin, shared) + running(admin, team)) == [
            "admin",
            "admin",
            "user",
        ]
        assert sorted(one["user"] for one in running(lead)) == ["admin", "user"]
        assert {one["inference_id"] for one in running(lead)} == {team.rpartition("/")[2]}
        assert [one["user"] for one in running(user)] == ["user"]
        assert running(other) == []
        (of_admin,) = [one for one in running(lead) if one["user"] == "admin"]
        for browser in (user, other):
            assert not stop(browser, of_admin)
        assert not stop(lead, running(admin, shared)[0])
        assert len(running(admin, team)) == 2
        assert stop(user, running(user)[0])
        assert stop(lead, of_admin)
        until(lambda: running(admin, team) == [])


def test_what_the_playground_streams_is_shown_too(workers: Gateway, admin: Browser) -> None:
    with FakeProvider.running() as provider, admin.playground() as page:
        path = endpoint(workers, provider)
        page.start(path.rpartition("/")[2])
        assert page.message(1)["type"] == "event"
        (one,) = running(admin, path)
        assert (one["user"], one["api_key"]) == ("admin", "")
        assert stop(admin, one)
        ended = page.ended()
        assert (ended.end["outcome"], ended.error["type"]) == ("drained", "task_cancelled_exception")


def test_nobody_asks_without_a_session_and_nothing_is_stopped_without_the_token_for_forms(
    workers: Gateway, admin: Browser
) -> None:
    assert workers.call("GET", RUNNING, key="").status == 403
    assert workers.call("GET", RUNNING).status == 403
    assert admin.post(STOP, {"process": 1, "number": 1}).status == 403
    assert admin.get(STOP).status == 405
    for process, number in (
        ("", "1"),
        ("1", "x"),
        ("-1", "1"),
        ("../1", "1"),
        ("1", "9" * 400),
        ("9" * 400, "1"),
        ("²", "1"),
    ):
        assert admin.post_by_script(STOP, {"process": process, "number": number}).status == 400
    assert not stop(admin, {"process": 1, "number": 1})


def test_only_the_gateways_own_user_reaches_the_sockets(workers: Gateway) -> None:
    assert stat.S_IMODE((workers.data_dir / "run").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets(workers)} == {0o600}


def test_what_a_killed_process_left_is_removed_and_one_that_stands_still_is_counted(
    workers: Gateway, admin: Browser
) -> None:
    directory = os.open(workers.data_dir / "run", os.O_RDONLY)
    address = f"/proc/self/fd/{directory}/1.sock"
    for listens in (False, True):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(address)
            if listens:
                left.listen()
            began = time.monotonic()
            assert admin.get(RUNNING).json()["silent"] == listens
            # It waits for 2 s.
            assert time.monotonic() - began < 6
            assert os.path.exists(address) == listens
    running(admin)
    assert not os.path.exists(address)
    os.close(directory)


def test_the_page_names_its_parts(workers: Gateway, lead: Browser) -> None:
    page = lead.get("/admin/live/").body.decode()
    assert '<script type="module" src="/static/streaming/live_streams.js">' in page
    assert 'data-running="/admin/live/running"' in page
    assert lead.get("/static/streaming/live_streams.js").status == 200
