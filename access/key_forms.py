"""The forms of API keys: for a new one, for one that is there, and for one that takes the place of another."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
)

from access import descriptors, keys, teams
from access.models import ROLE_CHOICES, ApiKey, Team, User
from access.privileges import TEAM_ROLES
from wire.errors import BadRequest

_ALL, _DESCRIBED, _ON_A_DATE = "all", "described", "date"
# The privilege that stands for a role in the descriptor of a user's key.
_PRIVILEGES = {"inference_user": "monitor_inference", "inference_admin": "manage_inference"}
_RIGHTS = [
    *((role, f"{role}: {meaning}") for role, meaning in ROLE_CHOICES),
    (_ALL, "all that its owner may do"),
    (_DESCRIBED, "what the role descriptors under “Advanced” say"),
]
_LIFETIMES = [
    ("30", "after 30 days"),
    ("90", "after 90 days"),
    ("365", "after 365 days"),
    ("never", "never"),
    (_ON_A_DATE, "at the time below"),
]
_OVERLAPS = [("0", "at once"), ("1", "in 1 hour"), ("24", "in 24 hours"), ("168", "in 7 days")]
_MOST_NAMED = 5


def _pick_list() -> Any:
    widget = UnfoldAdminSelect2MultipleWidget()
    # By its other class Django's script for autocompletion, which the owner needs, would take it too.
    widget.attrs["class"] = "unfold-admin-autocomplete"
    return widget


class _KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a new key and a stored one have in common. The admin sets `user`, who is signed in."""

    user: User
    inference_ids = forms.MultipleChoiceField(
        label="Inference endpoints",
        required=False,
        widget=_pick_list(),
        help_text="The only endpoints that the key reaches. None chosen: all that its owner, or its team, reaches.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ids: Any = self.fields["inference_ids"]
        ids.choices = _endpoint_choices(self.user, self.instance.inference_ids)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        _refuse(keys.name_problems(name))
        return name

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            raise ValidationError("This is in the past.")
        return expires_at

    def clean_role_descriptors(self) -> dict[str, Any]:
        given = _object(self.cleaned_data["role_descriptors"])
        try:
            parsed = descriptors.parse(given)
        except BadRequest as error:
            raise ValidationError(error.reason) from None
        _refuse(descriptors.problems(parsed))
        return parsed

    def clean_metadata(self) -> dict[str, Any]:
        metadata = _object(self.cleaned_data["metadata"])
        _refuse(keys.metadata_problems(metadata))
        return metadata

    def check_team_reaches(self, team: Team | None) -> None:
        """Refuse endpoints that a key of `team` could not be limited to."""
        ids = self.cleaned_data.get("inference_ids")
        if team is None or not ids:
            return
        own = set(_endpoints().filter(team=team, inference_id__in=ids).values_list("inference_id", flat=True))
        strange = [one for one in ids if one not in own and one not in self.instance.inference_ids]
        if strange:
            named = ", ".join(strange[:_MOST_NAMED])
            self.add_error("inference_ids", f"A key of a team reaches the team's endpoints alone, not [{named}].")


class NewKeyForm(_KeyForm):
    """Whose key it is, what it may do, and how long it lasts: choices in place of what the API takes."""

    rights = forms.ChoiceField(
        label="It may do",
        initial="inference_user",
        widget=UnfoldAdminSelectWidget,
        help_text="Never more than its owner may do at the time, or, for a key of a team, in the team.",
    )
    lasts = forms.ChoiceField(label="Expires", choices=_LIFETIMES, initial="90", widget=UnfoldAdminSelectWidget)
    expires_at = forms.SplitDateTimeField(
        label="Time of expiry",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="In UTC; only where it expires “at the time below”.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "owner", "team", "expires_at", "role_descriptors", "inference_ids", "metadata")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rights: Any = self.fields["rights"]
        rights.choices = [one for one in _RIGHTS if one[0] != _DESCRIBED or "role_descriptors" in self.fields]
        for name in self.fields.keys() & {"owner", "team"}:
            widget: Any = self.fields[name].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        if "owner" in self.fields:
            self.fields["owner"].help_text = "Empty: you, or the team."
        if "team" in self.fields:
            self.fields["team"].help_text = "A key of a team lives on when its members leave. Empty: it is its owner's."

    def clean(self) -> None:
        team = self.cleaned_data.get("team")
        self._set_owner(team)
        self._set_rights(team)
        self.check_team_reaches(team)
        if self.errors:
            return
        self.instance.expires_at = self.cleaned_data["expires_at"] = self._expiry()

    def _set_owner(self, team: Team | None) -> None:
        owner = self.cleaned_data.get("owner")
        if team is not None and owner is not None:
            self.add_error("owner", "A key belongs to a user or to a team, not to both.")
        elif team is None:
            self.instance.owner = self.cleaned_data["owner"] = owner or self.user

    def _set_rights(self, team: Team | None) -> None:
        rights = self.cleaned_data.get("rights")
        described = self.cleaned_data.get("role_descriptors")
        if described and rights != _DESCRIBED:
            self.add_error("role_descriptors", "They count only where the key may do what they say.")
        elif rights == _DESCRIBED and described == {}:
            self.add_error("role_descriptors", "Say what the key may do.")
        elif team is not None and rights not in TEAM_ROLES:
            self.add_error("rights", "A key of a team has a role in it: inference_user or inference_admin.")
        elif team is not None:
            self.instance.team_role = rights
        elif rights in _PRIVILEGES:
            given = {rights: descriptors.describe([_PRIVILEGES[rights]])}
            self.instance.role_descriptors = self.cleaned_data["role_descriptors"] = given

    def _expiry(self) -> datetime | None:
        lasts = self.cleaned_data["lasts"]
        if lasts == _ON_A_DATE:
            given: datetime | None = self.cleaned_data["expires_at"]
            if given is None:
                self.add_error("expires_at", "Say when it expires.")
            return given
        return None if lasts == "never" else timezone.now() + timedelta(days=int(lasts))


class StoredKeyForm(_KeyForm):
    """What of a key may change. Whose it is and what it may do stays, except for superusers."""

    class Meta:
        model = ApiKey
        fields = ("name", "expires_at", "role_descriptors", "inference_ids", "metadata")

    def clean(self) -> None:
        self.check_team_reaches(self.instance.team)


class RotateForm(forms.Form):
    """When the key that is replaced stops working."""

    hours = forms.ChoiceField(
        label="The old key stops working", choices=_OVERLAPS, initial="24", widget=UnfoldAdminSelectWidget
    )

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"]))


def _endpoints() -> Any:
    # Teams and keys know endpoints by their names alone; the table is that of a room above.
    return apps.get_model("endpoints.Endpoint").objects


def _endpoint_choices(user: User, stored: Iterable[str]) -> list[tuple[str, str]]:
    """Return the endpoints that `user` reaches, and those that a key is limited to already."""
    found = _endpoints().filter(teams.reachable(user.caller)).order_by("inference_id")
    choices = {name: f"{name} ({service})" for name, service in found.values_list("inference_id", "service")}
    return list(({name: name for name in stored} | choices).items())


def _object(value: Any) -> dict[str, Any]:
    """Return `value`, an empty object where the field was left empty. Raise ValidationError for another type."""
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise ValidationError("Give an object.")
    return value


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValidationError(problems)
