"""Users, roles and API keys in the admin."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from access.models import ApiKey, User
from tests.access.conftest import PASSWORD, Call, new_key

KEYS = "/admin/access/apikey/"
USERS = "/admin/access/user/"
ROLES = "/admin/auth/group/"
WHO = "/_security/_authenticate"
pytestmark = pytest.mark.django_db


@pytest.fixture
def root(users: dict[str, User]) -> Client:
    return logged_in(users["root"])


@pytest.fixture
def ada(users: dict[str, User]) -> Client:
    return logged_in(users["ada"])


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def created_key(response: Any) -> str:
    found = re.search(r'<pre id="encoded">(\S+)</pre>', text(response))
    assert found, text(response)
    return found[1]


def key_form(**fields: str) -> dict[str, str]:
    empty = {"expires_at_0": "", "expires_at_1": "", "role_descriptors": "{}", "inference_ids": "[]", "metadata": "{}"}
    return {"name": "app", **empty, **fields}


def user_form(user: User, **fields: Any) -> dict[str, Any]:
    form = {"username": user.username, "full_name": "", "email": "", "metadata": "{}", "is_active": "on"}
    return form | fields


@pytest.mark.parametrize(("name", "status"), [("root", 200), ("ada", 200), ("bob", 302), ("norman", 302)])
def test_the_admin_opens_for_superusers_and_inference_admins(users: dict[str, User], name: str, status: int) -> None:
    assert logged_in(users[name]).get("/admin/").status_code == status


@pytest.mark.parametrize("path", [USERS, f"{USERS}add/", ROLES, f"{ROLES}add/"])
def test_users_and_roles_are_for_superusers(root: Client, ada: Client, path: str) -> None:
    assert root.get(path).status_code == 200
    assert ada.get(path).status_code == 403
    assert ada.post(path, {}).status_code == 403


def test_an_inference_admin_is_not_shown_what_he_may_not_do(ada: Client) -> None:
    page = text(ada.get("/admin/"))
    assert KEYS in page
    assert USERS not in page
    assert ROLES not in page


@pytest.mark.parametrize("action", ["", "password/", "delete/", "history/"])
def test_an_inference_admin_does_not_reach_a_user(users: dict[str, User], ada: Client, action: str) -> None:
    path = f"{USERS}{users['root'].pk}/{action or 'change/'}"
    assert ada.get(path).status_code == 403
    assert ada.post(path, {"password1": "another", "password2": "another", "post": "yes"}).status_code == 403
    assert User.objects.get(username="root").check_password(PASSWORD)


@pytest.mark.parametrize("name", ["root", "ada"])
def test_a_created_key_is_shown_once_and_works(users: dict[str, User], call: Call, name: str) -> None:
    client = logged_in(users[name])
    response = client.post(f"{KEYS}add/", key_form(owner=str(users[name].pk)))
    key = created_key(response)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert call("GET", WHO, key=key).json()["username"] == name
    row = ApiKey.objects.get()
    assert row.created_by == users[name]
    for path in (KEYS, f"{KEYS}{row.id}/change/", f"{KEYS}{row.id}/history/", "/admin/"):
        assert key not in text(client.get(path))


def test_the_secret_is_in_no_cookie_no_session_and_no_log(users: dict[str, User], root: Client) -> None:
    key = created_key(root.post(f"{KEYS}add/", key_form(owner=str(users["root"].pk))))
    assert all(key not in morsel.value for morsel in root.cookies.values())
    assert all(key not in str(session.get_decoded()) for session in Session.objects.all())
    entry = LogEntry.objects.get()
    assert entry.object_repr == str(ApiKey.objects.get())
    assert key not in entry.change_message
    assert ApiKey.objects.get().last_four not in entry.object_repr + entry.change_message


def test_a_superuser_makes_a_key_for_another(users: dict[str, User], root: Client) -> None:
    root.post(f"{KEYS}add/", key_form(owner=str(users["bob"].pk)))
    row = ApiKey.objects.get()
    assert (row.owner, row.created_by) == (users["bob"], users["root"])


def test_an_inference_admin_makes_keys_for_himself_only(users: dict[str, User], ada: Client) -> None:
    ada.post(f"{KEYS}add/", key_form(owner=str(users["root"].pk)))
    assert ApiKey.objects.get().owner == users["ada"]


def test_a_key_is_narrowed_and_limited(users: dict[str, User], ada: Client, call: Call) -> None:
    form = key_form(role_descriptors='{"r": {"cluster": ["monitor_inference"]}}', inference_ids='["my-chat"]')
    key = created_key(ada.post(f"{KEYS}add/", form))
    caller = ApiKey.objects.get().caller
    assert caller.privileges == {"monitor_inference"}
    assert caller.inference_ids == {"my-chat"}
    assert call("POST", "/_security/api_key", {"name": "x"}, key=key).status_code == 403


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "_x"}, "api key name may not begin with an underscore"),
        ({"name": ""}, "This field is required."),
        ({"role_descriptors": "[]"}, "Give an object."),
        ({"role_descriptors": "{"}, "Enter a valid JSON."),
        ({"role_descriptors": '{"r": {"cluster": ["fly"]}}'}, "unknown cluster privilege [fly]"),
        ({"role_descriptors": '{"r": 1}'}, "failed to parse role [r]. expected an object"),
        ({"inference_ids": '{"a": 1}'}, "Give an array."),
        ({"inference_ids": "[1]"}, "Give an array of inference ids."),
        ({"metadata": '{"_a": 1}'}, "API key metadata keys may not start with [_]"),
        ({"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}, "This is in the past."),
    ],
)
def test_a_wrong_key_is_told_beside_its_field(ada: Client, fields: dict[str, str], problem: str) -> None:
    response = ada.post(f"{KEYS}add/", key_form(**fields))
    assert problem in text(response)
    assert not ApiKey.objects.exists()


def test_an_inference_admin_sees_his_own_keys(users: dict[str, User], ada: Client, root: Client) -> None:
    for user in users.values():
        new_key(user)
    ids = {key.owner.username: key.id for key in ApiKey.objects.all()}
    shown = text(ada.get(KEYS))
    assert [name for name, key_id in ids.items() if key_id in shown] == ["ada"]
    assert all(key_id in text(root.get(KEYS)) for key_id in ids.values())


@pytest.mark.parametrize("action", ["change", "delete", "history"])
def test_an_inference_admin_does_not_reach_the_key_of_another(users: dict[str, User], ada: Client, action: str) -> None:
    new_key(users["root"])
    path = f"{KEYS}{ApiKey.objects.get().id}/{action}/"
    assert ada.get(path).status_code in (302, 403)
    assert ada.post(path, key_form(name="stolen") | {"post": "yes"}).status_code in (302, 403)
    assert ApiKey.objects.get().name == "test"


def test_an_inference_admin_invalidates_but_does_not_delete(users: dict[str, User], ada: Client, call: Call) -> None:
    key = new_key(users["ada"])
    row = ApiKey.objects.get()
    assert ada.post(f"{KEYS}{row.id}/delete/", {"post": "yes"}).status_code == 403
    response = ada.post(KEYS, {"action": "invalidate", "_selected_action": [row.id]}, follow=True)
    assert "Invalidated: 1" in text(response)
    assert call("GET", WHO, key=key).status_code == 401
    assert LogEntry.objects.get().change_message == "Invalidated."


def test_an_inference_admin_invalidates_no_key_of_another(users: dict[str, User], ada: Client) -> None:
    new_key(users["root"])
    ada.post(KEYS, {"action": "invalidate", "_selected_action": [ApiKey.objects.get().id]})
    assert ApiKey.objects.get().invalidated_at is None


def test_a_change_touches_neither_owner_nor_secret(users: dict[str, User], root: Client, call: Call) -> None:
    key = new_key(users["bob"])
    row = ApiKey.objects.get()
    form = key_form(name="renamed", owner=str(users["root"].pk), digest="x", id="y", last_four="z")
    assert root.post(f"{KEYS}{row.id}/change/", form).status_code == 302
    assert call("GET", WHO, key=key).json()["api_key"]["name"] == "renamed"
    assert call("GET", WHO, key=key).json()["username"] == "bob"


@pytest.mark.parametrize(("state", "name"), [("active", "a"), ("expired", "e"), ("invalidated", "i")])
def test_keys_are_filtered_by_state(users: dict[str, User], root: Client, state: str, name: str) -> None:
    past = timezone.now() - timedelta(days=1)
    for one, facts in (("a", {}), ("e", {"expires_at": past}), ("i", {"invalidated_at": past})):
        ApiKey.objects.create(name=f"key-{one}", owner=users["bob"], digest=b"", **facts)
    shown = text(root.get(f"{KEYS}?state={state}&q=bob"))
    assert [one for one in "aei" if f">key-{one}<" in shown] == [name]


def test_a_user_is_made_and_given_a_role(users: dict[str, User], root: Client, call: Call) -> None:
    root.post(f"{USERS}add/", {"username": "eve", "password1": "s3cret!!", "password2": "s3cret!!"})
    eve = User.objects.get(username="eve")
    role = Group.objects.get(name="inference_user")
    response = root.post(f"{USERS}{eve.pk}/change/", user_form(eve, groups=[str(role.pk)]))
    assert response.status_code == 302
    assert User.objects.get(username="eve").caller.roles == ("inference_user",)
    assert "s3cret!!" not in " ".join(entry.change_message + entry.object_repr for entry in LogEntry.objects.all())


@pytest.mark.parametrize("password", ["12345", "other!"])
def test_a_wrong_password_makes_no_user(root: Client, password: str) -> None:
    root.post(f"{USERS}add/", {"username": "eve", "password1": password, "password2": "12345"})
    assert not User.objects.filter(username="eve").exists()


def test_a_password_is_changed(users: dict[str, User], root: Client, call: Call) -> None:
    assert call("GET", WHO, user="bob").status_code == 200
    form = {"password1": "another!", "password2": "another!", "usable_password": "true"}
    response = root.post(f"{USERS}{users['bob'].pk}/password/", form)
    assert response.status_code == 302
    assert call("GET", WHO, user="bob").status_code == 401


@pytest.mark.parametrize("form", [{"is_superuser": ""}, {"is_superuser": "on", "is_active": ""}])
def test_the_last_superuser_is_neither_demoted_nor_disabled(
    users: dict[str, User], root: Client, form: dict[str, str]
) -> None:
    sent = {name: value for name, value in user_form(users["root"], **form).items() if value}
    response = root.post(f"{USERS}{users['root'].pk}/change/", sent | {"metadata": "{}"})
    assert "cannot be deleted, disabled or lose that role" in text(response)
    assert User.objects.filter(is_superuser=True, is_active=True).exists()


@pytest.mark.parametrize("page", ["one", "selected"])
def test_the_last_superuser_is_not_deleted(users: dict[str, User], root: Client, page: str) -> None:
    new_key(users["root"])
    pk = users["root"].pk
    if page == "one":
        root.post(f"{USERS}{pk}/delete/", {"post": "yes"})
    else:
        selected = [user.pk for user in users.values()]
        root.post(USERS, {"action": "delete_selected", "_selected_action": selected, "post": "yes"})
    assert User.objects.count() == 4


def test_another_user_is_deleted_with_his_keys(users: dict[str, User], root: Client, call: Call) -> None:
    key = new_key(users["bob"])
    assert root.post(f"{USERS}{users['bob'].pk}/delete/", {"post": "yes"}).status_code == 302
    assert call("GET", WHO, key=key).status_code == 401


def test_a_role_holds_inference_permissions_only(root: Client) -> None:
    monitor = Permission.objects.get(codename="monitor_inference")
    other = Permission.objects.get(codename="change_group")
    root.post(f"{ROLES}add/", {"name": "wrong", "permissions": [monitor.pk, other.pk]})
    assert not Group.objects.filter(name="wrong").exists()
    root.post(f"{ROLES}add/", {"name": "readers", "permissions": [monitor.pk]})
    assert list(Group.objects.get(name="readers").permissions.all()) == [monitor]


def test_no_group_can_pass_for_the_superuser_role(root: Client) -> None:
    assert "superuser is not a group" in text(root.post(f"{ROLES}add/", {"name": "superuser"}))


def test_a_login_that_failed_ten_times_is_told_to_wait(users: dict[str, User]) -> None:
    client = Client()
    for number in range(10):
        client.post("/admin/login/", {"username": "root", "password": f"guess {number}"})
    response = client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert "Too many failed logins of this user, try again in" in text(response)
    assert client.get("/admin/").status_code == 302
    elsewhere = Client(REMOTE_ADDR="192.0.2.9")
    assert elsewhere.post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302


def test_failures_at_the_admin_and_at_the_api_count_together(users: dict[str, User], call: Call) -> None:
    for number in range(10):
        Client().post("/admin/login/", {"username": "bob", "password": f"guess {number}"})
    assert call("GET", WHO, user="bob").status_code == 429


def test_a_login_opens_the_admin(users: dict[str, User]) -> None:
    client = Client()
    assert client.post("/admin/login/", {"username": "ada", "password": PASSWORD}).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert client.get(WHO).status_code == 401


@pytest.mark.parametrize("username", ["a\0b", "x" * 5000, "é"])
def test_a_name_that_no_user_can_have_is_refused(users: dict[str, User], username: str) -> None:
    response = Client().post("/admin/login/", {"username": username, "password": "x"})
    assert response.status_code == 200
