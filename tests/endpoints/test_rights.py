"""Who may manage endpoints, and which endpoints exist for whom."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib.auth.models import Group

from access.models import User
from endpoints.models import Endpoint
from tests.endpoints.api import ECHO, Api, api_of

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
