"""The pages of playground and live streams: what they list for whom, and that nothing in them can become a script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from access.models import Membership, Team, User
from endpoints.models import Endpoint
from tests.gateway import ROOT

PLAYGROUND = "/admin/playground/"
LIVE = "/admin/live/"
SCRIPTS = sorted((ROOT / "streaming" / "static" / "streaming").glob("*.js"))
# What turns text into markup or code.
FORBIDDEN = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(|srcdoc")
pytestmark = pytest.mark.django_db


def browser(role: str = "", team: Team | None = None) -> Client:
    user = User.objects.create_user(f"{role}-{team}", "correct horse", is_superuser=role == "superuser")
    if team is None:
        user.groups.set(Group.objects.filter(name=role))
    else:
        Membership.objects.create(user=user, team=team, role=role)
    client = Client()
    client.force_login(user)
    return client


def make(inference_id: str, task_type: str = "completion", service: str = "echo", **columns: Any) -> None:
    Endpoint.objects.create(inference_id=inference_id, task_type=task_type, service=service, **columns)


def offered(client: Client) -> list[str]:
    page = client.get(PLAYGROUND)
    assert page.status_code == 200
    return re.findall(r'<option value="([^"]+)"', page.content.decode())


def test_the_endpoints_to_pick_are_those_that_the_user_reaches_and_that_stream() -> None:
    search, sales = (Team.objects.create(name=name, slug=name) for name in ("search", "sales"))
    make("shared")
    make("of-search", team=search)
    make("of-sales", team=sales)
    make("disabled", enabled=False)
    make("embeddings", "text_embedding", "openai")
    make("chat", "chat_completion")
    make("unknown", service="no-such-service")
    assert offered(browser("superuser")) == ["of-sales", "of-search", "shared"]
    assert offered(browser("inference_admin")) == ["of-sales", "of-search", "shared"]
    assert offered(browser("inference_user")) == ["shared"]
    assert offered(browser("inference_user", search)) == ["of-search"]
    assert offered(browser("inference_admin", sales)) == ["of-sales"]


def test_without_an_endpoint_the_page_says_what_to_do() -> None:
    assert 'href="/admin/endpoints/endpoint/add/"' in browser("superuser").get(PLAYGROUND).content.decode()
    page = browser("inference_user").get(PLAYGROUND).content.decode()
    assert "Ask whoever manages endpoints for one" in page
    assert "/endpoint/add/" not in page


def test_an_endpoint_can_be_named_in_the_address() -> None:
    make("one")
    make("two")
    page = browser("superuser").get(PLAYGROUND, {"endpoint": "two"}).content.decode()
    assert re.findall(r'<option value="(\w+)" selected', page) == ["two"]


@pytest.mark.parametrize("path", [PLAYGROUND, LIVE])
def test_who_may_use_nothing_is_sent_to_sign_in(path: str) -> None:
    for client in (Client(), browser()):
        assert client.get(path).status_code == 302


@pytest.mark.parametrize("path", [PLAYGROUND, LIVE])
def test_a_page_has_no_inline_script_and_forbids_it(path: str) -> None:
    make("one", team=Team.objects.create(name="<script>alert(1)</script>", slug="x"))
    page = browser("superuser").get(path)
    text = page.content.decode()
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert [script for script in re.findall(r"<script[^>]*>", text) if "src=" not in script] == []
    assert not re.search(r"\son\w+=", text)
    assert "alert(1)<" not in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_comes_from_elsewhere_is_text_in_every_script(path: Any) -> None:
    assert FORBIDDEN.findall(path.read_text()) == []


def test_a_thousand_endpoints_cost_as_many_queries_as_one(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    team = Team.objects.create(name="search", slug="search")
    Endpoint.objects.bulk_create(
        Endpoint(inference_id=f"e{number}", task_type="completion", service="echo", team=team) for number in range(1000)
    )
    client = browser("superuser")
    with django_assert_max_num_queries(12):
        assert len(offered(client)) == 1000
