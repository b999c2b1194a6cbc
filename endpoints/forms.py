"""The forms of the admin: which kind of endpoint, then exactly the settings that this kind has.

They are drawn from the declarations. What is right is decided by `lifecycle`, as for the API; its problems are shown
beside their fields. A secret goes in and never comes out again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.html import escape

from endpoints import chunking, lifecycle
from endpoints.configuration import Configuration
from endpoints.models import LONGEST_ID, Endpoint
from endpoints.providers import load, names
from endpoints.providers._base import TASK_TYPES
from endpoints.providers._settings import Setting, applying
from endpoints.providers._values import MASK
from endpoints.time_limits import LONGEST_SECONDS, MEANINGS
from wire.errors import ApiError, SettingsInvalid

_UNSET = ("", "---------")


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
        widget=AdminTextInputWidget,
        help_text="Lower case letters, digits, hyphens, underscores and dots; the first and last a letter or digit.",
    )
    service = forms.ChoiceField(choices=_services)
    task_type = forms.ChoiceField(label="Task type", choices=_task_types)

    def clean_inference_id(self) -> str:
        inference_id: str = self.cleaned_data["inference_id"]
        try:
            lifecycle.check_id(inference_id)
        except ApiError as error:
            raise ValidationError(error.reason) from None
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


class Lines(forms.CharField):
    """A list of texts, one on each line."""

    widget = AdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(list(initial or ()), data)


class NamedValues(forms.CharField):
    """A map of texts, as `Name: value` on each line."""

    widget = AdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, Mapping) else value

    def to_python(self, value: Any) -> Any:
        found: dict[str, str] = {}
        for number, line in enumerate((super().to_python(value) or "").splitlines(), 1):
            name, colon, text = line.partition(":")
            if not line.strip():
                continue
            # The line itself may be a secret.
            if not colon:
                raise ValidationError(f"Line {number} is not of the form `Name: value`")
            if name.strip() in found:
                raise ValidationError(f"Line {number} has a name that was there before")
            found[name.strip()] = text.strip()
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(dict(initial or {}), data)


class MaskedValues(forms.Textarea):
    """Shows the stored names with masks, whatever was typed."""

    shown = ""

    def format_value(self, value: Any) -> str:
        return self.shown


def _secret_input() -> forms.PasswordInput:
    return forms.PasswordInput(attrs={"class": "vTextField", "autocomplete": "new-password"}, render_value=False)


def _is_true(value: Any) -> bool:
    return str(value) == "True"


_FIELDS: Mapping[str, Callable[..., forms.Field]] = {
    "str": lambda **facts: forms.CharField(widget=AdminTextInputWidget, **facts),
    "int": lambda **facts: forms.IntegerField(widget=AdminIntegerFieldWidget, **facts),
    "float": forms.FloatField,
    "bool": lambda **facts: forms.TypedChoiceField(
        choices=[_UNSET, ("True", "yes"), ("False", "no")], coerce=_is_true, empty_value=None, **facts
    ),
    "list": Lines,
    "map": NamedValues,
}
_LINES = {"list": " One on each line.", "map": " One `Name: value` on each line."}


@dataclass(frozen=True)
class Item:
    """A setting in the form: the section of the body it stands in, and the value that is there or would be."""

    section: str
    setting: Setting
    value: Any
    help_text: str
    required: bool


class SettingsForm(forms.Form):
    """All settings of one service and task type; the fields have the keys of the settings.

    `stored` is the configuration of an endpoint that is changed, as it may be shown, `secrets` are the names of the
    secrets and `limits` the time limits that it has; a new one has none of them.
    """

    inference_id = forms.CharField(label="Inference ID", disabled=True, widget=AdminTextInputWidget)
    service = forms.CharField(disabled=True, widget=AdminTextInputWidget)
    task_type = forms.CharField(label="Task type", disabled=True, widget=AdminTextInputWidget)

    def __init__(
        self,
        data: Any,
        kind: Mapping[str, str],
        stored: Configuration | None = None,
        secrets: Collection[str] = (),
        limits: lifecycle.Limits | None = None,
    ) -> None:
        super().__init__(data, initial=dict(kind))
        self._is_new = stored is None
        self._items = list(_items(kind["service"], kind["task_type"], stored))
        for item in self._items:
            self.fields[item.setting.key] = self._field(item, item.setting.name in secrets)
        for name, meaning in MEANINGS.items():
            self.fields[name] = _seconds(name, meaning, (limits or {}).get(name))

    def fieldsets(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Return the fields by section, as the admin's templates want them."""
        found: list[tuple[str | None, dict[str, Any]]] = [(None, {"fields": list(KindForm.base_fields)})]
        for section in dict.fromkeys(item.section for item in self._items):
            keys = [item.setting.key for item in self._items if item.section == section]
            found.append((section.replace("_", " ").capitalize(), {"fields": keys}))
        note = "Limits of the gateway for this endpoint; an empty one is that of all endpoints."
        found.append(("Time limits", {"fields": list(MEANINGS), "description": note}))
        return found

    def limits(self) -> dict[str, float | None]:
        """Return the time limits; None for those of all endpoints."""
        return {name: self.cleaned_data[name] for name in MEANINGS}

    def body(self) -> dict[str, Any]:
        """Return the body of the request that the form stands for; for a new endpoint with its service."""
        body: dict[str, Any] = {"service": self.initial["service"], "service_settings": {}} if self._is_new else {}
        for item in self._items:
            value = self.cleaned_data[item.setting.key]
            empty = value in (None, "", [], {})
            # Left out, a setting of a new endpoint gets its default, and a stored secret stays.
            if self.fields[item.setting.key].disabled or (empty and (self._is_new or item.setting.secret)):
                continue
            _put(body.setdefault(item.section, {}), item.setting.key, None if empty else value)
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

    def _field(self, item: Item, is_set: bool) -> forms.Field:
        one = item.setting
        facts: dict[str, Any] = {
            "label": one.label,
            "help_text": escape(item.help_text),
            # Choices are texts.
            "initial": str(item.value) if isinstance(item.value, bool) else item.value,
            "required": item.required and not is_set,
            "disabled": not (self._is_new or one.updatable),
        }
        if one.secret:
            hint = "" if self._is_new else " Set; leave it empty to keep it." if is_set else " Not set."
            facts |= {"initial": None, "help_text": facts["help_text"] + hint, "widget": _secret_input()}
            return forms.CharField(**facts)
        if one.allowed:
            return forms.ChoiceField(choices=[_UNSET, *((name, name) for name in one.allowed)], **facts)
        field = _FIELDS[one.kind](**facts)
        field.help_text += _LINES.get(one.kind, "")
        if one.masked:
            field.help_text += "" if self._is_new else f" The value {MASK} stands for the stored one."
            field.widget = MaskedValues(attrs={"class": "vLargeTextField", "autocomplete": "off"})
            field.widget.shown = field.prepare_value(item.value) or ""
        return field


def _seconds(name: str, meaning: str, value: float | None) -> forms.Field:
    label = name.replace("_seconds", ", seconds").replace("_", " ").capitalize()
    return forms.FloatField(
        label=label, help_text=meaning, initial=value, required=False, min_value=0.001, max_value=LONGEST_SECONDS
    )


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
