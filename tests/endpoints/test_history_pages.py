"""The history in the admin: who sees what of it, and how an earlier version is restored."""

from __future__ import annotations

import html
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from access import actors
from access.models import Membership, Team, User
from endpoints import history, lifecycle
from endpoints.models import Change, Endpoint, EndpointSecret
from tests.endpoints.api import ECHO, Api, openai
from tests.fakes.provider import API_KEY, FakeProvider

LIST = "/admin/endpoints/change/"


def browser(name: str, *, role: str = "", lead_of: Team | None = None) -> Client:
    user = User.objects.create_user(name, "correct horse", is_superuser=role == "superuser")
    user.groups.set(Group.objects.filter(name=role))
    if lead_of is not None:
        Membership.objects.create(team=lead_of, user=user, role="inference_admin")
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def manager(db: None) -> Client:
    return browser("manager", role="inference_admin")


def page(client: Client, address: str, **query: Any) -> str:
    response = client.get(address, query, follow=True)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def listed(client: Client, **query: Any) -> list[tuple[str, int]]:
    """Return endpoint and version of each row of the list, newest first."""
    response: Any = client.get(LIST, query)
    if response.status_code != 200:
        return []
    return [(change.inference_id, change.version) for change in response.context["cl"].result_list]


def restore(client: Client, inference_id: str, version: int) -> Any:
    change = Change.objects.get(inference_id=inference_id, version=version)
    return client.post(reverse("admin:endpoints_change_restore", args=[change.pk]))


def echo(inference_id: str, team: Team | None = None) -> None:
    lifecycle.create(inference_id, "completion", ECHO, gateway={"team_id": team and team.pk})


@pytest.fixture
def teams(db: None) -> tuple[Team, Team]:
    return Team.objects.create(name="Search", slug="search"), Team.objects.create(name="Shop", slug="shop")


def test_the_tab_of_an_endpoint_leads_to_its_versions_alone(manager: Client, admin: Api) -> None:
    admin.put("/completion/x", ECHO)
    admin.put("/completion/y", ECHO)
    admin.update("/x", {"service_settings": {"words_per_second": 3}})
    response = manager.get(
        reverse("admin:endpoints_endpoint_history", args=[Endpoint.objects.get(inference_id="x").pk])
    )
    assert response.status_code == 302
    shown = page(manager, response["Location"])
    assert "words_per_second" in shown
    assert listed(manager, endpoint_id=Endpoint.objects.get(inference_id="x").pk) == [("x", 2), ("x", 1)]


def test_a_change_shows_all_that_is_different_and_who_made_it(manager: Client, admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake, task_settings={"user": "<script>alert(1)</script>"}))
    change = Change.objects.get()
    response = manager.get(reverse("admin:endpoints_change_change", args=[change.pk]))
    raw = response.content.decode()
    assert "<script>alert" not in raw
    shown = html.unescape(raw)
    for text in (
        "created",
        "inference_admin-1",
        "API key test",
        "127.0.0.1",
        "task_settings.user",
        "gpt-fake",
        "(set)",
    ):
        assert text in shown
    assert API_KEY not in shown


def test_team_leads_see_what_happened_to_the_endpoints_of_their_teams(teams: tuple[Team, Team]) -> None:
    search, shop = teams
    lead, other = browser("lead", lead_of=search), browser("other", lead_of=shop)
    manager, user = browser("manager", role="inference_admin"), browser("user", role="inference_user")
    echo("shared")
    echo("of-search", search)
    echo("of-shop", shop)
    assert listed(lead) == [("of-search", 1)]
    assert listed(other) == [("of-shop", 1)]
    assert listed(user) == []
    assert len(listed(manager)) == 3
    lifecycle.delete("of-search")
    assert listed(lead) == [("of-search", 2), ("of-search", 1)]
    assert listed(other) == [("of-shop", 1)]


def test_an_endpoint_that_is_moved_takes_its_history_with_it(teams: tuple[Team, Team]) -> None:
    search, shop = teams
    lead, other = browser("lead", lead_of=search), browser("other", lead_of=shop)
    echo("x", search)
    lifecycle.set_gateway("x", {"team_id": shop.pk})
    assert (listed(lead), listed(other)) == ([], [("x", 2), ("x", 1)])
    lifecycle.delete("x")
    assert (listed(lead), len(listed(other))) == ([], 3)


def test_a_change_out_of_reach_looks_like_none(teams: tuple[Team, Team]) -> None:
    search, shop = teams
    lead = browser("lead", lead_of=search)
    echo("secret-plans", shop)
    theirs = Change.objects.get().pk
    for name in ("change", "restore"):
        for method in (lead.get, lead.post):
            answers = [method(reverse(f"admin:endpoints_change_{name}", args=[pk])) for pk in (theirs, 999_999)]
            assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, LIST)] * 2
    assert "secret-plans" not in page(lead, LIST)
    assert listed(lead, q="secret-plans") == listed(lead, endpoint_id=Endpoint.objects.get().pk) == []


def test_who_may_only_use_endpoints_has_no_history(teams: tuple[Team, Team]) -> None:
    echo("shared")
    user = browser("user", role="inference_user")
    pk = Change.objects.get().pk
    for address in (LIST, f"{LIST}{pk}/change/", f"{LIST}{pk}/restore/"):
        assert user.get(address).status_code == 403
        assert user.post(address).status_code == 403


def test_nothing_in_it_can_be_added_changed_or_deleted(db: None) -> None:
    root = browser("root", role="superuser")
    echo("x")
    pk = Change.objects.get().pk
    for path in ("add/", f"{pk}/delete/", f"{pk}/history/"):
        assert root.post(f"{LIST}{path}").status_code == 404
    root.post(f"{LIST}{pk}/change/", {"changed_by": "somebody else"})
    root.post(LIST, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert Change.objects.get().changed_by == "manage.py"


def test_it_is_searched_and_filtered(manager: Client, teams: tuple[Team, Team]) -> None:
    echo("x", teams[0])
    lifecycle.set_gateway("x", {"enabled": False}, by=actors.of_command("nightly"))
    echo("y")
    assert listed(manager, q="x") == [("x", 2), ("x", 1)]
    assert listed(manager, q="nightly") == [("x", 2)]
    assert listed(manager, action__exact="disabled") == [("x", 2)]
    assert listed(manager, team="search") == [("x", 2), ("x", 1)]
    assert listed(manager, team="-") == [("y", 1)]
    assert listed(manager, team="no-such-team") == []
    assert listed(manager, origin__exact="session") == []
    assert len(listed(manager, at__gte=timezone.now().replace(hour=0, minute=0))) == 3
    assert listed(manager, endpoint_id="no-uuid") == []


def test_restore_puts_settings_and_limits_back_as_a_new_version(
    manager: Client, admin: Api, fake: FakeProvider
) -> None:
    admin.put("/completion/x", openai(fake, task_settings={"user": "first", "headers": {"X-Tenant": "kept"}}))
    lifecycle.set_gateway("x", {"total_seconds": 5.0})
    rate = {"rate_limit": {"requests_per_minute": 7}}
    admin.update("/x", {"service_settings": rate, "task_settings": {"user": None, "headers": {"X-New": "v"}}})
    lifecycle.set_gateway("x", {"total_seconds": None, "idle_seconds": 2.0, "enabled": False})
    secrets = set(EndpointSecret.objects.values_list("name", flat=True))
    fake.requests.clear()
    assert restore(manager, "x", 2).status_code == 302
    newest, endpoint = Change.objects.first(), Endpoint.objects.get()
    assert newest is not None
    assert (newest.version, newest.action, newest.restored_version) == (5, "restored", 2)
    assert (newest.changed_by, newest.origin) == ("manager", "session")
    assert endpoint.service_settings == Change.objects.get(version=2).settings["service_settings"]
    assert endpoint.task_settings == {"user": "first", "headers": {"X-New": "***"}}
    assert (endpoint.total_seconds, endpoint.idle_seconds, endpoint.enabled) == (5.0, None, False)
    assert set(EndpointSecret.objects.values_list("name", flat=True)) == secrets
    assert newest.secrets == {}
    assert len(fake.requests) == 1


def test_a_restore_that_changes_nothing_writes_nothing(manager: Client, admin: Api) -> None:
    admin.put("/completion/x", ECHO)
    assert restore(manager, "x", 1).status_code == 302
    assert Change.objects.count() == 1


def test_a_restore_that_would_send_the_key_to_another_host_is_refused(
    manager: Client, admin: Api, settings: Settings, fake: FakeProvider
) -> None:
    asking = settings.ENVIRONMENT
    settings.ENVIRONMENT = asking.model_copy(update={"skip_validation": True})
    tokens = {"client_id": "me", "client_secret": "one", "scopes": ["all"], "token_url": "https://first.example/token"}
    assert admin.put("/completion/x", openai(fake, service_settings={**tokens, "api_key": None})).status == 200
    moved = {"client_secret": "two", "token_url": "https://second.example/token"}
    assert admin.update("/x", {"service_settings": moved}).status == 200
    settings.ENVIRONMENT = asking
    response = restore(manager, "x", 1)
    shown = html.unescape(response.content.decode())
    assert response.status_code == 200
    assert (
        "[secret_settings] the setting [client_secret] must be given again, since it would go to another host" in shown
    )
    assert not fake.requests
    assert Change.objects.count() == 2


def test_a_restore_that_the_provider_refuses_changes_nothing(manager: Client, admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake))
    admin.update("/x", {"task_settings": {"user": "u"}})
    before = Endpoint.objects.get().task_settings
    fake.api_key, key = "another key", fake.api_key
    try:
        response = restore(manager, "x", 1)
    finally:
        fake.api_key = key
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert Endpoint.objects.get().task_settings == before
    assert Change.objects.count() == 2


def test_nobody_restores_what_he_does_not_manage(teams: tuple[Team, Team]) -> None:
    search, shop = teams
    echo("x", search)
    lifecycle.set_gateway("x", {"total_seconds": 5.0})
    restore(browser("other", lead_of=shop), "x", 1)
    assert Change.objects.count() == 2
    restore(browser("lead", lead_of=search), "x", 1)
    assert Change.objects.count() == 3


def fill(rows: int, endpoints: int) -> None:
    """Store a history of so many rows, over so many endpoints of which most are gone, in one statement."""
    echo("model")
    statement = """
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %(rows)s - 1)
        INSERT INTO endpoints_change (
            inference_id, version, action, at, changed_by, origin, api_key_id, api_key_name, address, team_id,
            settings, difference, secrets, endpoint_id
        )
        SELECT 'endpoint-' || (i %% %(endpoints)s), 2 + i / %(endpoints)s, 'updated', at, 'user-' || (i %% 97),
            'session', '', '', address, NULL, settings, difference, secrets,
            substr(endpoint_id, 1, 24) || printf('%%08d', i %% %(endpoints)s)
        FROM n, endpoints_change
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, {"rows": rows, "endpoints": endpoints})


def test_a_list_takes_few_queries_however_long_it_is_and_counts_nothing(manager: Client, admin: Api) -> None:
    numbers = []
    for rows in (1, 200):
        fill(rows, rows) if rows > 1 else echo("one")
        with CaptureQueriesContext(connection) as queries:
            assert listed(manager)
        numbers.append(len(queries))
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
    assert numbers[0] == numbers[1] <= 12


def test_a_large_history_is_listed_at_once(manager: Client, teams: tuple[Team, Team]) -> None:
    fill(100_000, 1000)
    echo("mine", teams[0])
    lead, leads_much = browser("lead", lead_of=teams[0]), browser("leads much", lead_of=teams[1])
    # Each hundredth endpoint is of the second team, with 1,000 changes in all.
    of_team = Change.objects.filter(inference_id__regex="^endpoint-[0-9]*00$").values_list(
        "endpoint_id", "inference_id"
    )
    Endpoint.objects.bulk_create(
        Endpoint(pk=pk, inference_id=name, service="echo", task_type="completion", team=teams[1])
        for pk, name in set(of_team)
    )
    manager.get(LIST)
    asked: list[tuple[Client, dict[str, Any]]] = [
        (manager, {}),
        (manager, {"p": 40}),
        (manager, {"q": "endpoint-7"}),
        (manager, {"q": "nobody"}),
        (manager, {"q": "user-5"}),
        (manager, {"action__exact": "deleted"}),
        (manager, {"origin__exact": "command"}),
        (manager, {"team": "-"}),
        (manager, {"team": "shop"}),
        (manager, {"at__gte": "2020-01-01 00:00:00+00:00"}),
        (manager, {"at__gte": "2100-01-01 00:00:00+00:00"}),
        (manager, {"team": "-", "origin__exact": "session", "action__exact": "moved"}),
        *((one, {}) for one in (lead, leads_much)),
        *((one, {"q": "endpoint-7"}) for one in (lead, leads_much)),
        *((one, {"origin__exact": "session"}) for one in (lead, leads_much)),
        *((one, {"action__exact": "deleted"}) for one in (lead, leads_much)),
        *((one, {"team": "search"}) for one in (lead, leads_much)),
    ]
    for client, query in asked:
        began = time.process_time()
        assert client.get(LIST, query).status_code == 200
        took = time.process_time() - began
        # The promise is 0.3 s with ten times as many rows.
        assert took < 0.3, query


def test_a_lead_of_a_large_history_sees_the_same_as_of_a_small_one(
    teams: tuple[Team, Team], monkeypatch: pytest.MonkeyPatch
) -> None:
    search, shop = teams
    lead = browser("lead", lead_of=search)
    echo("kept", search)
    echo("gone", search)
    echo("of-shop", shop)
    lifecycle.delete("gone")
    lifecycle.set_gateway("kept", {"enabled": False})
    queries: tuple[dict[str, str], ...] = (
        {},
        {"action__exact": "created"},
        {"q": "kept"},
        {"q": "of-shop"},
        {"team": "search"},
        {"team": "shop"},
    )
    few = [listed(lead, **query) for query in queries]
    assert [len(found) for found in few] == [4, 2, 2, 0, 4, 0]
    monkeypatch.setattr(history, "_FEW", 1)
    assert [listed(lead, **query) for query in queries] == few
