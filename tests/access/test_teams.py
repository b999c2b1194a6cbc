"""`/_gateway/teams`: teams and their members, and for whom there are which."""

from __future__ import annotations

from typing import Any

import pytest

from access import keys, teams
from access.models import Membership, Team, User
from endpoints.models import Endpoint
from tests.access.conftest import Call, new_key

URL = "/_gateway/teams"
SEARCH = f"{URL}/search"
pytestmark = pytest.mark.django_db


@pytest.fixture
def search(users: dict[str, User]) -> Team:
    """A team that bob manages and norman is a member of; ada and root are in none. There is the team `ads` too."""
    team = teams.put("search", name="Search", description="Finds things.")
    teams.set_member(team, "bob", "inference_admin")
    teams.set_member(team, "norman", "inference_user")
    teams.put("ads")
    return team


def slugs(call: Call, **who: str) -> list[str]:
    return [team["slug"] for team in call("GET", URL, **who).json()["teams"]]


def team_key(team: Team, role: str = "inference_user", **more: Any) -> str:
    return keys.create(name="app", team_id=team.pk, team_role=role, **more).encoded


def test_a_superuser_makes_changes_and_deletes_a_team(users: dict[str, User], call: Call) -> None:
    made = call("PUT", SEARCH, {"name": "Search", "description": "Finds things."}, user="root")
    assert made.status_code == 200
    assert list(made.json()) == ["slug", "name", "description", "creation"]
    assert call("GET", f"{SEARCH}/", user="root").json() == made.json()
    changed = call("PUT", SEARCH, {"name": "Find"}, user="root").json()
    assert (changed["name"], changed["description"]) == ("Find", "Finds things.")
    assert call("DELETE", SEARCH, user="root").json() == {"acknowledged": True}
    assert call("DELETE", SEARCH, user="root").status_code == 404


def test_a_new_team_is_called_by_its_slug_where_nothing_else_is_said(users: dict[str, User], call: Call) -> None:
    made = call("PUT", SEARCH, {}, user="root").json()
    assert (made["name"], made["description"]) == ("search", "")


def test_there_are_a_members_own_teams_for_him_and_all_for_who_manages_all(search: Team, call: Call) -> None:
    assert slugs(call, user="root") == slugs(call, user="ada") == ["ads", "search"]
    assert slugs(call, user="bob") == slugs(call, user="norman") == ["search"]
    assert slugs(call, key=team_key(search)) == ["search"]


def test_a_key_that_is_limited_to_endpoints_is_shown_no_team(search: Team, users: dict[str, User], call: Call) -> None:
    for key in (new_key(users["root"], inference_ids=["x"]), team_key(search, inference_ids=["x"])):
        assert slugs(call, key=key) == []
        assert call("GET", SEARCH, key=key).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/ads", None),
        ("GET", "/ads/members", None),
        ("GET", "/ads/api_keys", None),
        ("POST", "/ads/api_keys", {"name": "x"}),
        ("POST", "/ads/api_keys", {"nonsense": 1}),
        ("DELETE", "/ads/api_keys/x", None),
    ],
)
def test_a_team_of_others_answers_like_one_that_is_not_there(
    search: Team, call: Call, method: str, path: str, body: object
) -> None:
    answer = call(method, URL + path, body, user="bob")
    nope = call(method, URL + path.replace("ads", "nope"), body, user="bob")
    assert answer.status_code == nope.status_code == 404
    assert answer.content.replace(b"ads", b"nope") == nope.content


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/search", {"name": "mine"}),
        ("DELETE", "/search", None),
        ("PUT", "/search/members/ada", {"role": "inference_user"}),
        ("DELETE", "/search/members/norman", None),
    ],
)
@pytest.mark.parametrize("name", ["ada", "bob", "norman"])
def test_teams_and_their_members_are_for_superusers(
    search: Team, call: Call, name: str, method: str, path: str, body: object
) -> None:
    answer = call(method, URL + path, body, user=name)
    assert answer.status_code == 403
    assert answer.json()["error"]["reason"].endswith("is granted by the cluster privileges [manage_security,all]")
    assert (Team.objects.count(), Membership.objects.count()) == (2, 2)


@pytest.mark.parametrize("path", ["", "/search", "/nope"])
def test_without_any_role_there_are_no_teams(users: dict[str, User], call: Call, path: str) -> None:
    assert call("GET", URL + path, user="norman").status_code == 403


def test_members_are_told_to_those_who_manage_the_teams_endpoints(search: Team, call: Call) -> None:
    told = {
        "members": [{"username": "bob", "role": "inference_admin"}, {"username": "norman", "role": "inference_user"}]
    }
    for name in ("root", "ada", "bob"):
        assert call("GET", f"{SEARCH}/members", user=name).json() == told
    assert call("GET", f"{SEARCH}/members", user="norman").status_code == 403


def test_a_member_has_one_role(search: Team, call: Call) -> None:
    path = f"{SEARCH}/members/ada"
    assert call("PUT", path, {"role": "inference_user"}, user="root").json() == {"created": True}
    assert call("PUT", path, {"role": "inference_admin"}, user="root").json() == {"created": False}
    assert search.memberships.get(user__username="ada").role == "inference_admin"
    assert call("DELETE", path, user="root").json() == {"acknowledged": True}
    answer = call("DELETE", path, user="root")
    assert answer.status_code == 404
    assert answer.json()["error"]["reason"] == "User [ada] is no member of team [search]"


@pytest.mark.parametrize(
    ("path", "body", "problems"),
    [
        (
            "/Search_",
            {"name": " ", "description": 1, "colour": "red"},
            [
                "field [description] takes a string, but found [VALUE_NUMBER]",
                "unknown field [colour], the fields are [name, description]",
                "[Search_] cannot be what a team is called. "
                "Use up to 60 lower case letters, digits and hyphens; the first and last a letter or digit.",
                "[name] takes 1 to 100 printable characters, the first and the last no blank",
            ],
        ),
        ("/new", {"name": "x" * 101}, ["[name] takes 1 to 100 printable characters, the first and the last no blank"]),
        ("/new", {"name": "a\nb"}, ["[name] takes 1 to 100 printable characters, the first and the last no blank"]),
        ("/new", {"description": "x" * 2001}, ["[description] takes no more than 2000 characters"]),
        ("/new", {"name": "Search"}, ["another team has the name [Search]"]),
        ("/search/members/ada", {}, ["field [role] is missing"]),
        ("/search/members/ada", {"role": 1}, ["field [role] takes a string, but found [VALUE_NUMBER]"]),
        (
            "/search/members/ada",
            {"role": "boss"},
            ["[role] takes one of [inference_user, inference_admin], but got [boss]"],
        ),
        ("/search/members/nobody", {"role": "inference_user"}, ["there is no user [nobody]"]),
    ],
)
def test_all_problems_are_named(search: Team, call: Call, path: str, body: object, problems: list[str]) -> None:
    answer = call("PUT", URL + path, body, user="root")
    numbered = "".join(f"{number}: {problem};" for number, problem in enumerate(problems, 1))
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == f"Validation Failed: {numbered}"
    assert (Team.objects.count(), Membership.objects.count()) == (2, 2)


@pytest.mark.parametrize("slug", ["%00", "%ff", "a%0A", "x" * 3000, ".."])
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("DELETE", ""), ("DELETE", "/members/%00"), ("PUT", "")])
def test_what_no_team_can_be_called_is_refused(search: Team, call: Call, method: str, slug: str, rest: str) -> None:
    answer = call(method, f"{URL}/{slug}{rest}", {} if method == "PUT" else None, user="root")
    assert answer.status_code == (400 if method == "PUT" else 404)


def test_a_team_with_endpoints_is_not_deleted_and_says_which(search: Team, call: Call) -> None:
    for number in range(12):
        Endpoint.objects.create(inference_id=f"e{number:02}", task_type="completion", service="echo", team=search)
    answer = call("DELETE", SEARCH, user="root")
    assert answer.status_code == 409
    assert answer.json()["error"]["reason"] == (
        "Team [search] has inference endpoints; delete them, or move them to another team, first: "
        "[e00, e01, e02, e03, e04, e05, e06, e07, e08, e09] and 2 more"
    )
    Endpoint.objects.update(team=None)
    assert call("DELETE", SEARCH, user="root").status_code == 200


def test_the_keys_of_a_deleted_team_are_refused(search: Team, call: Call) -> None:
    key = team_key(search)
    assert call("GET", "/_inference", key=key).status_code == 200
    assert call("DELETE", SEARCH, user="root").status_code == 200
    assert call("GET", "/_inference", key=key).status_code == 401


# Within the transaction of a test nothing is remembered.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["api", "role", "set", "user", "team"])
def test_who_leaves_a_team_loses_its_endpoints_at_once(
    search: Team, users: dict[str, User], call: Call, how: str
) -> None:
    Endpoint.objects.create(inference_id="mine", task_type="completion", service="echo", team=search)
    key = new_key(users["norman"])
    assert call("GET", "/_inference/mine", key=key).status_code == 200
    if how == "api":
        call("DELETE", f"{SEARCH}/members/norman", user="root")
    elif how == "role":
        Membership.objects.filter(user=users["norman"]).delete()
    elif how == "set":
        search.members.set([users["bob"]])
    elif how == "user":
        users["norman"].teams.clear()
    else:
        search.members.remove(users["norman"])
    assert call("GET", "/_inference/mine", key=key).status_code == 403
    search.members.add(users["norman"])
    assert call("GET", "/_inference/mine", key=key).status_code == 200


def test_a_role_in_a_team_counts_as_a_privilege_somewhere(search: Team, call: Call) -> None:
    body = {"cluster": ["monitor_inference", "manage_inference", "manage_security"]}
    answer = call("POST", "/_security/user/_has_privileges", body, user="norman").json()
    assert answer["cluster"] == {"manage_inference": False, "manage_security": False, "monitor_inference": True}
    answer = call("POST", "/_security/user/_has_privileges", body, key=team_key(search, "inference_admin")).json()
    assert answer["cluster"] == {"manage_inference": True, "manage_security": False, "monitor_inference": True}


@pytest.mark.parametrize("name", ["root", "ada", "bob", "norman", "guest"])
@pytest.mark.parametrize("narrowed", ["", "monitor_inference", "manage_inference", "manage_own_api_key"])
@pytest.mark.parametrize("inference_ids", [[], ["shared", "search", "ads"]])
def test_a_listing_holds_what_is_reached_one_by_one(
    search: Team, users: dict[str, User], name: str, narrowed: str, inference_ids: list[str]
) -> None:
    User.objects.create_user("guest", "x")
    for slug in ("shared", "search", "ads"):
        team = Team.objects.filter(slug=slug).first()
        for suffix, enabled in (("", True), ("-off", False)):
            Endpoint.objects.create(
                inference_id=slug + suffix, task_type="completion", service="echo", team=team, enabled=enabled
            )
    descriptors = {"r": {"cluster": [narrowed]}} if narrowed else {}
    key = keys.create(
        name="x",
        owner_id=User.objects.get(username=name).pk,
        role_descriptors=descriptors,
        inference_ids=inference_ids,
    ).key
    caller = key.caller
    found = set(Endpoint.objects.filter(teams.reachable(caller)))
    assert found == {one for one in Endpoint.objects.all() if caller.reaches(one)}
