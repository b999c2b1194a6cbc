"""Teams in the admin: made by superusers, read by their members."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from access.models import ApiKey, Membership, Team, User
from endpoints.models import Endpoint

pytestmark = pytest.mark.django_db
TEAMS = "/admin/access/team/"


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root() -> Client:
    return logged_in(User.objects.create_user("root", is_superuser=True))


@pytest.fixture
def search() -> Team:
    return Team.objects.create(name="Search", slug="search", description="Finds")


def form(*members: dict[str, str], **fields: str) -> dict[str, str]:
    numbers = {
        "TOTAL": len(members),
        "INITIAL": sum(bool(one.get("id")) for one in members),
        "MIN_NUM": 0,
        "MAX_NUM": 9,
    }
    data = {f"memberships-{name}_FORMS": str(number) for name, number in numbers.items()}
    for number, one in enumerate(members):
        data |= {f"memberships-{number}-{name}": value for name, value in one.items()}
    return {"name": "Search", "slug": "search", "description": "", **data, **fields}


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_a_superuser_makes_a_team_with_members(root: Client) -> None:
    ada = User.objects.create_user("ada")
    member = {"user": str(ada.pk), "role": "inference_admin"}
    assert root.post(f"{TEAMS}add/", form(member)).status_code == 302
    membership = Membership.objects.get()
    assert (membership.team.slug, membership.user, membership.role) == ("search", ada, "inference_admin")
    assert User.objects.get(username="ada").is_staff


@pytest.mark.parametrize(("field", "value"), [("slug", "No Slug"), ("name", ""), ("name", "a\x07b")])
def test_what_the_api_refuses_is_refused_here(root: Client, field: str, value: str) -> None:
    assert root.post(f"{TEAMS}add/", form(**{field: value})).status_code == 200
    assert not Team.objects.exists()


def test_the_slug_of_a_team_stays(root: Client, search: Team) -> None:
    page = f"{TEAMS}{search.pk}/change/"
    assert root.post(page, form(slug="other", name="Found")).status_code == 302
    search.refresh_from_db()
    assert (search.slug, search.name) == ("search", "Found")


def test_counts_in_the_list_do_not_multiply_one_another(root: Client, search: Team) -> None:
    for name in ("ada", "bob", "carol"):
        Membership.objects.create(team=search, user=User.objects.create_user(name))
    row = root.get(TEAMS).context["cl"].result_list[0]
    assert (row.members_counted, row.endpoints_counted, row.keys_counted) == (3, 0, 0)


@pytest.mark.parametrize("role", ["inference_user", "inference_admin"])
def test_a_member_reads_his_team_and_changes_nothing(search: Team, role: str) -> None:
    other = Team.objects.create(name="Support", slug="support")
    ada = User.objects.create_user("ada")
    Membership.objects.create(team=search, user=ada, role=role)
    client = logged_in(ada)
    assert [team.slug for team in client.get(TEAMS).context["cl"].result_list] == ["search"]
    shown = text(client.get(f"{TEAMS}{search.pk}/change/"))
    assert re.search(r">\s*ada\s*<", shown)
    assert "/admin/access/user/" not in shown
    assert 'name="_save"' not in shown
    assert client.post(f"{TEAMS}{search.pk}/change/", form(name="Mine")).status_code == 403
    for path in (f"{TEAMS}add/", f"{TEAMS}{search.pk}/delete/"):
        assert client.get(path).status_code == 403
        assert client.post(path, form()).status_code == 403
    theirs, never = (client.get(f"{TEAMS}{pk}/change/", follow=True) for pk in (other.pk, 9999))
    assert theirs.redirect_chain == never.redirect_chain
    search.refresh_from_db()
    assert search.name == "Search"


def test_who_is_in_no_team_is_not_shown_any(search: Team) -> None:
    ada = User.objects.create_user("ada")
    Membership.objects.create(team=Team.objects.create(name="Support", slug="support"), user=ada)
    Membership.objects.all().delete()
    assert logged_in(ada).get(TEAMS).status_code == 302


def test_a_superuser_finds_the_page_before_there_is_a_team(root: Client) -> None:
    assert TEAMS in text(root.get("/admin/"))
    assert root.get(TEAMS).status_code == 200


def test_a_delete_names_what_goes_with_the_team_in_numbers(root: Client, search: Team) -> None:
    ApiKey.objects.bulk_create(
        ApiKey(name=f"key {n}", team=search, team_role="inference_user", digest=bytes([n])) for n in range(30)
    )
    page = text(root.get(f"{TEAMS}{search.pk}/delete/"))
    assert "API keys: 30" in page
    assert "key 7" not in page
    assert root.post(f"{TEAMS}{search.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ApiKey.objects.exists()


def test_a_team_with_endpoints_is_not_deleted_and_they_are_named(root: Client, search: Team) -> None:
    Endpoint.objects.create(inference_id="own", service="echo", task_type="completion", team=search)
    for _ in range(2):
        page = text(root.post(f"{TEAMS}{search.pk}/delete/", {"post": "yes"}))
        assert "own: delete it, or move it to another team, first" in page
    root.post(TEAMS, {"action": "delete_selected", "_selected_action": [search.pk], "post": "yes"})
    assert Team.objects.exists()
