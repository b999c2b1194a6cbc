"""Forms of the admin. They say what the API would say, beside the field that it is about."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import accounts, passwords, teams
from access.addresses import client_address
from access.models import Membership, Team, User
from access.privileges import PERMISSIONS, SUPERUSER


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Says when to come back, where a name failed too often."""

    def get_invalid_login_error(self) -> ValidationError:
        address = client_address(self.request) if self.request is not None else ""
        login = passwords.Login(self.cleaned_data.get("username", ""), "", address)
        seconds = passwords.failures.seconds_left(login.pair)
        if not seconds:
            wrong: ValidationError = super().get_invalid_login_error()
            return wrong
        return ValidationError(f"Too many failed logins of this user, try again in {seconds} s.", code="too_many")


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ("username",)


class UserForm(UserChangeForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ("username", "password", "full_name", "email", "is_active", "is_superuser", "groups", "metadata")
        labels = {"is_superuser": "Superuser", "groups": "Roles"}
        help_texts = {
            "is_superuser": "May do everything, with all teams.",
            "groups": "They count for shared endpoints; what he may do in a team is said there.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        remains = cleaned.get("is_active") and cleaned.get("is_superuser")
        if not remains and accounts.is_last_superuser([self.instance]):
            raise ValidationError(f"This is not possible: {accounts.NO_SUPERUSER_LEFT}.")
        return cleaned


class PrivilegesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Permission) -> str:
        return f"{obj.codename}: {obj.name}"


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A role is a group with some of the inference permissions."""

    permissions = PrivilegesField(
        Permission.objects.filter(content_type__app_label="access", codename__in=PERMISSIONS),
        label="Privileges",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == SUPERUSER:
            raise ValidationError(f"{SUPERUSER} is not a group: it is a property of a user.")
        return name


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Team
        fields = ("name", "slug", "description")

    def clean(self) -> None:
        # What is missing is said already.
        name, slug = self.cleaned_data.get("name"), self.cleaned_data.get("slug", self.instance.slug)
        if name and slug:
            _refuse(list(teams.problems(slug, name=name)))


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]
    """One line of a team's members; its fields have no labels but the heads of their columns."""

    class Meta:
        model = Membership
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            widget: Any = field.widget
            # The copy of a wrapper has the attributes of what the first one wraps.
            getattr(widget, "widget", widget).attrs["aria-label"] = name.title()
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValidationError(problems)
