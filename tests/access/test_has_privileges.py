"""`/_security/user/_has_privileges`."""

from __future__ import annotations

from typing import Any

import pytest

from access.models import User
from tests.access.conftest import Call

URL = "/_security/user/_has_privileges"
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_user_asks_for_what_he_has(users: dict[str, User], call: Call, method: str) -> None:
    body = {
        "cluster": ["monitor_inference", "manage_inference", "manage_own_api_key"],
        "index": [{"names": ["a", "b"], "privileges": ["read"]}],
        "application": [{"application": "x", "privileges": ["p"], "resources": ["*"]}],
    }
    assert call(method, URL, body, user="bob").json() == {
        "username": "bob",
        "has_all_requested": False,
        "cluster": {"manage_inference": False, "manage_own_api_key": True, "monitor_inference": True},
        "index": {"a": {"read": False}, "b": {"read": False}},
        "application": {"x": {"*": {"p": False}}},
    }


def test_a_superuser_has_everything(users: dict[str, User], call: Call) -> None:
    body = {
        "cluster": ["all", "manage_ml"],
        "index": [{"names": "a", "privileges": "read"}],
        "application": [{"application": "x", "privileges": ["p"], "resources": ["*"]}],
    }
    assert call("POST", URL, body, user="root").json()["has_all_requested"] is True


def test_only_what_was_asked_counts(users: dict[str, User], call: Call) -> None:
    answer = call("POST", URL, {"cluster": ["monitor_inference"]}, user="bob").json()
    assert (answer["has_all_requested"], answer["index"], answer["application"]) == (True, {}, {})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            {},
            "failed to parse privileges check [bob]. All privilege fields [cluster,index,applications] are missing",
        ),
        ({"cluster": []}, "Validation Failed: 1: must specify at least one privilege;"),
        ({"clusters": []}, "failed to parse privileges check [bob]. unexpected field [clusters]"),
        ({"cluster": [1]}, "failed to parse privileges check [bob]. field [cluster] takes an array of strings"),
        ({"index": [1]}, "failed to parse privileges check [bob]. field [names] takes an array of strings"),
        (
            {"index": [{"names": ["a"] * 101, "privileges": ["p"] * 101}]},
            "failed to parse privileges check [bob]. it asks for more than [10000] answers",
        ),
        (
            {"index": [{"names": "a", "privileges": ["p" * 256]}]},
            "failed to parse privileges check [bob]. the name of a privilege is longer than [255] characters",
        ),
        (
            {"application": [{"application": []}]},
            "failed to parse privileges check [bob]. field [application] takes a string",
        ),
    ],
)
def test_a_wrong_question_is_400(users: dict[str, User], call: Call, body: dict[str, Any], reason: str) -> None:
    response = call("POST", URL, body, user="bob")
    assert (response.status_code, response.json()["error"]["reason"]) == (400, reason)


INDEX = {"names": ["a"] * 50, "privileges": ["p"] * 100}
APPLICATION = {"application": "x", "resources": ["a"] * 50, "privileges": ["p"] * 100}
CLUSTER = ["monitor_inference"]


@pytest.mark.parametrize(
    "body",
    [
        {"index": [INDEX, INDEX], "cluster": CLUSTER},
        {"application": [APPLICATION, APPLICATION], "cluster": CLUSTER},
        {"application": [APPLICATION], "applications": [APPLICATION], "cluster": CLUSTER},
        {"index": [INDEX], "applications": [APPLICATION], "cluster": CLUSTER},
    ],
)
def test_the_answers_of_all_entries_are_counted_together(
    users: dict[str, User], call: Call, body: dict[str, Any]
) -> None:
    response = call("POST", URL, body, user="bob")
    reason = "failed to parse privileges check [bob]. it asks for more than [10000] answers"
    assert (response.status_code, response.json()["error"]["reason"]) == (400, reason)
    del body["cluster"]
    assert call("POST", URL, body, user="bob").status_code == 200


def test_an_unknown_privilege_is_400(users: dict[str, User], call: Call) -> None:
    response = call("POST", URL, {"cluster": ["fly"]}, user="bob")
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "illegal_argument_exception")
    assert error["reason"].startswith("unknown cluster privilege [fly]. a privilege must be one of")


def test_a_body_is_required(users: dict[str, User], call: Call) -> None:
    assert call("POST", URL, user="bob").json()["error"]["reason"] == "request body is required"
