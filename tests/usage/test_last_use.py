"""When keys and endpoints were used last: noted at no cost worth the name, written soon, never moved back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import cache, last_use
from access.last_use import LastUses
from access.models import ApiKey
from access.privileges import Caller
from endpoints import lifecycle
from endpoints.models import Endpoint
from tests.endpoints.api import ECHO, api_of
from tests.gateway import Gateway
from usage import last_use as usage
from usage.record import Record


@pytest.fixture(autouse=True)
def _nothing_is_noted() -> Iterator[None]:
    for uses in LastUses.all:
        uses.forget()
    yield
    for uses in LastUses.all:
        uses.forget()


def flush() -> None:
    for uses in LastUses.all:
        uses.flush()


def record(inference_id: str, **facts: Any) -> Record:
    caller = Caller(user_id=1, username="alice", api_key_id="id", api_key_name="app")
    return Record(stream=True, caller=caller, inference_id=inference_id, service="echo", **facts)


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return lifecycle.create("x", "completion", ECHO)


def test_a_request_that_is_over_is_the_last_use_of_its_endpoint(endpoint: Endpoint) -> None:
    began = timezone.now()
    record("x").finish()
    flush()
    endpoint.refresh_from_db()
    assert endpoint.last_used_by == "alice (API key app)"
    assert endpoint.last_used_at is not None
    assert began <= endpoint.last_used_at <= timezone.now()


def test_what_was_refused_is_no_use(endpoint: Endpoint) -> None:
    record("x", outcome="refused").finish()
    Record(stream=True, inference_id="x").finish()
    flush()
    endpoint.refresh_from_db()
    assert endpoint.last_used_at is None


def test_any_request_with_a_key_is_a_use_of_it_and_says_from_which_address(db: None) -> None:
    api = api_of("inference_admin")
    api.get()
    flush()
    key = ApiKey.objects.get()
    assert key.last_used_from == "127.0.0.1"
    assert key.last_used_at is not None


def test_a_key_with_a_wrong_secret_was_not_used(db: None) -> None:
    api = api_of("inference_admin")
    api.get(authorization=f"ApiKey {ApiKey.objects.get().id}:wrong")
    flush()
    assert ApiKey.objects.get().last_used_at is None


def test_it_never_moves_back(endpoint: Endpoint) -> None:
    later = timezone.now() + timedelta(minutes=1)
    Endpoint.objects.update(last_used_at=later, last_used_by="by another process")
    record("x").finish()
    flush()
    endpoint.refresh_from_db()
    assert (endpoint.last_used_at, endpoint.last_used_by) == (later, "by another process")


def test_writing_changes_nothing_else_and_is_no_news(endpoint: Endpoint) -> None:
    version, updated_at = cache.read_version(), endpoint.updated_at
    record("x").finish()
    flush()
    endpoint.refresh_from_db()
    assert (cache.read_version(), endpoint.updated_at) == (version, updated_at)


def test_noting_asks_no_database_and_one_statement_writes_many_rows(endpoint: Endpoint) -> None:
    lifecycle.create("y", "completion", ECHO)
    with CaptureQueriesContext(connection) as noted:
        for number in range(100):
            record("xy"[number % 2]).finish()
    assert not noted.captured_queries
    with CaptureQueriesContext(connection) as written:
        flush()
    assert len([query for query in written.captured_queries if "UPDATE" in query["sql"]]) == 1
    assert Endpoint.objects.filter(last_used_at=None).count() == 0


def test_what_was_used_of_what_is_gone_is_forgotten(endpoint: Endpoint) -> None:
    record("never-was").finish()
    flush()
    endpoint.refresh_from_db()
    assert endpoint.last_used_at is None


def test_while_the_database_is_away_the_newest_uses_are_kept(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: Any) -> None:
        # What comes in while it is tried is newer.
        usage.endpoints.note("x", "newer")
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(LastUses, "_write", away)
        usage.endpoints.note("x", "older")
        usage.endpoints.note("y", "other")
        with pytest.raises(OperationalError):
            usage.endpoints.flush()
    assert {name: by for name, (_, by) in usage.endpoints._noted.items()} == {"x": "newer", "y": "other"}
    flush()
    endpoint.refresh_from_db()
    assert endpoint.last_used_by == "newer"


def test_memory_is_bounded_and_the_oldest_are_forgotten() -> None:
    for number in range(last_use._MOST + 5):
        usage.endpoints.note(str(number), "alice")
    usage.endpoints.note("5", "bob")
    usage.endpoints.note("one more", "alice")
    noted = usage.endpoints._noted
    assert len(noted) == last_use._MOST
    assert "5" in noted
    assert "6" not in noted


def test_memory_is_bounded_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(LastUses, "_write", away)
    for minute in range(3):
        for number in range(last_use._MOST):
            usage.endpoints.note(f"{minute}-{number}", "alice")
        with pytest.raises(OperationalError):
            usage.endpoints.flush()
    assert len(usage.endpoints._noted) == last_use._MOST
    assert all(name.startswith("2-") for name in usage.endpoints._noted)


def test_noting_costs_two_microseconds_at_most() -> None:
    finished, rounds = record("x"), 20_000

    def seconds() -> float:
        began = time.process_time()
        for _ in range(rounds):
            usage.note(finished)
            last_use.keys.note("id", "127.0.0.1")
        return (time.process_time() - began) / rounds

    assert min(seconds() for _ in range(5)) < 4e-6


def used(gateway: Gateway, inference_id: str) -> tuple[Any, ...]:
    import sqlite3

    with sqlite3.connect(gateway.data_dir / "gateway.sqlite3") as database:
        query = "SELECT last_used_at, last_used_by FROM endpoints_endpoint WHERE inference_id = ?"
        row: tuple[Any, ...] = database.execute(query, (inference_id,)).fetchone()
        return row


def test_a_gateway_that_stops_writes_what_it_has_noted(tmp_path: Path) -> None:
    with (
        Gateway.started(tmp_path) as gateway,
        gateway.stream("/_inference/completion/echo-completion/_stream", {"input": "a"}) as stream,
    ):
        assert stream.text() == "a"
    when, who = used(gateway, "echo-completion")
    assert when is not None
    assert who == "admin (API key first key)"


def test_a_gateway_writes_while_it_runs_on_postgresql_too(postgresql: str) -> None:
    import psycopg

    with Gateway.started(DATABASE_URL=postgresql, GATEWAY_WORKERS="2") as gateway:
        body = {"input": "a"}
        assert gateway.call("POST", "/_inference/completion/echo-completion", body).status == 200
        deadline = time.monotonic() + 6 * last_use.FLUSH_SECONDS
        found = None
        with psycopg.connect(postgresql, autocommit=True) as database:
            while found is None and time.monotonic() < deadline:
                time.sleep(0.2)
                query = (
                    "SELECT last_used_by, last_used_from FROM endpoints_endpoint, access_apikey "
                    "WHERE endpoints_endpoint.last_used_at IS NOT NULL AND access_apikey.last_used_at IS NOT NULL"
                )
                found = database.execute(query).fetchone()
        assert found == ("admin (API key first key)", "127.0.0.1")
        assert "last uses" not in gateway.read_log()
