"""The fields that settings are typed into, by the kinds of the declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

UNSET = ("", "---------")


class Lines(forms.CharField):
    """A list of texts, one on each line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(list(initial or ()), data)


class NamedValues(forms.CharField):
    """A map of texts, as `Name: value` on each line."""

    widget = UnfoldAdminTextareaWidget

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


class MaskedValues(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """Shows the stored names with masks, whatever was typed."""

    shown = ""

    def format_value(self, value: Any) -> str:
        return self.shown


def secret(**facts: Any) -> forms.Field:
    """Return a field for what goes in and never comes out again."""
    return forms.CharField(widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}), **facts)


def choice(choices: Any, **facts: Any) -> forms.Field:
    return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **facts)


def yes_or_no(choices: Any, **facts: Any) -> forms.Field:
    """Return a field of which nothing chosen is None."""
    return forms.TypedChoiceField(
        choices=choices, coerce=_is_true, empty_value=None, widget=UnfoldAdminSelectWidget, **facts
    )


def _is_true(value: Any) -> bool:
    return str(value) == "True"


FIELDS: Mapping[str, Callable[..., forms.Field]] = {
    "str": lambda **facts: forms.CharField(widget=UnfoldAdminTextInputWidget, **facts),
    "int": lambda **facts: forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget, **facts),
    "float": lambda **facts: forms.FloatField(widget=UnfoldAdminDecimalFieldWidget, **facts),
    "bool": lambda **facts: yes_or_no([UNSET, ("True", "yes"), ("False", "no")], **facts),
    "list": Lines,
    "map": NamedValues,
}
