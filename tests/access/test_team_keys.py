"""API keys of teams: who makes them, what they may do, and that they outlive who made them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from access import keys, teams
from access.models import ApiKey, Membership, Team, User
from endpoints.models import Endpoint
from tests.access.conftest import Call, new_key

URL = "/_gateway/teams/search/api_keys"
KEYS = "/_security/api_key"
ECHO: dict[str, Any] = {"service": "echo", "service_settings": {}}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def search(users: dict[str, User]) -> Team:
    """A team that bob manages and norman is a member of, with an endpoint; `theirs` is an endpoint of another."""
    team, other = teams.put("search"), teams.put("ads")
    teams.set_member(team, "bob", "inference_admin")
    teams.set_member(team, "norman", "inference_user")
    for name, owner in (("ours", team), ("theirs", other), ("shared", None)):
        Endpoint.objects.create(inference_id=name, task_type="completion", service="echo", team=owner)
    return team


def made(call: Call, user: str = "bob", **fields: Any) -> str:
    """Return the `encoded` value of a new key of the team."""
    answer = call("POST", URL, {"name": "app", **fields}, user=user)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["encoded"])


def listed(call: Call, key: str) -> list[str]:
    return [one["inference_id"] for one in call("GET", "/_inference", key=key).json()["endpoints"]]


def test_a_key_is_shown_once_and_works(call: Call) -> None:
    answer = call("POST", f"{URL}/", {"name": "app", "expiration": "90d"}, user="bob").json()
    assert list(answer) == ["id", "name", "expiration", "api_key", "encoded"]
    assert listed(call, answer["encoded"]) == ["ours"]
    assert answer["api_key"] not in call("GET", URL, user="bob").content.decode()


def test_a_key_lives_on_when_who_made_it_leaves(users: dict[str, User], call: Call) -> None:
    key = made(call)
    call("DELETE", "/_gateway/teams/search/members/bob", user="root")
    assert listed(call, key) == ["ours"]
    call("DELETE", "/_security/user/bob", user="root")
    assert not User.objects.filter(username="bob").exists()
    assert listed(call, key) == ["ours"]
    assert ApiKey.objects.get().created_by is None


@pytest.mark.parametrize(
    ("fields", "may_make"), [({}, False), ({"role": "inference_user"}, False), ({"role": "inference_admin"}, True)]
)
def test_a_key_can_do_what_its_role_allows_in_its_team(call: Call, fields: dict[str, str], may_make: bool) -> None:
    key = made(call, **fields)
    assert call("PUT", "/_inference/completion/new", ECHO, key=key).status_code == (200 if may_make else 403)
    if may_make:
        assert Endpoint.objects.get(inference_id="new").team == Team.objects.get(slug="search")
    for other in ("theirs", "shared"):
        assert call("GET", f"/_inference/{other}", key=key).status_code == 404
        update = call("PUT", f"/_inference/{other}/_update", {"task_settings": {}}, key=key)
        assert update.status_code == call("DELETE", f"/_inference/{other}", key=key).status_code
        assert update.status_code == (404 if may_make else 403)


def test_a_key_puts_endpoints_into_no_other_team(call: Call) -> None:
    key = made(call, role="inference_admin")
    for slug in ("ads", "nope"):
        answer = call("PUT", f"/_inference/completion/new?team={slug}", ECHO, key=key)
        assert answer.status_code == 400
        assert answer.json()["error"]["reason"] == f"there is no team [{slug}] whose endpoints you manage"
    assert call("PUT", "/_inference/completion/new?team=search", ECHO, key=key).status_code == 200


def test_a_key_that_is_limited_to_an_endpoint_of_another_team_reaches_none(call: Call) -> None:
    key = made(call, role="inference_admin", inference_ids=["theirs", "ours", "ours"])
    assert ApiKey.objects.get().inference_ids == ["ours", "theirs"]
    assert listed(call, key) == ["ours"]
    theirs, nope = (call("GET", f"/_inference/{one}", key=key) for one in ("theirs", "nope"))
    assert (theirs.status_code, theirs.content.replace(b"theirs", b"nope")) == (404, nope.content)


@pytest.mark.parametrize("role", ["inference_user", "inference_admin"])
def test_a_key_makes_lists_and_invalidates_no_keys(call: Call, role: str) -> None:
    key = made(call, role=role)
    for body in ({"name": "x"}, {"name": "x", "role_descriptors": {"r": {"cluster": []}}}):
        assert call("POST", KEYS, body, key=key).status_code == 403
        assert call("POST", URL, body, key=key).status_code == 403
    for path in (URL, KEYS):
        assert call("GET", path, key=key).status_code == 403
    assert call("DELETE", KEYS, {"owner": True}, key=key).status_code == 403
    assert call("DELETE", f"{URL}/{ApiKey.objects.get().id}", key=key).status_code == 403
    assert ApiKey.objects.filter(invalidated_at=None).count() == 1


def test_the_key_of_a_member_makes_no_key_of_the_team(users: dict[str, User], call: Call) -> None:
    answer = call("POST", URL, {"name": "x"}, key=new_key(users["bob"]))
    assert answer.status_code == 403
    assert "who log in with a password" in answer.json()["error"]["reason"]


@pytest.mark.parametrize(("name", "status"), [("root", 200), ("ada", 403), ("bob", 200), ("norman", 403)])
def test_keys_are_managed_by_the_teams_admins_and_by_superusers(call: Call, name: str, status: int) -> None:
    made(call)
    key_id = ApiKey.objects.get().id
    assert call("GET", URL, user=name).status_code == status
    assert call("POST", URL, {"name": "b"}, user=name).status_code == status
    assert call("DELETE", f"{URL}/{key_id}", user=name).status_code == status
    assert (ApiKey.objects.get(id=key_id).invalidated_at is None) == (status == 403)


def test_an_invalidated_key_is_refused(call: Call) -> None:
    key = made(call)
    assert listed(call, key) == ["ours"]
    assert call("DELETE", f"{URL}/{ApiKey.objects.get().id}", user="bob").json() == {"acknowledged": True}
    assert call("GET", "/_inference", key=key).status_code == 401


@pytest.mark.parametrize("key_id", ["nope", "x" * 20, "%00"])
def test_a_key_that_is_not_the_teams_is_not_found(users: dict[str, User], call: Call, key_id: str) -> None:
    of_bob = keys.create(owner_id=users["bob"].pk, name="own").key
    of_others = keys.create(team_id=Team.objects.get(slug="ads").pk, team_role="inference_user", name="x").key
    for one in (key_id, of_bob.id, of_others.id):
        assert call("DELETE", f"{URL}/{one}", user="bob").status_code == 404
    assert not ApiKey.objects.exclude(invalidated_at=None).exists()


def test_the_security_api_lists_and_invalidates_the_keys_of_teams_one_manages(call: Call) -> None:
    made(call)
    key = ApiKey.objects.get()
    shown = call("GET", f"{KEYS}?with_limited_by", user="bob").json()["api_keys"]
    assert [(one["id"], one["username"], one["team"], one["team_role"]) for one in shown] == [
        (key.id, "team search", "search", "inference_user")
    ]
    assert list(shown[0]["limited_by"][0]) == ["inference_user"]
    assert call("GET", f"{KEYS}?owner", user="bob").json() == {"api_keys": []}
    for name in ("ada", "norman"):
        assert call("GET", KEYS, user=name).json() == {"api_keys": []}
        assert call("DELETE", KEYS, {"ids": [key.id]}, user=name).json()["invalidated_api_keys"] == []
    assert call("DELETE", KEYS, {"owner": True}, user="bob").json()["invalidated_api_keys"] == []
    assert call("DELETE", KEYS, {"ids": [key.id]}, user="bob").json()["invalidated_api_keys"] == [key.id]


def test_a_key_says_whose_it_is(call: Call) -> None:
    answer = call("GET", "/_security/_authenticate", key=made(call)).json()
    assert (answer["username"], answer["roles"]) == ("team search", [])
    assert (answer["authentication_type"], answer["api_key"]["name"]) == ("api_key", "app")


def test_a_refusal_names_the_team(call: Call) -> None:
    answer = call("PUT", "/_inference/completion/x", ECHO, key=made(call))
    reason = f"is unauthorized for API key id [{ApiKey.objects.get().id}] of [team search], this action is granted"
    assert reason in answer.json()["error"]["reason"]


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, ["field [name] is missing"]),
        (
            {"name": "_x", "role": "boss", "expiration": "1", "inference_ids": [1], "owner": "bob"},
            [
                "unknown field [owner], the fields are [name, role, expiration, inference_ids]",
                "failed to parse setting [expiration] with value [1] as a time value: unit is missing or unrecognized",
                "[role] takes one of [inference_user, inference_admin], but got [boss]",
                "[inference_ids] takes ids of 1 to 500 characters",
                "api key name may not begin with an underscore",
            ],
        ),
        ({"name": "x", "inference_ids": ["a"] * 1001}, ["[inference_ids] takes no more than 1000 ids"]),
        ({"name": "x", "inference_ids": []}, ["[inference_ids] names no endpoint; leave it out for all of the team"]),
    ],
)
def test_all_problems_of_a_new_key_are_named(call: Call, body: object, problems: list[str]) -> None:
    answer = call("POST", URL, body, user="bob")
    numbered = "".join(f"{number}: {problem};" for number, problem in enumerate(problems, 1))
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == f"Validation Failed: {numbered}"
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [{"team_role": ""}, {"team_role": "superuser"}, {"owner_id": 1, "team_role": "inference_user"}, {"team_id": None}],
)
def test_no_row_can_be_a_key_without_one_holder_and_one_role(search: Team, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        keys.create(**{"team_id": search.pk, "team_role": "inference_user", **fields}, name="x")


def test_no_row_can_be_a_member_with_a_role_that_is_none(search: Team, users: dict[str, User]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(team=search, user=users["ada"], role="superuser")
