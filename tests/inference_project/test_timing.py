"""How long a refusal takes says nothing about whether a user, an API key or an endpoint exists."""

from __future__ import annotations

import base64
import itertools
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from statistics import median

import pytest

from access.key_ids import new_key_id
from tests.gateway import Gateway

_SERIES = 3
_ATTEMPTS = itertools.count(1)
_PASSWORD = "of the user"
_STREAM = "/_inference/completion/echo-completion/_stream"
Try = Callable[[], float]
"""One attempt; returns how many seconds the answer took."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Every attempt comes from an address of its own: none is refused for those before it."""
    with Gateway.started(GATEWAY_TRUSTED_PROXIES="127.0.0.1", GATEWAY_SKIP_VALIDATION="true") as running:
        for name in ("known", "disabled"):
            user = {"password": _PASSWORD, "roles": ["inference_user"], "enabled": name != "disabled"}
            assert running.call("PUT", f"/_security/user/{name}", user).status == 200
        yield running


def somewhere_else() -> dict[str, str]:
    number = next(_ATTEMPTS)
    return {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250 + 1}"}


def assert_alike(tries: Mapping[str, Try], rounds: int) -> None:
    """The medians are within 30 % or 3 ms; where the machine stood still in between, a new series may show it."""
    for _ in range(_SERIES):
        taken: dict[str, list[float]] = {what: [] for what in tries}
        for _ in range(rounds):
            for what, attempt in tries.items():
                taken[what].append(attempt())
        medians = {what: median(seconds) for what, seconds in taken.items()}
        least, most = min(medians.values()), max(medians.values())
        if most - least <= max(0.003, 0.3 * least):
            return
    raise AssertionError(medians)


def refused(gateway: Gateway, header: Callable[[], str], *, method: str = "POST", path: str = _STREAM) -> Try:
    def attempt() -> float:
        headers = somewhere_else() | {"Authorization": header()}
        body = {"input": "a"} if method == "POST" else None
        started = time.perf_counter()
        answer = gateway.call(method, path, body, headers)
        seconds = time.perf_counter() - started
        assert answer.status == 401
        return seconds

    return attempt


@pytest.mark.parametrize(("method", "path"), [("POST", _STREAM), ("GET", "/_inference")])
def test_an_api_key_that_does_not_exist_is_refused_like_one_with_a_wrong_secret(
    gateway: Gateway, method: str, path: str
) -> None:
    def key(name: str, **more: str) -> str:
        made = gateway.call("POST", "/_security/api_key", {"name": name, **more}, gateway.login(), key="").json()
        return str(made["id"])

    known, expired, removed = key("known"), key("expired", expiration="1s"), key("removed")
    with closing(sqlite3.connect(gateway.data_dir / "gateway.sqlite3", isolation_level=None)) as database:
        database.execute("DELETE FROM access_apikey WHERE id = ?", [removed])

    def with_id(key_id: Callable[[], str]) -> Try:
        return refused(gateway, lambda: "ApiKey " + encoded(f"{key_id()}:{'x' * 43}"), method=method, path=path)

    tries = {
        "made up": with_id(new_key_id),
        "removed": with_id(lambda: removed),
        "wrong secret": with_id(lambda: known),
        "expired": with_id(lambda: expired),
    }
    assert_alike(tries, rounds=40)


def test_a_user_who_does_not_exist_is_refused_like_a_wrong_password(gateway: Gateway) -> None:
    def as_user(name: Callable[[], str]) -> Try:
        return refused(gateway, lambda: gateway.login(name(), f"wrong {next(_ATTEMPTS)}")["Authorization"])

    tries = {
        "wrong password": as_user(lambda: "known"),
        "unknown user": as_user(lambda: f"unknown{next(_ATTEMPTS)}"),
        "disabled user": as_user(lambda: "disabled"),
        "right password of a disabled user": refused(
            gateway, lambda: gateway.login("disabled", _PASSWORD)["Authorization"]
        ),
    }
    assert_alike(tries, rounds=8)


def test_the_admins_form_refuses_both_alike(gateway: Gateway) -> None:
    page = gateway.call("GET", "/admin/login/", key="")
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    found = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
    assert found
    token = found[1].decode()

    def as_user(name: Callable[[], str]) -> Try:
        def attempt() -> float:
            form = f"csrfmiddlewaretoken={token}&username={name()}&password=wrong{next(_ATTEMPTS)}"
            headers = somewhere_else() | {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
            started = time.perf_counter()
            answer = gateway.call("POST", "/admin/login/", form.encode(), headers, key="")
            seconds = time.perf_counter() - started
            assert b"Please enter the correct" in answer.body
            return seconds

        return attempt

    tries = {
        "wrong password": as_user(lambda: "known"),
        "unknown user": as_user(lambda: f"unknown{next(_ATTEMPTS)}"),
        "disabled user": as_user(lambda: "disabled"),
    }
    assert_alike(tries, rounds=8)


@pytest.fixture(scope="module")
def member(gateway: Gateway) -> dict[str, str]:
    """The header of an inference_admin of the team `ads`; the endpoint `theirs` is the team `search`'s."""
    admin = gateway.login()
    for team in ("search", "ads"):
        assert gateway.call("PUT", f"/_gateway/teams/{team}", {}, admin, key="").status == 200
    path = "/_gateway/teams/ads/members/known"
    assert gateway.call("PUT", path, {"role": "inference_admin"}, admin, key="").status == 200
    body = {"service": "openai", "service_settings": {"api_key": "sk-of-theirs", "model_id": "m"}}
    assert gateway.call("PUT", "/_inference/completion/theirs?team=search", body, admin, key="").status == 200
    key = gateway.call("POST", "/_security/api_key", {"name": "x"}, gateway.login("known", _PASSWORD), key="").json()
    return {"Authorization": f"ApiKey {key['encoded']}"}


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/_inference/completion/{}/_stream", {"input": "a"}),
        ("POST", "/_inference/{}", {"input": "a"}),
        ("GET", "/_inference/{}", None),
        ("PUT", "/_inference/{}/_update", {"service_settings": {"api_key": "sk-other"}}),
        ("DELETE", "/_inference/rerank/{}", None),
    ],
)
def test_an_endpoint_of_another_team_is_missing_like_one_that_never_was(
    gateway: Gateway, member: dict[str, str], method: str, path: str, body: object, warm: bool
) -> None:
    def with_id(inference_id: str) -> Try:
        def attempt() -> float:
            if not warm:
                # Any change makes the process forget what it knows.
                gateway.call("PUT", "/_gateway/teams/search", {}, gateway.login(), key="")
                gateway.call("GET", "/_security/_authenticate", headers=member, key="")
            started = time.perf_counter()
            answer = gateway.call(method, path.format(inference_id), body, member, key="")
            seconds = time.perf_counter() - started
            assert answer.status == 404
            return seconds

        return attempt

    assert_alike({name: with_id(name) for name in ("theirs", "nobody")}, rounds=15)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
