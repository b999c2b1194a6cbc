"""Endpoints in the admin as a team lead sees them: those of his teams, and nothing of others."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client

from access.models import Membership, Team, User
from endpoints import lifecycle
from endpoints.models import Endpoint

pytestmark = pytest.mark.django_db
LIST = "/admin/endpoints/endpoint/"
NEW = f"{LIST}add/?inference_id=new&service=echo&task_type=completion"
NEVER_USED = "7a3c1d0e-0000-4000-8000-000000000000"


@pytest.fixture
def teams() -> dict[str, Team]:
    """Two teams with an endpoint each, and one that is shared."""
    found = {slug: Team.objects.create(name=slug.title(), slug=slug) for slug in ("search", "support")}
    for name, team in (("of-search", found["search"]), ("of-support", found["support"]), ("shared", None)):
        body = {"service": "echo", "service_settings": {}}
        lifecycle.create(name, "completion", body, team_id=team.pk if team else None)
    return found


def member(team: Team, role: str, name: str = "ada") -> Client:
    user, _ = User.objects.get_or_create(username=name)
    Membership.objects.create(team=team, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lead(teams: dict[str, Team]) -> Client:
    return member(teams["search"], "inference_admin")


def page(inference_id: str, name: str = "change") -> str:
    return f"{LIST}{Endpoint.objects.get(inference_id=inference_id).pk}/{name}/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_a_lead_sees_the_endpoints_and_filters_of_his_teams_alone(lead: Client) -> None:
    response = lead.get(LIST)
    assert [one.inference_id for one in response.context["cl"].result_list] == ["of-search"]
    for word in ("support", "Support", "shared<"):
        assert word not in text(response)
    assert "of-support" not in text(lead.get(f"{LIST}?q=of"))


@pytest.mark.parametrize("name", ["change", "delete", "test", "state"])
def test_what_is_not_his_answers_like_what_never_was(lead: Client, name: str) -> None:
    for inference_id in ("of-support", "shared"):
        for ask in (lead.get, lead.post):
            theirs, never = ask(page(inference_id, name), follow=True), ask(f"{LIST}{NEVER_USED}/{name}/", follow=True)
            assert theirs.redirect_chain == never.redirect_chain == [(LIST, 302)]
            shown = [str(one) for one in theirs.context["messages"]]
            assert shown == [str(one) for one in never.context["messages"]]
            assert shown == ["This inference endpoint does not exist; perhaps it was deleted."]
    assert Endpoint.objects.filter(enabled=True).count() == 3


def test_what_is_not_his_cannot_be_ticked_either(lead: Client) -> None:
    every = [str(pk) for pk in Endpoint.objects.values_list("pk", flat=True)]
    for action in ("disable", "delete_selected"):
        lead.post(LIST, {"action": action, "_selected_action": every, "understood": "on"})
    assert set(Endpoint.objects.filter(enabled=True).values_list("inference_id", flat=True)) == {
        "of-support",
        "shared",
    }


def test_a_lead_puts_endpoints_into_his_teams_alone(lead: Client, teams: dict[str, Team]) -> None:
    choices = lead.get(NEW).context["adminform"].form.fields["team"].choices
    assert [name for _, name in choices] == ["Search"]
    for team in ("", str(teams["support"].pk), "9999"):
        form = lead.post(NEW, {"team": team}).context["adminform"].form
        assert list(form.errors) == ["team"]
    assert lead.post(NEW, {"team": str(teams["search"].pk)}).status_code == 302
    assert Endpoint.objects.get(inference_id="new").team == teams["search"]


def test_a_lead_moves_between_his_own_teams(lead: Client, teams: dict[str, Team]) -> None:
    move = {"action": "move", "_selected_action": [str(Endpoint.objects.get(inference_id="of-search").pk)]}
    refused = lead.post(LIST, {**move, "team": str(teams["support"].pk)})
    assert list(refused.context["form"].errors) == ["team"]
    member(teams["support"], "inference_admin")
    assert "of-search" in text(lead.post(LIST, move))
    assert lead.post(LIST, {**move, "team": str(teams["support"].pk)}).status_code == 302
    assert Endpoint.objects.get(inference_id="of-search").team == teams["support"]


def test_a_member_who_only_uses_reads_what_is_enabled(teams: dict[str, Team]) -> None:
    client = member(teams["search"], "inference_user")
    assert client.get(page("of-search")).context["adminform"].form.fields["enabled"].disabled
    assert client.get(page("of-search", "delete")).status_code == 403
    assert client.get(NEW).status_code == 403
    lifecycle.set_gateway("of-search", {"enabled": False})
    assert client.get(LIST).context["cl"].result_list == []


def test_who_manages_one_team_and_uses_another_changes_only_the_first(teams: dict[str, Team], lead: Client) -> None:
    member(teams["support"], "inference_user")
    both = [str(Endpoint.objects.get(inference_id=name).pk) for name in ("of-search", "of-support")]
    response = lead.post(LIST, {"action": "disable", "_selected_action": both}, follow=True)
    shown = [str(one) for one in response.context["messages"]]
    assert shown == ["You do not manage 1 of these inference endpoints.", "Disabled: 1"]
    assert list(Endpoint.objects.filter(enabled=False).values_list("inference_id", flat=True)) == ["of-search"]
    assert lead.post(page("of-support"), {"team": str(teams["search"].pk)}).status_code == 403
