"""Who may see `/metrics`, and in which format."""

from __future__ import annotations

import json

import pytest

from tests.gateway import Gateway

TOKEN = "token-of-prometheus"
OPENMETRICS = "application/openmetrics-text"


@pytest.fixture(scope="module")
def metered():  # type: ignore[no-untyped-def]
    with Gateway.started(GATEWAY_METRICS_TOKEN=TOKEN) as gateway:
        yield gateway


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_token_opens_it(metered: Gateway) -> None:
    answer = metered.call("GET", "/metrics", headers=bearer(TOKEN), key="")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in answer.headers
    assert b"# TYPE gateway_requests_total counter" in answer.body


def test_the_token_opens_nothing_else(metered: Gateway) -> None:
    assert metered.call("GET", "/_inference", headers=bearer(TOKEN), key="").status == 401


def test_an_administrator_needs_no_token(metered: Gateway) -> None:
    assert metered.call("GET", "/metrics", headers=metered.login(), key="").status == 200
    assert metered.call("GET", "/metrics").status == 200


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN + "x", "é", "a" * 5000])
def test_another_token_opens_nothing(metered: Gateway, token: str) -> None:
    answer = metered.call("GET", "/metrics", headers=bearer(token), key="")
    assert (answer.status, answer.error["type"]) == (401, "security_exception")


def test_without_a_token_in_the_settings_an_empty_one_opens_nothing(gateway: Gateway) -> None:
    assert gateway.call("GET", "/metrics", headers=bearer(""), key="").status == 401


@pytest.mark.parametrize(("privilege", "status"), [("monitor", 200), ("manage", 200), ("manage_inference", 403), ("monitor_inference", 403)])  # fmt: skip
def test_a_key_needs_the_privilege_to_monitor(metered: Gateway, privilege: str, status: int) -> None:
    body = {"name": privilege, "role_descriptors": {"only": {"cluster": [privilege]}}}
    key = metered.call("POST", "/_security/api_key", body, metered.login(), key="").json()["encoded"]
    answer = metered.call("GET", "/metrics", key=key)
    assert answer.status == status
    if status == 403:
        assert "cluster:monitor/prometheus/metrics" in answer.error["reason"]


def test_only_reading_is_possible(metered: Gateway) -> None:
    answer = metered.call("POST", "/metrics", {}, bearer(TOKEN), key="")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = metered.call("HEAD", "/metrics", headers=bearer(TOKEN), key="")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (f"{OPENMETRICS};version=1.0.0,text/plain;version=0.0.4;q=0.5", OPENMETRICS),
        (OPENMETRICS, OPENMETRICS),
        ("text/plain", "text/plain"),
        ("application/json", "text/plain"),
    ],
)
def test_the_format_is_what_was_asked_for(metered: Gateway, accept: str, media_type: str) -> None:
    answer = metered.call("GET", "/metrics", headers=bearer(TOKEN) | {"Accept": accept}, key="")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(f"{media_type}; version=")
    assert answer.body.endswith(b"# EOF\n") == (media_type == OPENMETRICS)


@pytest.mark.parametrize("version", ["abc", "1.x", "é", "1" * 5000, "", ";;;", "1.0.0;escaping=" + "x" * 600])
@pytest.mark.parametrize("media_type", [OPENMETRICS, "text/plain"])
def test_a_version_that_is_none_is_no_mistake_of_ours(metered: Gateway, media_type: str, version: str) -> None:
    headers = bearer(TOKEN) | {"Accept": f"{media_type};version={version}"}
    assert metered.call("GET", "/metrics", headers=headers, key="").status == 200


def test_with_the_token_no_database_is_needed(metered: Gateway) -> None:
    hidden = metered.data_dir / "gateway.sqlite3"
    moved = hidden.rename(metered.data_dir / "hidden")
    try:
        assert metered.call("GET", "/metrics", headers=bearer(TOKEN), key="").status == 200
    finally:
        moved.rename(hidden)


def test_the_token_is_in_no_log_line(metered: Gateway) -> None:
    metered.call("GET", "/metrics", headers=bearer(TOKEN), key="")
    assert TOKEN not in metered.read_log() + json.dumps(metered.printed)
