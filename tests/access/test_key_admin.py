"""API keys in the admin: made, shown once, rotated, revoked, by users, team leads and superusers."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import keys
from access.models import ApiKey, Membership, Team, User
from endpoints.models import Endpoint
from tests.access.conftest import PASSWORD, Call, new_key

KEYS = "/admin/access/apikey/"
WHO = "/_security/_authenticate"
pytestmark = pytest.mark.django_db


@pytest.fixture
def root(users: dict[str, User]) -> Client:
    return logged_in(users["root"])


@pytest.fixture
def ada(users: dict[str, User]) -> Client:
    return logged_in(users["ada"])


@pytest.fixture
def search(users: dict[str, User]) -> Team:
    """A team that lea leads and mia is in."""
    team = Team.objects.create(name="Search", slug="search")
    for name, role in (("lea", "inference_admin"), ("mia", "inference_user")):
        users[name] = User.objects.create_user(name, PASSWORD)
        Membership.objects.create(team=team, user=users[name], role=role)
    return team


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def created_key(response: Any) -> str:
    found = re.search(r'<pre id="encoded"[^>]*>(\S+)</pre>', text(response))
    assert found, text(response)
    return found[1]


def key_form(**fields: Any) -> dict[str, Any]:
    return {"name": "app", "rights": "all", "lasts": "never"} | fields


def endpoint(inference_id: str, team: Team | None = None) -> str:
    Endpoint.objects.create(inference_id=inference_id, service="echo", task_type="completion", team=team)
    return inference_id


@pytest.mark.parametrize("name", ["root", "ada"])
def test_a_created_key_is_shown_once_and_works(users: dict[str, User], call: Call, name: str) -> None:
    client = logged_in(users[name])
    response = client.post(f"{KEYS}add/", key_form())
    key = created_key(response)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert call("GET", WHO, key=key).json()["username"] == name
    row = ApiKey.objects.get()
    assert (row.owner, row.created_by) == (users[name], users[name])
    for path in (KEYS, f"{KEYS}{row.id}/change/", f"{KEYS}{row.id}/history/", "/admin/"):
        page = client.get(path)
        assert page.status_code == 200
        assert key not in text(page)


def test_the_secret_is_in_no_cookie_no_session_and_no_log(users: dict[str, User], root: Client) -> None:
    key = created_key(root.post(f"{KEYS}add/", key_form()))
    assert all(key not in morsel.value for morsel in root.cookies.values())
    assert all(key not in str(session.get_decoded()) for session in Session.objects.all())
    entry = LogEntry.objects.get()
    assert entry.object_repr == str(ApiKey.objects.get())
    assert key not in entry.change_message
    assert ApiKey.objects.get().last_four not in entry.object_repr + entry.change_message


def test_what_is_to_be_pasted_names_an_endpoint_that_the_key_reaches(search: Team, users: dict[str, User]) -> None:
    endpoint("a-shared-one")
    own = endpoint("own", search)
    response = logged_in(users["lea"]).post(f"{KEYS}add/", key_form(team=search.pk, rights="inference_user"))
    examples = re.findall(r'<pre id="example-\w+"[^>]*>(.*?)</pre>', text(response), re.DOTALL)
    assert len(examples) == 3
    key = created_key(response)
    assert all(key in example and f"/_inference/completion/{own}/_stream" in example for example in examples)


def test_a_superuser_makes_a_key_for_another(users: dict[str, User], root: Client) -> None:
    root.post(f"{KEYS}add/", key_form(owner=str(users["bob"].pk)))
    row = ApiKey.objects.get()
    assert (row.owner, row.created_by) == (users["bob"], users["root"])


def test_an_inference_admin_makes_keys_for_himself_only(users: dict[str, User], ada: Client, search: Team) -> None:
    ada.post(f"{KEYS}add/", key_form(owner=str(users["root"].pk), team=search.pk))
    assert ApiKey.objects.get().owner == users["ada"]


@pytest.mark.parametrize(
    ("rights", "privilege"), [("inference_user", "monitor_inference"), ("inference_admin", "manage_inference")]
)
def test_a_key_of_a_user_is_narrowed_to_a_role(ada: Client, call: Call, rights: str, privilege: str) -> None:
    key = created_key(ada.post(f"{KEYS}add/", key_form(rights=rights)))
    caller = ApiKey.objects.get().caller
    assert privilege in caller.privileges
    assert ("manage_inference" in caller.privileges) == (rights == "inference_admin")
    assert call("POST", "/_security/api_key", {"name": "x"}, key=key).status_code == 403


def test_a_key_is_limited_to_the_endpoints_that_were_picked(ada: Client) -> None:
    ids = [endpoint("one"), endpoint("two")]
    endpoint("three")
    ada.post(f"{KEYS}add/", key_form(inference_ids=ids))
    assert ApiKey.objects.get().caller.inference_ids == {"one", "two"}


def test_nobody_picks_or_sees_an_endpoint_that_does_not_exist_for_him(search: Team, users: dict[str, User]) -> None:
    endpoint("concealed", Team.objects.create(name="Other", slug="other"))
    endpoint("own", search)
    lea = logged_in(users["lea"])
    page = text(lea.get(f"{KEYS}add/"))
    assert "own (echo)" in page
    assert "concealed" not in page
    answers = [
        text(lea.post(f"{KEYS}add/", key_form(inference_ids=[name]))).replace(name, "")
        for name in ("concealed", "absent")
    ]
    assert [re.findall(r"Select a valid choice[^<]*", answer) for answer in answers] == [
        ["Select a valid choice.  is not one of the available choices."]
    ] * 2
    assert not ApiKey.objects.exists()


def test_a_superuser_writes_role_descriptors(users: dict[str, User], root: Client) -> None:
    form = key_form(rights="described", role_descriptors='{"r": {"cluster": ["monitor"]}}', metadata='{"app": 1}')
    created_key(root.post(f"{KEYS}add/", form))
    assert ApiKey.objects.get().role_descriptors["r"]["cluster"] == ["monitor"]
    assert ApiKey.objects.get().metadata == {"app": 1}


@pytest.mark.parametrize(("lasts", "days"), [("30", 30), ("90", 90), ("365", 365), ("never", None), ("date", 5)])
def test_a_key_lasts_as_long_as_was_chosen(ada: Client, lasts: str, days: int | None) -> None:
    then = timezone.now() + timedelta(days=5)
    typed = {"expires_at_0": f"{then:%Y-%m-%d}", "expires_at_1": f"{then:%H:%M:%S}"}
    ada.post(f"{KEYS}add/", key_form(lasts=lasts, **typed))
    expires_at = ApiKey.objects.get().expires_at
    if days is None:
        assert expires_at is None
    else:
        assert expires_at is not None
        assert abs(expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "_x"}, "api key name may not begin with an underscore"),
        ({"name": ""}, "This field is required."),
        ({"rights": ""}, "This field is required."),
        ({"rights": "described", "role_descriptors": "[]"}, "Give an object."),
        ({"rights": "described", "role_descriptors": "{"}, "Enter a valid JSON."),
        ({"rights": "described", "role_descriptors": '{"r": {"cluster": ["fly"]}}'}, "unknown cluster privilege [fly]"),
        ({"rights": "described", "role_descriptors": '{"r": 1}'}, "failed to parse role [r]. expected an object"),
        ({"rights": "described"}, "Say what the key may do."),
        ({"role_descriptors": '{"r": {}}'}, "They count only where the key may do what they say."),
        ({"inference_ids": ["absent"]}, "absent is not one of the available choices"),
        ({"inference_ids": ["a\0b"]}, "is not one of the available choices"),
        ({"metadata": '{"_a": 1}'}, "API key metadata keys may not start with [_]"),
        ({"lasts": "date", "expires_at_0": "2001-01-01", "expires_at_1": "00:00"}, "This is in the past."),
        ({"lasts": "date"}, "Say when it expires."),
        ({"lasts": "-1"}, "-1 is not one of the available choices"),
    ],
)
def test_a_wrong_key_is_told_beside_its_field(root: Client, fields: dict[str, Any], problem: str) -> None:
    assert problem in text(root.post(f"{KEYS}add/", key_form(**fields)))
    assert not ApiKey.objects.exists()


def test_raw_descriptors_are_for_superusers(ada: Client) -> None:
    assert "role_descriptors" not in text(ada.get(f"{KEYS}add/"))
    ada.post(f"{KEYS}add/", key_form(rights="inference_user", role_descriptors='{"r": {"cluster": ["all"]}}'))
    assert list(ApiKey.objects.get().role_descriptors) == ["inference_user"]


def test_a_lead_makes_a_key_of_his_team(search: Team, users: dict[str, User], call: Call) -> None:
    endpoint("own", search)
    lea = logged_in(users["lea"])
    form = key_form(team=search.pk, rights="inference_user", inference_ids=["own"])
    key = created_key(lea.post(f"{KEYS}add/", form))
    row = ApiKey.objects.get()
    assert (row.owner, row.team, row.team_role, row.created_by) == (None, search, "inference_user", users["lea"])
    assert row.role_descriptors == {}
    assert call("GET", "/_inference/own", key=key).status_code == 200
    assert "team search" in text(lea.get(KEYS))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"rights": "all"}, "A key of a team has a role in it"),
        ({"inference_ids": ["shared-one"]}, "A key of a team reaches the team's endpoints alone, not [shared-one]."),
        ({"owner": "1"}, "A key belongs to a user or to a team, not to both."),
    ],
)
def test_a_wrong_key_of_a_team_is_told_beside_its_field(
    search: Team, users: dict[str, User], root: Client, fields: dict[str, Any], problem: str
) -> None:
    endpoint("shared-one")
    fields = {name: str(users["bob"].pk) if name == "owner" else value for name, value in fields.items()}
    response = root.post(f"{KEYS}add/", key_form(team=search.pk, **{"rights": "inference_user", **fields}))
    assert problem in text(response)
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("name", ["mia", "ada"])
def test_who_does_not_lead_a_team_neither_makes_nor_sees_its_keys(
    search: Team, users: dict[str, User], name: str
) -> None:
    issued = keys.create(name="of the team", team_id=search.pk, team_role="inference_user")
    client = logged_in(users[name])
    assert 'name="team"' not in text(client.get(f"{KEYS}add/"))
    client.post(f"{KEYS}add/", key_form(team=search.pk, rights="inference_admin"))
    assert list(search.api_keys.all()) == [issued.key]
    assert issued.key.id not in text(client.get(KEYS))
    for page in ("change", "rotate", "revoke", "history"):
        assert client.get(f"{KEYS}{issued.key.id}/{page}/").status_code in (302, 403)


def test_an_inference_admin_sees_his_own_keys(users: dict[str, User], ada: Client, root: Client) -> None:
    for user in users.values():
        new_key(user)
    ids = {key.holder: key.id for key in ApiKey.objects.all()}
    shown = text(ada.get(KEYS))
    assert [name for name, key_id in ids.items() if key_id in shown] == ["ada"]
    assert all(key_id in text(root.get(KEYS)) for key_id in ids.values())


@pytest.mark.parametrize("page", ["change", "delete", "history", "rotate", "revoke"])
def test_an_inference_admin_does_not_reach_the_key_of_another(users: dict[str, User], ada: Client, page: str) -> None:
    new_key(users["root"])
    path = f"{KEYS}{ApiKey.objects.get().id}/{page}/"
    assert ada.get(path).status_code in (302, 403)
    form = {"name": "stolen", "post": "yes", "understood": "on", "hours": "0"}
    assert ada.post(path, form).status_code in (302, 403)
    row = ApiKey.objects.get()
    assert (row.name, row.invalidated_at, row.expires_at) == ("test", None, None)


@pytest.mark.parametrize("hours", [0, 1, 24, 168])
def test_a_key_is_rotated_and_the_old_one_works_on_for_a_while(
    users: dict[str, User], ada: Client, call: Call, hours: int
) -> None:
    given = {"inference_user": {"cluster": ["monitor_inference"]}}
    old = new_key(users["ada"], role_descriptors=given, inference_ids=["one"], metadata={"a": 1})
    row = ApiKey.objects.get()
    assert call("GET", WHO, key=old).status_code == 200
    new = created_key(ada.post(f"{KEYS}{row.id}/rotate/", {"hours": str(hours)}))
    other = ApiKey.objects.exclude(pk=row.pk).get()
    for name in ("name", "owner", "team", "team_role", "role_descriptors", "inference_ids", "metadata", "expires_at"):
        assert getattr(other, name) == getattr(row, name)
    assert call("GET", WHO, key=new).status_code == 200
    assert call("GET", WHO, key=old).status_code == (200 if hours else 401)
    row.refresh_from_db()
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - timedelta(hours=hours)) < timedelta(minutes=2)


def test_rotating_gives_the_old_lifetime_anew_and_lengthens_none(users: dict[str, User], ada: Client) -> None:
    made, end = timezone.now() - timedelta(days=29), timezone.now() + timedelta(days=1)
    row = ApiKey.objects.create(name="x", owner=users["ada"], digest=b"", created_at=made, expires_at=end)
    created_key(ada.post(f"{KEYS}{row.id}/rotate/", {"hours": "168"}))
    row.refresh_from_db()
    assert row.expires_at == end
    new = ApiKey.objects.exclude(pk=row.pk).get()
    assert new.expires_at is not None
    assert abs(new.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=2)


@pytest.mark.parametrize("facts", [{"invalidated_at": timezone.now()}, {"expires_at": timezone.now()}])
@pytest.mark.parametrize("page", ["rotate", "revoke"])
def test_a_key_that_works_no_more_is_neither_rotated_nor_revoked(
    users: dict[str, User], ada: Client, facts: dict[str, Any], page: str
) -> None:
    row = ApiKey.objects.create(name="x", owner=users["ada"], digest=b"", **facts)
    response = ada.post(f"{KEYS}{row.id}/{page}/", {"hours": "24", "understood": "on"}, follow=True)
    assert "There is no such API key that still works" in text(response)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("where", ["page", "action"])
def test_a_key_is_revoked_with_a_tick_and_not_without(
    users: dict[str, User], ada: Client, call: Call, where: str
) -> None:
    key = new_key(users["ada"])
    row = ApiKey.objects.get()
    path = KEYS if where == "action" else f"{KEYS}{row.id}/revoke/"
    form = {"action": "invalidate", "_selected_action": [row.id]}
    assert "I understand" in text(ada.post(path, form))
    assert call("GET", WHO, key=key).status_code == 200
    assert "Revoked: 1" in text(ada.post(path, {**form, "understood": "on"}, follow=True))
    assert call("GET", WHO, key=key).status_code == 401
    assert LogEntry.objects.get().change_message == "Revoked."


def test_an_inference_admin_revokes_no_key_of_another(users: dict[str, User], ada: Client) -> None:
    new_key(users["root"])
    selected = [ApiKey.objects.get().id]
    ada.post(KEYS, {"action": "invalidate", "_selected_action": selected, "understood": "on"})
    assert ApiKey.objects.get().invalidated_at is None


def test_only_superusers_delete_a_key(users: dict[str, User], ada: Client, root: Client) -> None:
    new_key(users["ada"])
    path = f"{KEYS}{ApiKey.objects.get().id}/delete/"
    assert ada.post(path, {"post": "yes"}).status_code == 403
    assert root.post(path, {"post": "yes"}).status_code == 302
    assert not ApiKey.objects.exists()


def test_a_change_touches_neither_owner_nor_rights_nor_secret(users: dict[str, User], ada: Client, call: Call) -> None:
    given = {"r": {"cluster": ["monitor_inference"]}}
    key = new_key(users["ada"], role_descriptors=given, inference_ids=["gone"])
    row = ApiKey.objects.get()
    form = {"name": "renamed", "inference_ids": ["gone"], "owner": str(users["root"].pk), "rights": "all"}
    form |= {"digest": "x", "id": "y", "last_four": "z", "role_descriptors": "{}"}
    assert ada.post(f"{KEYS}{row.id}/change/", form).status_code == 302
    assert call("GET", WHO, key=key).json()["api_key"]["name"] == "renamed"
    row = ApiKey.objects.get()
    assert (row.owner, row.role_descriptors, row.inference_ids) == (users["ada"], given, ["gone"])


@pytest.mark.parametrize(("state", "name"), [("active", "a"), ("expired", "e"), ("invalidated", "i")])
def test_keys_are_filtered_by_state(users: dict[str, User], root: Client, state: str, name: str) -> None:
    past = timezone.now() - timedelta(days=1)
    for one, facts in (("a", {}), ("e", {"expires_at": past}), ("i", {"invalidated_at": past})):
        ApiKey.objects.create(name=f"key-{one}", owner=users["bob"], digest=b"", **facts)
    shown = text(root.get(f"{KEYS}?state={state}&q=bob"))
    assert [one for one in "aei" if f">key-{one}<" in shown] == [name]


def test_the_list_counts_nothing_and_asks_nothing_for_each_row(
    search: Team, users: dict[str, User], root: Client
) -> None:
    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert root.get(KEYS).status_code == 200
        return [query["sql"] for query in queries]

    of_user = [ApiKey(name=f"u{n}", owner=users["ada"], digest=b"") for n in range(20)]
    ApiKey.objects.bulk_create(of_user[:2])
    few = asked()
    of_team = [ApiKey(name=f"t{n}", team=search, team_role="inference_user", digest=b"") for n in range(20)]
    ApiKey.objects.bulk_create([*of_user[2:], *of_team])
    many = asked()
    assert len(many) == len(few)
    assert len(many) <= 8
    assert [sql for sql in many if "COUNT(" in sql and "access_apikey" in sql] == []


def test_a_hostile_name_is_text(users: dict[str, User], root: Client) -> None:
    name = "<script>alert(1)</script>"
    response = root.post(f"{KEYS}add/", key_form(name=name))
    row = ApiKey.objects.get()
    for page in (response, *(root.get(f"{KEYS}{one}") for one in ("", f"{row.id}/change/", f"{row.id}/revoke/"))):
        assert name not in page.content.decode()
        assert name in text(page)


def test_a_member_without_a_lead_keeps_keys_of_his_own(search: Team, users: dict[str, User], call: Call) -> None:
    key = created_key(logged_in(users["mia"]).post(f"{KEYS}add/", key_form(rights="inference_user")))
    assert call("GET", WHO, key=key).json()["username"] == "mia"
    assert not Group.objects.filter(user=users["mia"]).exists()
