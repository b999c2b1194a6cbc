"""Who may manage endpoints, and which endpoints exist for whom."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group

from access import keys, teams
from access.models import Team, User
from access.privileges import TEAM_ROLES, Caller, expand
from endpoints import catalog, lifecycle
from endpoints.models import Endpoint
from tests.endpoints.api import ECHO, Api, api_of
from wire.errors import StatusError

BODY: dict[str, Any] = {"task_settings": {}}


@pytest.fixture
def bob(db: None) -> str:
    """The Authorization header of an inference_user."""
    user = User.objects.create_user("bob", "correct horse")
    user.groups.set(Group.objects.filter(name="inference_user"))
    return "Basic " + base64.b64encode(b"bob:correct horse").decode()


@pytest.mark.parametrize(
    ("method", "path", "body", "action"),
    [
        ("PUT", "/completion/x", ECHO, "cluster:admin/xpack/inference/put"),
        ("PUT", "/x/_update", BODY, "cluster:admin/xpack/inference/update"),
        ("DELETE", "/x", None, "cluster:admin/xpack/inference/delete"),
    ],
)
def test_a_user_may_read_but_not_manage(
    admin: Api, bob: str, method: str, path: str, body: object, action: str
) -> None:
    admin.put("/completion/x", ECHO)
    answer = admin.call(method, path, body, authorization=bob)
    facts = {
        "type": "security_exception",
        "reason": f"action [{action}] is unauthorized for user [bob] with effective roles [inference_user], "
        "this action is granted by the cluster privileges [manage_inference,manage,all]",
    }
    assert (answer.status, answer.body) == (403, {"error": {"root_cause": [facts], **facts}, "status": 403})
    assert admin.get("/x", authorization=bob).status == 200
    assert admin.get("/_services", authorization=bob).status == 200
    assert Endpoint.objects.get().task_settings == {}


@pytest.mark.parametrize("path", ["", "/_all", "/x", "/_services", "/completion/x"])
def test_without_a_role_nothing_can_be_read(db: None, path: str) -> None:
    answer = api_of("").get(path)
    assert (answer.status, answer.type) == (403, "security_exception")
    assert answer.reason.endswith("[monitor_inference,manage_inference,monitor,manage,all]")


@pytest.mark.parametrize("role", ["inference_admin", "superuser"])
def test_admins_may_do_everything(db: None, role: str) -> None:
    api = api_of(role)
    assert api.put("/completion/x", ECHO).status == 200
    assert api.update("/x", {"service_settings": {"words_per_second": 5}}).status == 200
    assert api.delete("/x").status == 200


def test_without_credentials_nobody_is_told_anything(admin: Api) -> None:
    answer = admin.call("PATCH", "/nope?wrong", b"{", content_type="text/plain", authorization="")
    assert (answer.status, answer.type) == (401, "security_exception")
    assert answer.reason == "missing authentication credentials for REST request [/_inference/nope?wrong]"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/foo/x", "Unknown task_type [foo]"), ("/completion/x?timeout=1", "unit is missing")],
)
def test_path_and_query_are_read_before_rights_are_asked(user: Api, path: str, reason: str) -> None:
    answer = user.put(path, ECHO)
    assert answer.status == 400
    assert reason in answer.reason


@pytest.fixture
def limited(admin: Api) -> Api:
    """An inference_admin's key that reaches the endpoint `mine` only; `other` is there too."""
    for name in ("mine", "other"):
        admin.put(f"/completion/{name}", ECHO)
    return api_of("inference_admin", inference_ids=["mine", "new"])


def test_a_limited_key_sees_its_own_endpoints_only(limited: Api) -> None:
    for path in ("", "/_all", "/completion/_all"):
        assert [one["inference_id"] for one in limited.get(path).body["endpoints"]] == ["mine"]
    assert limited.get("/mine").status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/other", None),
        ("GET", "/completion/other", None),
        # With the wrong task type as well: even that it is there is not told.
        ("GET", "/rerank/other", None),
        ("DELETE", "/other", None),
        ("DELETE", "/other?dry_run", None),
        ("PUT", "/other/_update", {"service_settings": {"words_per_second": 1}}),
    ],
)
def test_for_a_limited_key_the_others_do_not_exist(limited: Api, method: str, path: str, body: object) -> None:
    answer = limited.call(method, path, body)
    nope = limited.call(method, path.replace("other", "nope"), body)
    assert answer.status == 404
    assert (nope.status, nope.text) == (404, answer.text.replace("other", "nope"))
    assert Endpoint.objects.get(inference_id="other").service_settings.get("words_per_second") is None


def test_a_limited_key_makes_and_deletes_only_what_it_reaches(limited: Api) -> None:
    assert limited.put("/completion/new", ECHO).status == 200
    assert limited.delete("/mine").status == 200
    taken, free = limited.put("/completion/other", ECHO), limited.put("/completion/free", ECHO)
    assert (taken.status, free.status) == (403, 403)
    assert taken.reason.replace("[other]", "[free]") == free.reason
    assert not Endpoint.objects.filter(inference_id="free").exists()


@pytest.mark.django_db(transaction=True)
def test_of_what_is_not_there_for_a_caller_no_secret_and_no_provider_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    team = teams.put("search")
    Endpoint.objects.create(inference_id="ours", task_type="completion", service="echo", team=team)
    loaded: list[str] = []
    monkeypatch.setattr(catalog, "_load", lambda inference_id, http: loaded.append(inference_id))
    stranger = Caller(user_id=1, username="x", privileges=expand(["monitor_inference"]))
    member = replace(stranger, teams={team.pk: TEAM_ROLES["inference_user"]})

    async def ask(caller: Caller) -> None:
        try:
            assert await catalog.reached("ours", caller) is None
            assert await catalog.reached("nope", caller) is None
        finally:
            await catalog.close()

    async_to_sync(ask)(stranger)
    assert loaded == []
    async_to_sync(ask)(member)
    assert loaded == ["ours"]


@pytest.fixture
def lead(admin: Api) -> Api:
    """A user who manages the teams `ads` and `search`; there is the team `maps` too."""
    user = User.objects.create_user("lead", "correct horse")
    for slug in ("search", "ads"):
        teams.set_member(teams.put(slug), "lead", "inference_admin")
    teams.put("maps")
    return Api(keys.create(owner_id=user.pk, name="test").encoded)


def test_who_manages_several_teams_says_for_which_an_endpoint_is(lead: Api) -> None:
    answer = lead.put("/completion/x", ECHO)
    assert (answer.status, answer.reason) == (
        400, "the parameter [team] is missing: say in which of your teams the endpoint is to be, [ads, search]",
    )  # fmt: skip
    assert lead.put("/completion/x?team=ads", ECHO).status == 200
    assert Endpoint.objects.select_related("team").get().team == Team.objects.get(slug="ads")


@pytest.mark.parametrize("slug", ["maps", "nope", "", "%00", "A", "x" * 3000])
def test_a_team_of_others_is_none_to_put_an_endpoint_into(lead: Api, slug: str) -> None:
    answer = lead.put(f"/completion/x?team={slug}", ECHO)
    assert (answer.status, answer.type) == (400, "illegal_argument_exception")
    assert answer.reason.startswith("there is no team [")
    assert not Endpoint.objects.exists()


def test_who_manages_all_endpoints_may_put_one_into_any_team(admin: Api, lead: Api) -> None:
    assert admin.put("/completion/x?team=maps", ECHO).status == 200
    assert admin.put("/completion/y", ECHO).status == 200
    assert lead.get().body == {"endpoints": []}
    assert [one["inference_id"] for one in admin.get().body["endpoints"]] == ["x", "y"]


def test_a_disabled_endpoint_is_there_for_its_managers_only(admin: Api, user: Api) -> None:
    admin.put("/completion/x", ECHO)
    assert user.get("/x").status == 200
    Endpoint.objects.update(enabled=False)
    gone, never = user.get("/x"), user.get("/y")
    assert (gone.status, gone.text.replace("[x]", "[y]")) == (404, never.text)
    assert user.get().body == {"endpoints": []}
    assert admin.get("/x").status == 200
    assert admin.update("/x", {"service_settings": {"words_per_second": 5}}).status == 200


def test_an_endpoint_that_was_made_anew_meanwhile_is_left_alone(
    admin: Api, lead: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question who may do it and the deed another team makes an endpoint of the same id."""
    lead.put("/completion/x?team=ads", ECHO)
    judged = Endpoint.objects.get()
    admin.delete("/x")
    admin.put("/completion/x?team=maps", ECHO)
    found = iter([judged])
    named = type(Endpoint.objects).named
    monkeypatch.setattr(
        type(Endpoint.objects), "named", lambda objects, inference_id: next(found, None) or named(objects, inference_id)
    )
    assert lead.delete("/x").status == 404
    found = iter([judged])
    assert lead.update("/x", {"service_settings": {"words_per_second": 5}}).status == 404
    assert Endpoint.objects.get().service_settings.get("words_per_second") is None


@pytest.mark.django_db
def test_an_endpoint_whose_team_was_deleted_meanwhile_is_not_stored() -> None:
    gone = teams.put("search").pk
    teams.delete("search")
    with pytest.raises(StatusError) as refused:
        lifecycle.create("x", "completion", ECHO, team_id=gone)
    assert (refused.value.status, refused.value.reason) == (409, "The team of the new endpoint was deleted meanwhile")
