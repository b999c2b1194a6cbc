"""History: every change is a row, written with the change itself, by whatever way it comes; never a secret."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from access import actors
from access.models import Team
from endpoints import history, lifecycle
from endpoints.models import Change, Endpoint, EndpointSecret
from tests.endpoints.api import ECHO, Api, api_of, openai
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway
from wire.errors import ApiError

COMMAND = actors.of_command("test")


def newest() -> Change:
    change = Change.objects.first()
    assert change is not None
    return change


def differences(change: Change) -> dict[str, tuple[Any, Any]]:
    """Return the values before and after of each setting that is different, None for none."""
    return {one["setting"]: (one.get("before"), one.get("after")) for one in change.difference}


def test_a_new_endpoint_is_version_1_with_all_that_is_shown_of_it(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake, service_settings={"rate_limit": {"requests_per_minute": 7}}))
    change, endpoint = newest(), Endpoint.objects.get()
    assert (change.version, change.action, change.inference_id) == (1, "created", "x")
    assert change.endpoint_id == endpoint.pk
    assert change.settings["service_settings"] == endpoint.service_settings
    assert change.settings["service"] == "openai"
    assert differences(change)["service_settings.rate_limit.requests_per_minute"] == (None, 7)
    assert change.secrets == {"api_key": "set"}


def test_it_says_who_and_from_where(db: None) -> None:
    api_of("inference_admin").put("/completion/x", ECHO)
    by_key = newest()
    assert (by_key.changed_by, by_key.origin) == ("inference_admin-0", "api_key")
    assert (by_key.api_key_name, by_key.address) == ("test", "127.0.0.1")
    assert by_key.api_key_id
    lifecycle.delete("x", by=COMMAND)
    by_command = newest()
    assert (by_command.changed_by, by_command.origin, by_command.address) == ("test", "command", "")


def test_the_difference_is_that_to_the_version_before_down_to_nested_settings(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake, task_settings={"user": "first"}))
    rate = {"service_settings": {"rate_limit": {"requests_per_minute": 7}}}
    assert admin.update("/x", {**rate, "task_settings": {"user": None}}).status == 200
    before = differences(Change.objects.get(version=1))["service_settings.rate_limit.requests_per_minute"][1]
    assert newest().version == 2
    assert differences(newest()) == {
        "service_settings.rate_limit.requests_per_minute": (before, 7),
        "task_settings.user": ("first", None),
    }
    assert "after" not in next(one for one in newest().difference if one["setting"] == "task_settings.user")


def test_limits_state_and_team_are_told_apart(admin: Api) -> None:
    admin.put("/completion/x", ECHO)
    team = Team.objects.create(name="Search", slug="search")
    for gateway in ({"enabled": False}, {"enabled": True}, {"team_id": team.pk}, {"total_seconds": 5.0}):
        assert lifecycle.set_gateway("x", gateway, by=COMMAND)
    told = [(change.action, differences(change)) for change in Change.objects.order_by("id")[1:]]
    assert told == [
        ("disabled", {"enabled": (True, False)}),
        ("enabled", {"enabled": (False, True)}),
        ("moved", {"team": (None, "search")}),
        ("updated", {"time_limits.total_seconds": (None, 5.0)}),
    ]
    assert newest().team_id == team.pk


def test_what_changes_nothing_and_what_fails_writes_nothing(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake))
    for path, body in (
        ("/x", {"service_settings": {"api_key": API_KEY}}),
        ("/x", {"task_settings": {"user": 1}}),
        ("/x", {"service_settings": {"model_id": "other"}}),
        ("/nothing", {"task_settings": {"user": "u"}}),
    ):
        admin.update(path, body)
    assert admin.put("/completion/x", openai(fake)).status == 400
    assert admin.put("/completion/y", openai(fake, model="error:401")).status >= 400
    admin.call("DELETE", "/x?dry_run=true")
    assert not lifecycle.set_gateway("x", {"enabled": True})
    assert Change.objects.count() == 1


def test_a_deleted_endpoint_keeps_its_history_and_a_new_one_of_its_name_begins_another(admin: Api) -> None:
    for _ in range(2):
        admin.put("/completion/x", ECHO)
        admin.delete("/x")
    told = [(change.version, change.action) for change in Change.objects.order_by("id")]
    assert told == [(1, "created"), (2, "deleted")] * 2
    assert newest().settings == {}
    assert Change.objects.values("endpoint_id").distinct().count() == 2


def test_no_secret_is_in_any_row(admin: Api, fake: FakeProvider) -> None:
    body = openai(fake, task_settings={"headers": {"X-Tenant": "header-canary-1"}})
    admin.put("/completion/x", body)
    changed = {"X-Tenant": "header-canary-2", "X-Other": "header-canary-3"}
    assert admin.update("/x", {"task_settings": {"headers": changed}}).status == 200
    assert differences(newest()) == {"task_settings.headers.X-Other": (None, "***")}
    assert newest().secrets == {"headers": "replaced"}
    assert admin.update("/x", {"task_settings": {"headers": None}}).status == 200
    assert newest().secrets == {"headers": "cleared"}
    admin.delete("/x")
    rows = json.dumps(list(Change.objects.values()), default=str)
    assert "canary" not in rows
    assert API_KEY not in rows


def test_a_value_of_a_secret_map_that_is_replaced_is_told_without_it(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake, task_settings={"headers": {"X-Tenant": "one"}}))
    assert admin.update("/x", {"task_settings": {"headers": {"X-Tenant": "two"}}}).status == 200
    assert (newest().action, newest().difference, newest().secrets) == ("updated", [], {"headers": "replaced"})


def test_secrets_that_a_command_forgets_are_told(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake))
    call_command("rotate_secrets", stdout=StringIO())
    assert Change.objects.count() == 1
    EndpointSecret.objects.update(ciphertext="unreadable")
    call_command("rotate_secrets", forget_unreadable=True, stdout=StringIO())
    assert (newest().changed_by, newest().secrets) == ("rotate_secrets", {"api_key": "cleared"})


def test_what_cannot_be_told_does_not_happen(admin: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.put("/completion/x", ECHO)

    def fail(*arguments: Any, **options: Any) -> None:
        raise ApiError("no history")

    monkeypatch.setattr(history, "_add", fail)
    for change in (
        lambda: lifecycle.update("x", None, {"service_settings": {"words_per_second": 3}}),
        lambda: lifecycle.set_gateway("x", {"enabled": False}),
        lambda: lifecycle.delete("x"),
        lambda: lifecycle.create("y", "completion", ECHO),
    ):
        with pytest.raises(ApiError, match="no history"):
            change()
    kept = Endpoint.objects.get()
    assert kept.enabled
    assert kept.service_settings == Change.objects.get().settings["service_settings"]


def test_it_is_only_added_to(admin: Api) -> None:
    admin.put("/completion/x", ECHO)
    change = newest()
    for attempt in (
        change.save,
        change.delete,
        Change.objects.all().delete,
        lambda: Change.objects.update(changed_by="somebody else"),
    ):
        with pytest.raises(TypeError, match="only added to"):
            attempt()
    assert newest().changed_by == "inference_admin-0"


def versions(database: Path) -> dict[str, list[int]]:
    """Return the versions of each endpoint, as they were written."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT inference_id, version FROM endpoints_change ORDER BY id").fetchall()
    found: dict[str, list[int]] = {}
    for inference_id, version in rows:
        found.setdefault(inference_id, []).append(version)
    return found


def test_changes_at_once_get_consecutive_versions() -> None:
    with Gateway.started() as gateway:
        gateway.call("PUT", "/_inference/completion/x", ECHO)

        def change(speed: int) -> int:
            body = {"service_settings": {"words_per_second": speed}}
            return gateway.call("PUT", "/_inference/x/_update", body).status

        with ThreadPoolExecutor(8) as threads:
            stored = list(threads.map(change, range(1, 41))).count(200)
        assert stored
        assert versions(gateway.data_dir / "gateway.sqlite3")["x"] == list(range(1, stored + 2))


def test_changes_at_once_get_consecutive_versions_on_postgresql(postgresql: str) -> None:
    with Gateway.started(DATABASE_URL=postgresql, GATEWAY_WORKERS="2") as gateway:
        gateway.call("PUT", "/_inference/completion/x", ECHO)

        def change(speed: int) -> int:
            body = {"service_settings": {"words_per_second": speed}}
            return gateway.call("PUT", "/_inference/x/_update", body).status

        with ThreadPoolExecutor(8) as threads:
            stored = list(threads.map(change, range(1, 41))).count(200)
        import psycopg

        with psycopg.connect(postgresql) as connection:
            query = "SELECT version FROM endpoints_change WHERE inference_id = 'x' ORDER BY id"
            told = [version for (version,) in connection.execute(query)]
        assert stored
        assert told == list(range(1, stored + 2))


def test_a_process_that_is_killed_leaves_no_change_untold(tmp_path: Path) -> None:
    with Gateway.started(tmp_path) as gateway:
        gateway.call("PUT", "/_inference/completion/x", ECHO)
        done = threading.Event()

        def keep_changing() -> None:
            speed = 1
            try:
                while not done.is_set():
                    speed += 1
                    body = {"service_settings": {"words_per_second": speed}}
                    if gateway.call("PUT", "/_inference/x/_update", body).status == 200 and speed > 10:
                        done.set()
            except OSError:
                # The gateway was killed meanwhile.
                pass

        with ThreadPoolExecutor(3) as threads:
            for _ in range(3):
                threads.submit(keep_changing)
            done.wait(30)
            done.clear()
            gateway.process.kill()
            gateway.process.wait()
        done.set()
    with sqlite3.connect(tmp_path / "gateway.sqlite3") as connection:
        (stored,) = connection.execute("SELECT service_settings FROM endpoints_endpoint WHERE inference_id = 'x'")
        told = connection.execute("SELECT settings FROM endpoints_change WHERE inference_id = 'x' ORDER BY id DESC")
        assert json.loads(told.fetchone()[0])["service_settings"] == json.loads(stored[0])
    told_versions = versions(tmp_path / "gateway.sqlite3")["x"]
    assert told_versions == list(range(1, len(told_versions) + 1))
