"""The first page of the admin: what there is, what runs, what will need care."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from access.models import ApiKey, Membership, Team, User
from endpoints import lifecycle
from endpoints.models import Endpoint
from inference_project import cards
from usage import summary
from usage.summary import Summary, Wait

pytestmark = pytest.mark.django_db


def user(name: str, *roles: str) -> User:
    made = User.objects.create_user(name, is_superuser="superuser" in roles)
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


def home(user: User) -> dict[str, cards.Card]:
    client = Client()
    client.force_login(user)
    response = client.get("/admin/")
    shown = html.unescape(response.content.decode())
    for card in response.context["cards"]:
        assert card.title in shown
        assert card.note in shown
    return {card.title: card for card in response.context["cards"]}


def numbers(card: cards.Card) -> dict[str, str]:
    return {line.name: line.number for line in card.lines}


def make(inference_id: str, **columns: Any) -> None:
    lifecycle.create(inference_id, "completion", {"service": "echo", "service_settings": {}})
    Endpoint.objects.filter(inference_id=inference_id).update(**columns)


def test_endpoints_are_counted_by_state() -> None:
    make("a")
    make("b", enabled=False)
    make("c", service="gone")
    assert numbers(home(user("root", "superuser"))["Inference endpoints"]) == {
        "in all": "3",
        "enabled": "1",
        "disabled": "1",
        "broken": "1",
    }


def test_what_is_empty_says_what_would_be_there() -> None:
    for card in home(user("root", "superuser")).values():
        assert card.lines or card.note


def test_a_member_of_a_team_sees_what_his_team_has_and_no_numbers_of_all() -> None:
    team = Team.objects.create(name="Search", slug="search")
    ada = user("ada")
    Membership.objects.create(team=team, user=ada, role="inference_admin")
    make("theirs", team=team)
    make("shared")
    now = timezone.now()
    owners: list[dict[str, Any]] = [
        {"owner": ada},
        {"team": team, "team_role": "inference_user"},
        {"owner": user("bob")},
    ]
    for number, owner in enumerate(owners):
        ApiKey.objects.create(name=f"key-{number}", digest=bytes([number]), expires_at=now + timedelta(days=9), **owner)
    shown = home(ada)
    assert list(shown) == ["Inference endpoints", "Running now", "API keys that expire soon"]
    assert (shown["Running now"].lines, shown["Running now"].address) == ([], "/admin/live/")
    assert numbers(shown["Inference endpoints"])["in all"] == "1"
    assert list(numbers(shown["API keys that expire soon"])) == ["key-0 of ada", "key-1 of team search"]


def test_keys_that_expire_later_or_have_expired_are_not_named() -> None:
    root = user("root", "superuser")
    for number, days in enumerate((-1, 13, 15)):
        at = timezone.now() + timedelta(days=days)
        ApiKey.objects.create(name=f"in {days}", digest=bytes([number]), owner=root, expires_at=at)
    assert list(numbers(home(root)["API keys that expire soon"])) == ["in 13 of root"]


def test_more_keys_than_fit_lead_to_the_list() -> None:
    root = user("root", "superuser")
    for number in range(9):
        at = timezone.now() + timedelta(days=1, hours=number)
        ApiKey.objects.create(name=f"key-{number}", digest=bytes([number]), owner=root, expires_at=at)
    card = home(root)["API keys that expire soon"]
    assert list(numbers(card)) == [f"key-{number} of root" for number in range(6)]
    assert card.address == "/admin/access/apikey/"


def test_requests_are_shown_with_their_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = [Wait("chat", "openai", None, 3), Wait("text_completion", "echo", 0.32, 7)]
    monkeypatch.setattr(summary, "read", lambda: Summary(5, 1, 2000, 10, 4, waits))
    shown = home(user("ada", "inference_admin"))
    assert numbers(shown["Running now"]) == {"streams": "5", "waiting for a rate limit": "1"}
    assert numbers(shown["Requests since the start"])["failed"] == "10 (0.5%)"
    assert numbers(shown["Slowest first deltas"]) == {"openai, chat": "longer", "echo, text_completion": "≤ 0.32 s"}
