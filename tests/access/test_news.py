"""News by Redis: a change is looked at now, not within a second; and nothing depends on it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from access import news
from tests.gateway import Gateway


def test_a_message_makes_the_others_look(settings: Settings, redis_server: str) -> None:
    settings.REDIS_URL = redis_server
    looked = threading.Semaphore(0)
    news.listen(looked.release)
    assert looked.acquire(timeout=2), "a listener has to look once when it begins"
    news.publish()
    assert looked.acquire(timeout=2)


def test_without_redis_there_is_nothing_to_do(settings: Settings) -> None:
    settings.REDIS_URL = ""
    before = threading.active_count()
    news.publish()
    news.listen(lambda: None)
    assert threading.active_count() == before


def test_a_redis_that_is_gone_costs_a_log_line_and_no_request(settings: Settings, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody"
    began = time.monotonic()
    news.publish()
    assert time.monotonic() - began < 2


def test_whatever_happens_to_the_news_the_change_is_made(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.REDIS_URL = "redis://:canary@localhost:abc"
    news.publish()
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text


def test_a_change_reaches_another_process_well_within_a_second(redis_server: str, postgresql: str) -> None:
    environment = {"REDIS_URL": redis_server, "DATABASE_URL": postgresql, "GATEWAY_ADMIN_PASSWORD": "of-the-admin"}
    with Gateway.started(None, **environment) as one, Gateway.started(one.data_dir, **environment) as other:
        # Both have the keys in the data directory of the first; see GATEWAY_SECRET_KEY.
        login = one.login("admin", "of-the-admin")
        waits = []
        for _ in range(5):
            made = one.call("POST", "/_security/api_key", {"name": "short-lived"}, login, key="").json()
            assert other.call("GET", "/_security/_authenticate", key=made["encoded"]).status == 200
            one.call("DELETE", "/_security/api_key", {"ids": [made["id"]]}, login, key="")
            revoked = time.monotonic()
            while other.call("GET", "/_security/_authenticate", key=made["encoded"]).status == 200:
                assert time.monotonic() - revoked < 2
            waits.append(time.monotonic() - revoked)
    # By looking alone the median would be half a second.
    assert sorted(waits)[2] < 0.25
