"""What is the gateway's own of an endpoint, as a part of its form: state, team, time limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from access.models import Team
from access.privileges import Caller
from access.teams import managed_by
from endpoints.fields import choice, yes_or_no
from endpoints.lifecycle import GatewaySettings
from endpoints.models import Endpoint
from endpoints.time_limits import LONGEST_SECONDS, MEANINGS

STATES = [("True", "Enabled"), ("False", "Disabled: whoever asks it does not find it")]
_SHARED = ("", "Shared by all teams")


@dataclass(frozen=True, slots=True)
class Teams:
    """The teams that somebody may put an endpoint into; `shared`: he may also let it have none."""

    choices: Sequence[tuple[str, str]]
    shared: bool

    @classmethod
    def of(cls, caller: Caller) -> Teams:
        """Return those of `caller`, by the rule of `access.teams.of_new_endpoint`."""
        everywhere = "manage_inference" in caller.privileges
        found = Team.objects.all() if everywhere else Team.objects.filter(pk__in=managed_by(caller))
        choices = [(str(pk), name) for pk, name in found.values_list("pk", "name")]
        return cls([_SHARED, *choices] if everywhere else choices, shared=everywhere)

    def field(self, **facts: Any) -> forms.Field:
        help_text = "Who reaches the endpoint: the members of the team, by their roles in it."
        return choice(self.choices, required=not self.shared, help_text=help_text, **facts)


def gateway_fields(teams: Teams, endpoint: Endpoint | None) -> dict[str, forms.Field]:
    """Return the fields by name, with what `endpoint` has, or a new one would have."""
    team_id = None if endpoint is None else endpoint.team_id
    limits = {name: None if endpoint is None else getattr(endpoint, name) for name in MEANINGS}
    return {
        "enabled": yes_or_no(STATES, label="State", required=False, initial=str(endpoint is None or endpoint.enabled)),
        "team": teams.field(label="Team", initial="" if team_id is None else str(team_id)),
        **{name: _seconds(name, meaning, limits[name]) for name, meaning in MEANINGS.items()},
    }


def gateway_settings(cleaned: Mapping[str, Any]) -> GatewaySettings:
    """Return what was chosen; a state that was not sent stays as it is."""
    team_id = int(cleaned["team"]) if cleaned["team"] else None
    enabled = {} if cleaned["enabled"] is None else {"enabled": cleaned["enabled"]}
    return {**enabled, "team_id": team_id, **{name: cleaned[name] for name in MEANINGS}}


def _seconds(name: str, meaning: str, value: float | None) -> forms.Field:
    label = name.replace("_seconds", ", seconds").replace("_", " ").capitalize()
    return forms.FloatField(
        label=label,
        help_text=meaning,
        initial=value,
        required=False,
        min_value=0.001,
        max_value=LONGEST_SECONDS,
        widget=UnfoldAdminDecimalFieldWidget,
    )
