"""The same gateway on SQLite and on PostgreSQL, with two processes that share nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gateway import Gateway

_NEWS_SECONDS = 2.0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two_processes(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    with Gateway.started(DATABASE_URL=url, GATEWAY_WORKERS="2") as gateway:
        yield gateway


def everywhere(gateway: Gateway, status: int, call: Callable[[], int], *, times: int = 12) -> None:
    """Wait until `call` answers `status` whichever process it meets; each uses a connection of its own."""
    deadline = time.monotonic() + _NEWS_SECONDS
    with ThreadPoolExecutor(times) as pool:
        while {*(seen := list(pool.map(lambda _: call(), range(times))))} != {status}:
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)


def test_a_new_endpoint_streams_in_every_process(two_processes: Gateway) -> None:
    path = f"/_inference/completion/{two_processes.put('echo')}/_stream"
    everywhere(two_processes, 200, lambda: two_processes.call("POST", path, {"input": "a"}).status)


def test_a_deleted_endpoint_is_gone_in_every_process(two_processes: Gateway) -> None:
    inference_id = two_processes.put("echo")
    path = f"/_inference/completion/{inference_id}/_stream"
    everywhere(two_processes, 200, lambda: two_processes.call("POST", path, {"input": "a"}).status)
    two_processes.call("DELETE", f"/_inference/{inference_id}")
    everywhere(two_processes, 404, lambda: two_processes.call("POST", path, {"input": "a"}).status)


def test_a_revoked_key_works_nowhere(two_processes: Gateway) -> None:
    login = two_processes.login()
    made = two_processes.call("POST", "/_security/api_key", {"name": "short-lived"}, login, key="").json()
    path = "/_inference/completion/echo-completion"

    def call() -> int:
        return two_processes.call("POST", path, {"input": ""}, key=made["encoded"]).status

    everywhere(two_processes, 200, call)
    two_processes.call("DELETE", "/_security/api_key", {"ids": [made["id"]]})
    everywhere(two_processes, 401, call)


def test_a_role_that_is_taken_takes_effect_on_keys_everywhere(two_processes: Gateway) -> None:
    user = {"password": "of-the-user", "roles": ["inference_user"]}
    two_processes.call("PUT", "/_security/user/reader", user)
    basic = two_processes.login("reader", "of-the-user")
    made = two_processes.call("POST", "/_security/api_key", {"name": "app"}, basic, key="").json()

    def call() -> int:
        body = {"input": ""}
        return two_processes.call("POST", "/_inference/echo-completion", body, key=made["encoded"]).status

    everywhere(two_processes, 200, call)
    two_processes.call("PUT", "/_security/user/reader", {"roles": []})
    everywhere(two_processes, 403, call)


def test_of_many_puts_of_one_id_one_wins(two_processes: Gateway) -> None:
    body = {"service": "echo", "service_settings": {}}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: two_processes.call("PUT", "/_inference/completion/contested", body), range(8))
        )
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    refused = next(answer for answer in answers if answer.status == 400)
    assert refused.error["type"] == "resource_already_exists_exception"
    assert two_processes.call("DELETE", "/_inference/contested").status == 200
