"""Forms of the admin. They say what the API would say, beside the field that it is about."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import BaseUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.utils import timezone

from access import accounts, descriptors, keys, passwords
from access.addresses import client_address
from access.bodies import strings
from access.models import ApiKey, User
from access.privileges import PERMISSIONS, SUPERUSER
from wire.errors import BadRequest


class LoginForm(AdminAuthenticationForm):
    """Says when to come back, where a name failed too often."""

    def get_invalid_login_error(self) -> ValidationError:
        address = client_address(self.request) if self.request is not None else ""
        login = passwords.Login(self.cleaned_data.get("username", ""), "", address)
        seconds = passwords.failures.seconds_left(login.pair)
        if not seconds:
            return super().get_invalid_login_error()
        return ValidationError(f"Too many failed logins of this user, try again in {seconds} s.", code="too_many")


class NewUserForm(BaseUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("username",)


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("username", "password", "full_name", "email", "is_active", "is_superuser", "groups", "metadata")

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
        label="privileges",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == SUPERUSER:
            raise ValidationError(f"{SUPERUSER} is not a group: it is a property of a user.")
        return name


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ApiKey
        fields = ("name", "owner", "expires_at", "role_descriptors", "inference_ids", "metadata")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        _refuse(keys.name_problems(name))
        return name

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            raise ValidationError("This is in the past.")
        return expires_at

    def clean_role_descriptors(self) -> dict[str, Any]:
        given = _json(self.cleaned_data["role_descriptors"], dict, "an object")
        try:
            parsed = descriptors.parse(given)
        except BadRequest as error:
            raise ValidationError(error.reason) from None
        _refuse(descriptors.problems(parsed))
        return parsed

    def clean_inference_ids(self) -> list[str]:
        ids: list[str] = _json(self.cleaned_data["inference_ids"], list, "an array")
        if not strings(ids):
            raise ValidationError("Give an array of inference ids.")
        return ids

    def clean_metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = _json(self.cleaned_data["metadata"], dict, "an object")
        _refuse(keys.metadata_problems(metadata))
        return metadata


def _json(value: Any, expected: type, name: str) -> Any:
    """Return `value`, an empty one where the field was left empty. Raise ValidationError for another type."""
    if value in (None, ""):
        return expected()
    if not isinstance(value, expected):
        raise ValidationError(f"Give {name}.")
    return value


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValidationError(problems)
