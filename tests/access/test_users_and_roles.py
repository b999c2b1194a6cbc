"""Users and roles as Django keeps them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from access import teams
from access.backends import Backend
from access.models import ApiKey, ConfigVersion, User
from endpoints.models import Endpoint
from tests.access.conftest import PASSWORD, new_key

pytestmark = pytest.mark.django_db


def test_a_new_database_has_the_roles_and_the_version() -> None:
    roles = {group.name: sorted(group.permissions.values_list("codename", flat=True)) for group in Group.objects.all()}
    assert roles == {
        "inference_user": ["monitor_inference"],
        "inference_admin": ["manage_inference", "monitor_inference"],
    }
    assert ConfigVersion.objects.get().pk == 1
    assert Permission.objects.filter(codename="monitor_inference").count() == 1


@pytest.mark.parametrize(
    ("name", "monitor", "manage", "staff"),
    [
        ("root", True, True, True),
        ("ada", True, True, True),
        ("bob", True, False, True),
        ("norman", False, False, False),
    ],
)
def test_rights_come_from_roles(users: dict[str, User], name: str, monitor: bool, manage: bool, staff: bool) -> None:
    user = User.objects.get(username=name)
    assert user.has_perm("access.monitor_inference") is monitor
    assert user.has_perm("access.manage_inference", Endpoint(inference_id="x")) is manage
    assert user.is_staff is staff


def test_a_role_in_a_team_opens_the_admin_and_the_teams_endpoints_alone(users: dict[str, User]) -> None:
    team = teams.put("search")
    teams.set_member(team, "norman", "inference_admin")
    norman = User.objects.get(username="norman")
    assert norman.is_staff
    assert norman.has_perm("access.manage_inference")
    assert norman.has_perm("access.manage_inference", Endpoint(inference_id="x", team=team))
    assert not norman.has_perm("access.manage_inference", Endpoint(inference_id="x"))


def test_a_right_may_be_given_without_a_role(users: dict[str, User]) -> None:
    users["norman"].user_permissions.add(Permission.objects.get(codename="manage_inference"))
    norman = User.objects.get(username="norman")
    assert norman.is_staff
    assert norman.has_perm("access.monitor_inference")


def test_a_disabled_user_has_no_rights(users: dict[str, User]) -> None:
    for name in ("root", "ada"):
        user = User.objects.get(username=name)
        user.is_active = False
        assert not user.has_perm("access.monitor_inference")
        assert not user.caller.privileges


def test_other_permissions_are_djangos_affair(users: dict[str, User]) -> None:
    users["bob"].user_permissions.add(Permission.objects.get(codename="view_group"))
    bob = User.objects.get(username="bob")
    assert bob.has_perm("auth.view_group")
    assert not bob.has_perm("auth.change_group")


def test_the_backend_asks_for_name_and_password(users: dict[str, User]) -> None:
    backend = Backend()
    assert backend.authenticate(None, "bob", PASSWORD) == users["bob"]
    assert backend.authenticate(None, "bob", "wrong") is None
    assert backend.authenticate(None, "nobody", "wrong") is None
    assert backend.authenticate(None, None, PASSWORD) is None
    users["bob"].is_active = False
    users["bob"].save()
    assert backend.authenticate(None, "bob", PASSWORD) is None


def test_createsuperuser_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", username="chief", interactive=False, stdout=StringIO())
    chief = User.objects.get(username="chief")
    assert chief.is_superuser
    assert chief.check_password(PASSWORD)
    assert chief.caller.roles == ("superuser",)


def test_no_secret_is_in_a_text_of_a_key(users: dict[str, User]) -> None:
    new_key(users["bob"])
    key = ApiKey.objects.get()
    assert (str(key), repr(key)) == (f"test ({key.id})", f"<ApiKey test ({key.id})>")
