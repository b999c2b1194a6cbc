"""What belongs to another team is, on every page of the admin, byte for byte like what never was.

The pages are those of the admin's addresses; a model, a list or an action that comes to be is asked about by itself.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from access import actors, keys
from access.key_ids import new_key_id
from access.models import ApiKey, Membership, Team, User
from endpoints import lifecycle
from endpoints.models import Change, Endpoint

pytestmark = pytest.mark.django_db
ECHO: dict[str, Any] = {"service": "echo", "service_settings": {}}
ENDPOINTS = "/admin/endpoints/endpoint/"
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
# They say themselves when they were made.
_CHANGING_HEADERS = ("Set-Cookie", "Expires", "Last-Modified", "Content-Length")
# Ids that are found in no other text of a page.
_TEAM, _USER, _GROUP, _CHANGES = 700_001, 700_002, 700_003, 700_100


@dataclass
class Strangers:
    """A client, and by model what another team has, as it would be named in an address, with what nobody ever had."""

    client: Client
    theirs: dict[str, str]
    never: dict[str, str]
    names: list[tuple[str, str]] = field(default_factory=list)
    """Words that are in what the other team has, each with one that nothing has."""

    def assert_alike(self, method: str, *asked: tuple[str, dict[str, Any]], hidden: tuple[str, str]) -> None:
        """Ask for the first and for the second, follow where they lead, and compare all but the names in `hidden`."""
        first, second = (
            self._answer(method, path, data, name) for (path, data), name in zip(asked, hidden, strict=True)
        )
        assert first == second, asked[0]

    def assert_pages_alike(self, path: str, parameter: str, hidden: tuple[str, str], **more: str) -> None:
        """Open a page with one word in its query, and with the other."""
        first, second = (f"{path}?{urlencode({**more, parameter: word})}" for word in hidden)
        self.assert_alike("GET", (first, {}), (second, {}), hidden=hidden)

    def _answer(self, method: str, path: str, data: dict[str, Any], name: str) -> list[Any]:
        answers = []
        response: Any = self.client.generic(method, path, urlencode(data, doseq=True), _FORM)
        for _ in range(2):
            answers.append((response.status_code, _headers(response, name), _body(response, name)))
            if not response.has_header("Location"):
                return answers
            response = self.client.get(response["Location"])
        return answers


_FORM = "application/x-www-form-urlencoded"
# All that any page wants to be told before it does something.
EVERYTHING = {
    "understood": "on",
    "post": "yes",
    "hours": "0",
    "state": "disabled",
    "team": "",
    "name": "stolen",
    "asked": "yes",
}


def _headers(response: Any, name: str) -> dict[str, str]:
    return {key: _without(value, name) for key, value in response.headers.items() if key not in _CHANGING_HEADERS}


def _body(response: Any, name: str) -> str:
    return _without(_TOKEN.sub("", response.content.decode()), name)


def _without(text: str, name: str) -> str:
    for spelling in (quote(name), quote_plus(name), name):
        text = text.replace(spelling, "NAME")
    return text


@pytest.fixture(params=["lead", "member", "user"])
def strangers(request: pytest.FixtureRequest) -> Strangers:
    """Somebody of the team Search, or somebody who may only use what is shared; all else is of the team Support."""
    teams = {"search": Team.objects.create(name="Search", slug="search")}
    teams["support"] = Team.objects.create(pk=_TEAM, name="Support", slug="support")
    for name, team in (("of-search", teams["search"]), ("of-support", teams["support"]), ("shared", None)):
        lifecycle.create(name, "completion", ECHO, team_id=team.pk if team else None)
    lifecycle.set_gateway("of-support", {"total_seconds": 5.0}, by=actors.of_command("nightly"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE endpoints_change SET id = id + %s", [_CHANGES])
    User.objects.create_user("lea")
    User.objects.create_user("udo", pk=_USER, full_name="udo-example")
    _give_role(User.objects.get(username="lea"), teams["search"], request.param)
    Membership.objects.create(team=teams["support"], user=User.objects.get(username="udo"), role="inference_admin")
    key = keys.create(
        name="support-key", team_id=teams["support"].pk, team_role="inference_user", inference_ids=["of-support"]
    ).key
    client = Client()
    client.force_login(User.objects.get(username="lea"))
    theirs = {
        "endpoints/endpoint": Endpoint.objects.get(inference_id="of-support").pk,
        "endpoints/change": Change.objects.filter(inference_id="of-support").first().pk,  # type: ignore[union-attr]
        "access/apikey": key.pk,
        "access/team": teams["support"].pk,
        "access/user": User.objects.get(username="udo").pk,
        "auth/group": Group.objects.create(pk=_GROUP, name="supporters").pk,
    }
    numbers = itertools.count(987_654)
    never = {model: _never(pk, numbers) for model, pk in theirs.items()}
    names = [
        ("of-support", "of-nothing"), ("support", "nothing"), ("support-key", "nothing-key"),
        ("udo-example", "nix-example"), (key.pk, new_key_id()), ("nightly", "daily"),
    ]  # fmt: skip
    return Strangers(client, {model: str(pk) for model, pk in theirs.items()}, never, names)


def _give_role(user: User, team: Team, role: str) -> None:
    if role == "user":
        user.groups.set(Group.objects.filter(name="inference_user"))
    else:
        Membership.objects.create(team=team, user=user, role="inference_admin" if role == "lead" else "inference_user")


def _never(pk: Any, numbers: Iterator[int]) -> str:
    """Return an id of the kind of `pk` that was never given out."""
    if isinstance(pk, uuid.UUID):
        return str(uuid.uuid4())
    return new_key_id() if isinstance(pk, str) else str(next(numbers))


def addresses(patterns: list[Any] | None = None, before: str = "/") -> Iterator[str]:
    """Yield all addresses of the gateway, with their arguments as they are declared."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern):
            yield address


def of_objects() -> list[str]:
    """Return the admin's addresses that name an object."""
    found = [one for one in addresses() if one.startswith("/admin/") and _ARGUMENT.search(one)]
    return sorted(one for one in found if not one.startswith(("/admin/^", "/admin/(")))


def _label(model: Any) -> str:
    return f"{model._meta.app_label}/{model._meta.model_name}"


def rows() -> list[Any]:
    """Return all that a page could have changed."""
    models: tuple[Any, ...] = (Endpoint, Change, ApiKey, Team, Membership, User, Group)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("address", of_objects())
def test_an_object_of_another_team_is_like_one_that_never_was(strangers: Strangers, address: str) -> None:
    before = rows()
    models = strangers.theirs if address.startswith("/admin/r/") else [address.split("/<")[0].removeprefix("/admin/")]
    for model, method in itertools.product(models, ("GET", "POST")):
        hidden = strangers.theirs[model], strangers.never[model]
        first, second = ((_filled(address, one), EVERYTHING) for one in hidden)
        strangers.assert_alike(method, first, second, hidden=hidden)
    assert rows() == before


def _filled(address: str, value: str) -> str:
    return _ARGUMENT.sub(lambda match: "1" if match[1] == "content_type_id" else value, address)


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.model_name)
def test_a_list_is_searched_and_filtered_as_if_others_had_nothing(strangers: Strangers, model: Any) -> None:
    path = f"/admin/{_label(model)}/"
    for hidden in strangers.names:
        strangers.assert_pages_alike(path, "q", hidden)
    strangers.assert_pages_alike(path, "team", ("support", "nothing"))
    strangers.assert_pages_alike(path, "team__slug__startswith", ("supp", "noth"))
    theirs = model.objects.filter(pk=strangers.theirs[_label(model)])
    for column, value in theirs.values().get().items():
        others = model.objects.exclude(pk__in=theirs.values("pk")).filter(**{column: value})
        # What the own team has too may be found, and choices are on the page for all.
        if isinstance(value, str) and value and not model._meta.get_field(column).choices and not others.exists():
            strangers.assert_pages_alike(path, column, (value, value[::-1]))
    hidden = strangers.theirs["endpoints/endpoint"], strangers.never["endpoints/endpoint"]
    strangers.assert_pages_alike(path, "endpoint_id", hidden)


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.model_name)
def test_an_action_finds_nothing_of_others(strangers: Strangers, model: Any) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("root")
    before, label = rows(), _label(model)
    for action in ["delete_selected", *admin.site._registry[model].get_actions(request)]:
        hidden = strangers.theirs[label], strangers.never[label]
        form = {**EVERYTHING, "action": action}
        first, second = ((f"/admin/{label}/", {**form, "_selected_action": one}) for one in hidden)
        strangers.assert_alike("POST", first, second, hidden=hidden)
    assert rows() == before


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.model_name)
def test_a_pick_list_offers_nothing_of_others(strangers: Strangers, model: Any) -> None:
    for one in model._meta.get_fields():
        names = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": one.name}
        for hidden in strangers.names[:2]:
            strangers.assert_pages_alike("/admin/autocomplete/", "term", hidden, **names)


def test_the_search_of_the_admin_finds_nothing_of_others(strangers: Strangers) -> None:
    for hidden in strangers.names:
        strangers.assert_pages_alike("/admin/search/", "s", hidden)


def test_forms_refuse_what_is_of_others_like_what_never_was(strangers: Strangers) -> None:
    before, own = rows(), str(Endpoint.objects.get(inference_id="of-search").pk)
    key, teams = "/admin/access/apikey/add/", (strangers.theirs["access/team"], strangers.never["access/team"])
    made = {"name": "x", "rights": "inference_user", "lasts": "never"}
    asked: list[tuple[str, dict[str, str], str, tuple[str, str]]] = [
        (f"{ENDPOINTS}add/?inference_id=new&service=echo&task_type=completion", {}, "team", teams),
        (f"{ENDPOINTS}{own}/change/", {}, "team", teams),
        (ENDPOINTS, {"action": "move", "_selected_action": own}, "team", teams),
        (key, made, "inference_ids", strangers.names[0]),
    ]
    if "team" in strangers.client.get(key).context["adminform"].form.fields:
        asked.append((key, made, "team", teams))
    for path, data, name, hidden in asked:
        first, second = ((path, {**data, name: one}) for one in hidden)
        strangers.assert_alike("POST", first, second, hidden=hidden)
    assert rows() == before


def test_nothing_of_another_team_is_named_on_any_page(strangers: Strangers) -> None:
    for address in addresses():
        if not address.startswith("/admin/") or _ARGUMENT.search(address) or "(" in address:
            continue
        shown = strangers.client.get(address, follow=True).content.decode()
        for word in ("of-support", "Support", "support-key", "udo-example", *strangers.theirs.values()):
            if len(word) > 3:
                assert word not in shown, address
