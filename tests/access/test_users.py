"""`/_security/user`: who may keep users, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from access.models import ApiKey, User
from tests.access.conftest import Call, basic, new_key

URL = "/_security/user"
WHO = "/_security/_authenticate"
NAMES_RULE = (
    "User names must be at least 1 and no more than 1024 characters. They can contain alphanumeric characters (a-z, "
    "A-Z, 0-9), spaces, punctuation, and printable symbols in the Basic Latin (ASCII) block. Leading or trailing "
    "whitespace is not allowed."
)
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_user_is_created_then_updated(users: dict[str, User], call: Call, method: str) -> None:
    body = {"password": "s3cret!", "roles": ["inference_user"], "full_name": "Eve E", "email": "eve@example.org"}
    assert call(method, f"{URL}/eve", body, user="root").json() == {"created": True}
    assert call(method, f"{URL}/eve", body | {"metadata": {"a": 1}}, user="root").json() == {"created": False}
    assert call("GET", f"{URL}/eve", user="root").json() == {
        "eve": {
            "username": "eve",
            "roles": ["inference_user"],
            "full_name": "Eve E",
            "email": "eve@example.org",
            "metadata": {"a": 1},
            "enabled": True,
        }
    }
    assert call("GET", WHO, header=basic("eve", "s3cret!")).status_code == 200


def test_an_update_without_a_password_keeps_it(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/bob", {"roles": []}, user="root")
    assert call("GET", WHO, user="bob").json()["roles"] == []


def test_an_update_with_a_password_ends_the_old_one(users: dict[str, User], call: Call) -> None:
    assert call("GET", WHO, user="bob").status_code == 200
    call("PUT", f"{URL}/bob", {"password": "another", "roles": []}, user="root")
    assert call("GET", WHO, user="bob").status_code == 401
    assert call("GET", WHO, header=basic("bob", "another")).status_code == 200


def test_a_role_that_does_not_exist_is_kept_and_grants_nothing(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/eve", {"password": "s3cret!", "roles": ["nope", "also"]}, user="root")
    assert call("GET", f"{URL}/eve", user="root").json()["eve"]["roles"] == ["also", "nope"]
    response = call("GET", f"{URL}/bob", header=basic("eve", "s3cret!"))
    assert response.json()["error"]["reason"] == (
        "action [cluster:admin/xpack/security/user/get] is unauthorized for user [eve] with effective roles [] "
        "(assigned roles [also,nope] were not found), "
        "this action is granted by the cluster privileges [read_security,manage_security,all]"
    )


def test_a_role_that_comes_to_be_reaches_whom_it_was_assigned_to(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/eve", {"password": "s3cret!", "roles": ["later", "never"]}, user="root")
    Group.objects.create(name="later")
    eve = User.objects.get(username="eve")
    assert (eve.caller.roles, eve.caller.undefined_roles) == (("later",), ("never",))


def test_the_role_superuser_makes_a_superuser(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/bob", {"roles": ["superuser", "inference_user"]}, user="root")
    assert call("GET", f"{URL}/bob", user="bob").json()["bob"]["roles"] == ["inference_user", "superuser"]
    assert call("GET", "/", user="bob").status_code == 200


@pytest.mark.parametrize(
    ("body", "error_type", "reason"),
    [
        ({"password": "s3cret!"}, "action_request_validation_exception", "Validation Failed: 1: roles are missing;"),
        (
            {"roles": []},
            "validation_exception",
            "Validation Failed: 1: password must be specified unless you are updating an existing user;",
        ),
        (
            {"password": "12345", "roles": []},
            "validation_exception",
            "Validation Failed: 1: passwords must be at least [6] characters long;",
        ),
        (
            {"password": "s3cret!", "rolez": []},
            "parse_exception",
            "failed to parse add user request. unexpected field [rolez]",
        ),
        (
            {"password": 1, "roles": []},
            "parse_exception",
            "expected field [password] to be of type string, but found [VALUE_NUMBER] instead",
        ),
        (
            {"password": "s3cret!", "roles": [1]},
            "parse_exception",
            "expected field [roles] to be an array of strings",
        ),
        (
            {"password": "s3cret!", "roles": [], "enabled": "yes"},
            "parse_exception",
            "expected field [enabled] to be of type boolean, but found [VALUE_STRING] instead",
        ),
        (
            {"password": "s3cret!", "roles": [], "metadata": {"_a": 1}, "full_name": "x" * 1025},
            "action_request_validation_exception",
            "Validation Failed: 1: [full_name] may not be more than 1024 characters long;"
            "2: metadata keys may not start with [_];",
        ),
        (
            {"password": "s3cret!", "roles": [], "username": "other"},
            "illegal_argument_exception",
            "[username] in source does not match the username provided [eve]",
        ),
    ],
)
def test_a_wrong_user_is_400_and_not_stored(
    users: dict[str, User], call: Call, body: dict[str, Any], error_type: str, reason: str
) -> None:
    response = call("PUT", f"{URL}/eve", body, user="root")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["reason"]) == (400, error_type, reason)
    assert not User.objects.filter(username="eve").exists()


@pytest.mark.parametrize("name", ["%20eve", "eve%20", "%C3%A9ve", "e%00ve", "e" * 1025])
def test_a_wrong_name_is_400(users: dict[str, User], call: Call, name: str) -> None:
    response = call("PUT", f"{URL}/{name}", {"password": "s3cret!", "roles": []}, user="root")
    assert response.status_code == 400
    assert response.json()["error"]["reason"] == f"Validation Failed: 1: {NAMES_RULE};"
    assert call("GET", f"{URL}/{name}", user="root").status_code == 404
    assert call("DELETE", f"{URL}/{name}", user="root").status_code == 404


def test_users_are_listed(users: dict[str, User], call: Call) -> None:
    assert list(call("GET", URL, user="root").json()) == ["ada", "bob", "norman", "root"]
    assert list(call("GET", f"{URL}/bob,ada,nobody", user="root").json()) == ["ada", "bob"]


def test_an_unknown_user_is_404(users: dict[str, User], call: Call) -> None:
    response = call("GET", f"{URL}/nobody", user="root")
    assert (response.status_code, response.json()) == (404, {})


def test_a_deleted_user_is_gone_with_his_keys(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    response = call("DELETE", f"{URL}/bob", user="root")
    assert (response.status_code, response.json()) == (200, {"found": True})
    assert call("GET", WHO, user="bob").status_code == 401
    assert call("GET", WHO, key=key).status_code == 401
    response = call("DELETE", f"{URL}/bob", user="root")
    assert (response.status_code, response.json()) == (404, {"found": False})


def test_a_disabled_user_is_refused_until_enabled(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/bob", {"roles": ["inference_user"], "enabled": False}, user="root")
    assert call("GET", WHO, user="bob").status_code == 401
    call("PUT", f"{URL}/bob", {"roles": ["inference_user"], "enabled": True}, user="root")
    assert call("GET", WHO, user="bob").status_code == 200


@pytest.mark.parametrize(
    "send",
    [
        ("DELETE", f"{URL}/root", None),
        ("PUT", f"{URL}/root", {"roles": []}),
        ("PUT", f"{URL}/root", {"roles": ["superuser"], "enabled": False}),
    ],
)
def test_the_last_superuser_stays(users: dict[str, User], call: Call, send: tuple[str, str, Any]) -> None:
    new_key(users["root"])
    response = call(*send, user="root")
    assert response.status_code == 400
    assert response.json()["error"]["reason"] == (
        "the last enabled user with the role [superuser] cannot be deleted, disabled or lose that role"
    )
    root = User.objects.get(username="root")
    assert (root.is_superuser, root.is_active, ApiKey.objects.count()) == (True, True, 1)


def test_a_superuser_may_go_while_another_stays(users: dict[str, User], call: Call) -> None:
    call("PUT", f"{URL}/bob", {"roles": ["superuser"]}, user="root")
    assert call("DELETE", f"{URL}/root", user="root").json() == {"found": True}


@pytest.mark.parametrize("name", ["ada", "bob", "norman"])
@pytest.mark.parametrize(
    "send",
    [
        ("GET", URL, None),
        ("GET", f"{URL}/root", None),
        ("PUT", f"{URL}/eve", {"password": "s3cret!", "roles": ["superuser"]}),
        ("DELETE", f"{URL}/root", None),
        ("POST", f"{URL}/root/_password", {"password": "s3cret!"}),
    ],
)
def test_users_are_for_superusers(users: dict[str, User], call: Call, name: str, send: tuple[str, str, Any]) -> None:
    response = call(*send, user=name)
    assert (response.status_code, response.json()["error"]["type"]) == (403, "security_exception")
    assert User.objects.count() == 4


@pytest.mark.parametrize("path", ["bob/_password", "_password"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_everyone_changes_his_own_password(users: dict[str, User], call: Call, path: str, method: str) -> None:
    response = call(method, f"{URL}/{path}", {"password": "another"}, user="bob")
    assert (response.status_code, response.json()) == (200, {})
    assert call("GET", WHO, user="bob").status_code == 401
    assert call("GET", WHO, header=basic("bob", "another")).status_code == 200


def test_a_superuser_changes_any_password(users: dict[str, User], call: Call) -> None:
    assert call("POST", f"{URL}/bob/_password", {"password": "another"}, user="root").json() == {}
    assert call("GET", WHO, header=basic("bob", "another")).status_code == 200


def test_a_key_does_not_change_its_owners_password(users: dict[str, User], call: Call) -> None:
    response = call("POST", f"{URL}/_password", {"password": "another"}, key=new_key(users["bob"]))
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        (
            "nobody",
            {"password": "another"},
            "Validation Failed: 1: user must exist in order to change password;",
        ),
        ("bob", {"password": "12345"}, "Validation Failed: 1: passwords must be at least [6] characters long;"),
        ("bob", {}, "Validation Failed: 1: password is missing;"),
        ("bob", {"pass": "x"}, "failed to parse change password request. unexpected field [pass]"),
    ],
)
def test_a_wrong_change_is_400(
    users: dict[str, User], call: Call, name: str, body: dict[str, Any], reason: str
) -> None:
    response = call("POST", f"{URL}/{name}/_password", body, user="root")
    assert (response.status_code, response.json()["error"]["reason"]) == (400, reason)
