"""Role descriptors: what an API key is given of its owner's rights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from access.bodies import strings
from access.models import INVALID_NAME, NAME_PATTERN
from access.privileges import KNOWN, unknown
from wire import json
from wire.errors import ParseFailed, SettingsInvalid

# What is shown of a descriptor. Only `cluster` has an effect here; a `restriction` would go unheeded, so it is refused.
_EMPTY: dict[str, Any] = {
    "cluster": [],
    "indices": [],
    "applications": [],
    "run_as": [],
    "metadata": {},
    "transient_metadata": {"enabled": True},
}
_ALIASES = {"index": "indices", "application": "applications"}
_OTHERS: dict[str, type] = {"global": dict, "remote_indices": list, "remote_cluster": list, "description": str}
_GRANTING = ("cluster", "indices", "applications", "run_as", "global", "remote_indices", "remote_cluster")
_MAX_PROBLEMS = 10
_role_name = re.compile(NAME_PATTERN)


def parse(descriptors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `descriptors` by role name, each with all fields of a descriptor. Raise BadRequest for another shape."""
    return {name: _parse_one(name, value) for name, value in descriptors.items()}


def problems(descriptors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the privileges that parsed `descriptors` name."""
    used = {privilege for descriptor in descriptors.values() for privilege in descriptor["cluster"]}
    return [unknown(privilege).reason for privilege in sorted(used - KNOWN)[:_MAX_PROBLEMS]]


def describe(privileges: list[str]) -> dict[str, Any]:
    """Return the descriptor of a role that grants `privileges`."""
    return _EMPTY | {"cluster": privileges}


def grants_nothing(descriptors: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether `descriptors` are there and all empty; none at all grant everything that the owner may do."""
    return bool(descriptors) and not any(one.get(name) for one in descriptors.values() for name in _GRANTING)


def _parse_one(role: str, value: Any) -> dict[str, Any]:
    if _role_name.fullmatch(role) is None:
        raise SettingsInvalid(INVALID_NAME.format("Role"))
    if not isinstance(value, dict):
        raise ParseFailed(f"failed to parse role [{role}]. expected an object but found [{json.token(value)}] instead")
    given: dict[str, Any] = value
    fields = {_ALIASES.get(name, name): item for name, item in given.items() if item is not None}
    for name, item in fields.items():
        expected = type(_EMPTY[name]) if name in _EMPTY else _OTHERS.get(name)
        if expected is None:
            raise ParseFailed(f"failed to parse role [{role}]. unexpected field [{name[:80]}]")
        if type(item) is not expected:
            raise ParseFailed(f"failed to parse role [{role}]. field [{name}] does not take [{json.token(item)}]")
    cluster = fields.get("cluster", [])
    if not strings(cluster):
        raise ParseFailed(f"failed to parse role [{role}]. field [cluster] takes an array of strings")
    return _EMPTY | fields | {"cluster": [privilege.lower() for privilege in cluster]}
