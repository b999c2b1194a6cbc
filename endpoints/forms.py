"""The forms of the admin: which kind of endpoint, then exactly the settings that this kind has.

They are drawn from the declarations. What is right is decided by `lifecycle`, as for the API; its problems are shown
beside their fields. A secret goes in and never comes out again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.timezone import localtime
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from access.privileges import Caller
from endpoints import chunking, lifecycle
from endpoints.configuration import Configuration
from endpoints.fields import FIELDS, UNSET, MaskedValues, choice, secret
from endpoints.gateway_form import Teams, gateway_fields, gateway_settings
from endpoints.models import LONGEST_ID, Endpoint, EndpointSecret
from endpoints.providers import load, names
from endpoints.providers._base import TASK_TYPES
from endpoints.providers._settings import Setting, applying, relations
from endpoints.providers._values import MASK
from endpoints.time_limits import MEANINGS
from wire.errors import ApiError, RequestInvalid, SettingsInvalid

Tab = tuple[str, list[tuple[str | None, dict[str, Any]]]]
"""A title, and sections of fields as the admin's templates want them."""


def _services() -> list[tuple[str, str]]:
    return [(name, f"{load(name).label} ({name})") for name in names()]


def _task_types() -> list[tuple[str, str]]:
    offered = {task_type for name in names() for task_type in load(name).task_types}
    return [(name, name) for name in TASK_TYPES if name in offered]


class KindForm(forms.Form):
    """What has to be known of an endpoint before it is known which settings it has."""

    inference_id = forms.CharField(
        label="Inference ID",
        max_length=LONGEST_ID,
        widget=UnfoldAdminTextInputWidget,
        help_text="Lower case letters, digits, hyphens, underscores and dots; the first and last a letter or digit.",
    )
    service = forms.ChoiceField(choices=_services, widget=UnfoldAdminSelectWidget)
    task_type = forms.ChoiceField(
        label="Task type", choices=_task_types, initial="completion", widget=UnfoldAdminSelectWidget
    )

    def clean_inference_id(self) -> str:
        inference_id: str = self.cleaned_data["inference_id"]
        try:
            lifecycle.check_id(inference_id)
        except RequestInvalid as error:
            raise ValidationError(list(error.problems)) from None
        if Endpoint.objects.named(inference_id) is not None:
            raise ValidationError(f"Inference endpoint [{inference_id}] already exists")
        return inference_id

    def clean(self) -> None:
        chosen = self.cleaned_data
        if "service" not in chosen or "task_type" not in chosen:
            return
        try:
            lifecycle.check_supported(chosen["service"], chosen["task_type"])
        except ApiError as error:
            offered = ", ".join(load(chosen["service"]).task_types)
            self.add_error("task_type", f"{error.reason}, but [{offered}]")


_LINES = {"list": " One on each line.", "map": " One `Name: value` on each line."}


class MoveForm(forms.Form):
    """The team that endpoints are to be moved to: one of those that the caller may put them into."""

    def __init__(self, data: Any, *, caller: Caller) -> None:
        super().__init__(data)
        self.fields["team"] = Teams.of(caller).field(label="Team")

    @property
    def team_id(self) -> int | None:
        return int(self.cleaned_data["team"]) if self.cleaned_data["team"] else None


@dataclass(frozen=True)
class Item:
    """A setting in the form: the section of the body it stands in, and the value that is there or would be."""

    section: str
    setting: Setting
    value: Any
    help_text: str
    required: bool


class SettingsForm(forms.Form):
    """All settings of one service and task type, with the keys of the settings, and what is the gateway's own.

    A new endpoint has no `stored` configuration, which is that of `endpoint` as it may be shown.
    """

    inference_id = forms.CharField(
        label="Inference ID", required=False, disabled=True, widget=UnfoldAdminTextInputWidget
    )
    service = forms.CharField(required=False, disabled=True, widget=UnfoldAdminTextInputWidget)
    task_type = forms.CharField(label="Task type", required=False, disabled=True, widget=UnfoldAdminTextInputWidget)

    def __init__(
        self,
        data: Any,
        kind: Mapping[str, str],
        teams: Teams,
        endpoint: Endpoint | None = None,
        stored: Configuration | None = None,
    ) -> None:
        super().__init__(data, initial=dict(kind))
        self._is_new = stored is None
        self._items = list(_items(kind["service"], kind["task_type"], stored))
        secrets = {} if endpoint is None else {one.name: one for one in endpoint.secrets.all()}
        clearable = set() if stored is None else _clearable(stored, secrets)
        for item in self._items:
            self._add(item, secrets.get(item.setting.name), clearable)
        self.fields.update(gateway_fields(teams, endpoint))

    def tabs(self) -> list[Tab]:
        """Return the fields: the settings by section, and the gateway's own."""
        sections: list[tuple[str | None, dict[str, Any]]] = [(None, {"fields": list(KindForm.base_fields)})]
        for section in dict.fromkeys(item.section for item in self._items):
            keys = [item.setting.key for item in self._items if item.section == section]
            fields = [name for key in keys for name in (key, _clear(key)) if name in self.fields]
            sections.append((section.replace("_", " ").capitalize(), {"fields": fields}))
        note = "Limits of the gateway for this endpoint; an empty one is that of all endpoints."
        limits = ("Time limits", {"fields": list(MEANINGS), "description": note})
        return [("Settings", sections), ("Gateway", [(None, {"fields": ["enabled", "team"]}), limits])]

    def show_only(self) -> None:
        """Take away what only who changes the endpoint needs, and let nothing be changed."""
        for item in self._items:
            self.fields.pop(_clear(item.setting.key), None)
            if item.setting.secret:
                del self.fields[item.setting.key]
        for field in self.fields.values():
            field.disabled = True

    def clean(self) -> None:
        for item in self._items:
            key = item.setting.key
            if self.cleaned_data.get(_clear(key)) and self.cleaned_data.get(key):
                self.add_error(key, "Give a new value or clear the stored one, not both.")

    def gateway(self) -> lifecycle.GatewaySettings:
        return gateway_settings(self.cleaned_data)

    def body(self) -> dict[str, Any]:
        """Return the body of the request that the form stands for; for a new endpoint with its service."""
        body: dict[str, Any] = {"service": self.initial["service"], "service_settings": {}} if self._is_new else {}
        for item in self._items:
            key = item.setting.key
            value = self.cleaned_data[key]
            empty = value in (None, "", [], {})
            keeps = item.setting.secret and not self.cleaned_data.get(_clear(key))
            # Left out, a setting of a new endpoint gets its default, and a stored secret stays.
            if self.fields[key].disabled or (empty and (self._is_new or keeps)):
                continue
            _put(body.setdefault(item.section, {}), key, None if empty else value)
        if "chunking_settings" in body:
            body["chunking_settings"] = _of_the_strategy(body["chunking_settings"])
        return body

    def refuse(self, error: ApiError) -> None:
        """Show `error`: problems of settings beside their fields, the rest, with its causes, on top."""
        if isinstance(error, SettingsInvalid):
            for key, problem in zip(error.fields, error.problems, strict=True):
                self.add_error(key if key in self.fields else None, problem)
            return
        cause: ApiError | None = error
        while cause is not None:
            self.add_error(None, cause.reason)
            cause = cause.caused_by

    def _add(self, item: Item, stored: EndpointSecret | None, clearable: Collection[str]) -> None:
        one = item.setting
        facts: dict[str, Any] = {
            "label": one.label,
            "help_text": escape(item.help_text),
            # Choices are texts.
            "initial": str(item.value) if isinstance(item.value, bool) else item.value,
            "required": item.required and stored is None,
            "disabled": not (self._is_new or one.updatable),
        }
        if one.secret:
            self._add_secret(item, facts, stored, clearable)
        elif one.allowed:
            self.fields[one.key] = choice([UNSET, *((name, name) for name in one.allowed)], **facts)
        else:
            self.fields[one.key] = self._typed(item, facts)

    def _add_secret(
        self, item: Item, facts: dict[str, Any], stored: EndpointSecret | None, clearable: Collection[str]
    ) -> None:
        key = item.setting.key
        hint = "" if self._is_new else _history(stored) if stored else " Not set."
        self.fields[key] = secret(**facts | {"initial": None, "help_text": facts["help_text"] + hint})
        if item.setting.name in clearable:
            label = f"Clear {item.setting.label}"
            self.fields[_clear(key)] = forms.BooleanField(label=label, required=False, widget=UnfoldBooleanWidget)

    def _typed(self, item: Item, facts: dict[str, Any]) -> forms.Field:
        one = item.setting
        field = FIELDS[one.kind](**facts)
        field.help_text += _LINES.get(one.kind, "")
        if one.masked:
            field.help_text += "" if self._is_new else f" The value {MASK} stands for the stored one."
            field.widget = MaskedValues(attrs={"autocomplete": "off"})
            field.widget.shown = field.prepare_value(item.value) or ""
        return field


def _clearable(stored: Configuration, secrets: Collection[str]) -> set[str]:
    """Return those of `secrets` without which the other settings would do."""
    found = set()
    for declaration, values in stored.sections():
        settings = list(applying(declaration, stored.task_type))
        # The values of secrets are not here, nor do they matter.
        values = {**values, **{one.name: MASK for one in settings if one.secret and one.name in secrets}}
        for one in settings:
            without = {**values, one.name: None}
            if one.secret and values[one.name] and not one.required:
                found |= set() if relations(declaration, without, stored.task_type, ()) else {one.name}
    return found


def _clear(key: str) -> str:
    """Return the name of the field that clears the secret `key`."""
    return f"clear-{key}"


def _history(stored: EndpointSecret) -> str:
    when = f" on {localtime(stored.set_at):%d %B %Y, %H:%M} UTC" if stored.set_at else ""
    who = f" by {escape(stored.set_by)}" if stored.set_by else ""
    return f" Set{when}{who}; leave it empty to keep it."


def _items(service: str, task_type: str, stored: Configuration | None) -> Iterator[Item]:
    provider = load(service)
    declarations = (provider.service_settings, provider.task_settings)
    values = (None, None) if stored is None else (stored.service_values, stored.task_values)
    for declaration, known in zip(declarations, values, strict=True):
        for one in applying(declaration, task_type):
            value = one.default_for(task_type) if known is None else known[one.name]
            yield Item(declaration.scope, one, value, one.description, one.required)
    if task_type not in chunking.TASK_TYPES:
        return
    chunks = chunking.DEFAULT if stored is None else stored.chunking_settings or {}
    for one, strategies in chunking.settings().values():
        note = "" if len(strategies) == len(chunking.STRATEGIES) else f" For: {', '.join(strategies)}."
        yield Item("chunking_settings", one, chunks.get(one.key), one.description + note, required=False)


def _of_the_strategy(given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what belongs to other strategies: the form has the settings of all of them."""
    strategy = given.get("strategy")
    return {
        key: value
        for key, value in given.items()
        if value is not None and strategy in (None, *chunking.settings()[key][1])
    }


def _put(section: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
