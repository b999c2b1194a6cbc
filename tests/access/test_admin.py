"""Users and roles in the admin; API keys are in test_key_admin."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.models import User
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


def user_form(user: User, **fields: Any) -> dict[str, Any]:
    form = {"username": user.username, "full_name": "", "email": "", "metadata": "{}", "is_active": "on"}
    return form | fields


@pytest.mark.parametrize(("name", "status"), [("root", 200), ("ada", 200), ("bob", 200), ("norman", 302)])
def test_the_admin_opens_for_all_who_may_use_an_endpoint(users: dict[str, User], name: str, status: int) -> None:
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


def test_roles_are_called_so_on_their_pages(users: dict[str, User], root: Client) -> None:
    role = Group.objects.get(name="inference_user")
    for path in (ROLES, f"{ROLES}add/", f"{ROLES}{role.pk}/change/", f"{ROLES}{role.pk}/delete/"):
        # The icon of Teams is called `groups`.
        assert not re.search(r"\bGroups?\b|(?:add|delete|change|the) group\b", text(root.get(path)))
    assert "Users who lose it: 1" in text(root.get(f"{ROLES}{role.pk}/delete/"))


def test_what_a_delete_of_a_user_takes_with_it_is_told_in_numbers(users: dict[str, User], root: Client) -> None:
    for _ in range(3):
        new_key(users["bob"])
    page = text(root.get(f"{USERS}{users['bob'].pk}/delete/"))
    assert "API keys: 3" in page
    assert "User_groups" not in page


def test_the_list_of_users_asks_nothing_for_each_row(users: dict[str, User], root: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert root.get(USERS).status_code == 200
        return len(queries)

    few = asked()
    for number in range(10):
        User.objects.create_user(f"user-{number}").groups.set(Group.objects.all())
    assert asked() == few


@pytest.mark.parametrize(("path", "status"), [("nothing/", 404), ("access/user/", 403)])
def test_a_page_that_is_not_there_or_not_for_him_says_so_and_leads_home(ada: Client, path: str, status: int) -> None:
    response = ada.get(f"/admin/{path}")
    assert response.status_code == status
    assert '<a href="/admin/">Home</a>' in text(response)
    assert "<script" not in text(response)


def test_a_form_that_is_too_old_is_told_so(users: dict[str, User]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(users["root"])
    response = client.post(f"{ROLES}add/", {"name": "x"})
    assert response.status_code == 403
    assert "The form was too old" in text(response)
