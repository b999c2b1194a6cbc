"""What is known about a service, as a flat mapping from paths to values: from the facts file, and from its code.

Both sides use the same paths, so that they can be compared one by one. Nested settings are flattened:
`rate_limit.requests_per_minute` is a setting. Descriptions are not compared, they are in words of our own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from endpoints.providers import load
from endpoints.providers._settings import Setting, declared
from endpoints.serializers import service_listing

SERVICES: Mapping[str, Any] = json.loads((Path(__file__).parent.parent / "services.json").read_text())["services"]
_SECTIONS = ("service_settings", "task_settings")
_KINDS = {
    "string": "str",
    "integer": "int",
    "boolean": "bool",
    "float": "float",
    "list<string>": "list",
    "map<string,string>": "map",
}
_RATE_LIMIT = "rate_limit.requests_per_minute"
Facts = dict[str, Any]


def facts_of_file(service: str) -> Facts:
    facts: Facts = {}
    entry = SERVICES[service]
    facts["task_types"] = entry["task_types"]
    facts["streaming_task_types"] = entry["streaming_task_types"]
    facts["name"] = entry["name"]
    facts["rate_limit"] = entry["rate_limit"]["default_requests_per_minute"]
    for section in _SECTIONS:
        settings = [one for one in _flattened(entry[section]) if not one.get("response_only")]
        facts[f"{section} in order"] = [one["name"] for one in settings]
        for one in settings:
            facts |= _at(f"{section}.{one['name']}", _of_file(one))
    return facts | _listing(entry.get("services_api_entry"))


def facts_of_code(service: str) -> Facts:
    provider = load(service)
    facts: Facts = {
        "task_types": list(provider.task_types),
        "streaming_task_types": list(provider.streaming_task_types),
        "name": provider.label,
        "rate_limit": None,
    }
    for section in _SECTIONS:
        settings = declared(getattr(provider, section))
        facts[f"{section} in order"] = [one.key for one in settings]
        for one in settings:
            facts |= _at(f"{section}.{one.key}", _of_code(one, provider.task_types))
            if one.key == _RATE_LIMIT:
                facts["rate_limit"] = {name: one.default_for(name) for name in provider.task_types}
    return facts if provider.alias_of else facts | _listing(service_listing(service))


def differences(known: Facts, declared_: Facts) -> Iterator[tuple[str, str]]:
    """Yield the path of each difference and what it is; a setting that one side lacks is one difference."""
    ours, theirs = _settings(declared_), _settings(known)
    for setting in sorted(theirs ^ ours):
        yield setting, "is not declared" if setting in theirs else "is declared, but is not known"
    for path in known.keys() | declared_.keys():
        if path.rpartition(".")[0] in theirs ^ ours:
            continue
        expected, found = known.get(path), declared_.get(path)
        if path.endswith(" in order"):
            expected, found = _common(expected, found), _common(found, expected)
        if expected != found:
            yield path, f"should be {expected!r}, is {found!r}"


def _settings(facts: Facts) -> set[str]:
    return {path.rpartition(".")[0] for path in facts if path.startswith((*_SECTIONS, "listing.")) and "." in path}


def _common(names: Sequence[str] | None, others: Sequence[str] | None) -> list[str]:
    return [name for name in names or () if name in (others or ())]


def _at(path: str, facts: Facts) -> Facts:
    return {f"{path}.{name}": value for name, value in facts.items()}


def _flattened(settings: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield objects as their fields, which have from their object whatever they do not say themselves."""
    for one in settings:
        for field in one.get("fields", ()):
            name = field["name"]
            defaults = {key: value.get(name) for key, value in one.get("default_by_task_type", {}).items()}
            default = (one.get("default") or {}).get(name, field.get("default"))
            inherited = {"default": default, "default_by_task_type": defaults, "fields": ()}
            yield {**one, **field, **inherited, "name": f"{one['name']}.{name}"}
        if not one.get("fields"):
            yield one


def _of_file(one: Mapping[str, Any]) -> Facts:
    # Where another setting lifts a demand, or makes it, no single declaration can say so.
    conditional = "required_unless_present" in one or "required_if" in one
    minimum = one["exclusive_minimum"] + 1 if "exclusive_minimum" in one else one.get("minimum")
    by_task_type = one.get("default_by_task_type", {})
    return {
        "kind": _KINDS[one["type"]],
        "required": one["required"] and not conditional,
        "default": {name: by_task_type.get(name, one["default"]) for name in one["task_types"]},
        "allowed": sorted(one.get("allowed", ())),
        "minimum": minimum,
        "maximum": one.get("maximum"),
        "secret": one["secret"],
        "updatable": one["updatable"],
        "returned": one.get("returned_by_get", not one["secret"]),
        "task_types": sorted(one["task_types"]),
    }


def _of_code(one: Setting, task_types: Iterable[str]) -> Facts:
    applying = [name for name in task_types if one.applies_to(name)]
    return {
        "kind": one.kind,
        "required": one.required,
        "default": {name: one.default_for(name) for name in applying},
        "allowed": sorted(one.allowed),
        "minimum": one.minimum,
        "maximum": one.maximum,
        "secret": one.secret,
        "updatable": one.updatable,
        "returned": one.returned,
        "task_types": sorted(applying),
    }


def _listing(entry: Mapping[str, Any] | None) -> Facts:
    """Return what the services API says; None is for services that it does not list."""
    if entry is None:
        return {}
    facts: Facts = {f"listing {key}": entry[key] for key in ("service", "name", "task_types")}
    for key, configuration in entry["configurations"].items():
        facts |= _at(f"listing.{key}", {name: value for name, value in configuration.items() if name != "description"})
    return facts
