"""How users, teams and API keys are shown; the key order is Elasticsearch's. Only `shown_once` shows a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from access.descriptors import describe
from access.keys import IssuedKey
from access.models import ApiKey, Team, User
from access.privileges import SUPERUSER, Caller

REALM = {"name": "native1", "type": "native"}
"""The realm that all users are in."""
_KEY_REALM = {"name": "_es_api_key", "type": "_es_api_key"}


def shown_user(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "roles": _assigned(user.caller),
        "full_name": user.full_name or None,
        "email": user.email or None,
        "metadata": user.metadata,
        "enabled": user.is_active,
    }


def shown_caller(caller: Caller) -> dict[str, Any]:
    """Return what `_authenticate` says about a caller."""
    by_key = caller.api_key_id is not None
    realm = _KEY_REALM if by_key else REALM
    shown = {
        "username": caller.username,
        "roles": [] if by_key else _assigned(caller),
        "full_name": caller.full_name or None,
        "email": caller.email or None,
        "metadata": caller.metadata,
        "enabled": True,
        "authentication_realm": realm,
        "lookup_realm": realm,
        "authentication_type": "api_key" if by_key else "realm",
    }
    if by_key:
        shown["api_key"] = {"id": caller.api_key_id, "name": caller.api_key_name, "managed_by": "elasticsearch"}
    return shown


def shown_once(issued: IssuedKey) -> dict[str, Any]:
    """Return what the answer to a request for a new key says, its secret among it."""
    shown: dict[str, Any] = {"id": issued.key.id, "name": issued.key.name}
    if issued.key.expires_at is not None:
        shown["expiration"] = milliseconds(issued.key.expires_at)
    return shown | {"api_key": issued.secret, "encoded": issued.encoded}


def shown_key(key: ApiKey, *, with_limited_by: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": key.id,
        "name": key.name,
        "type": "rest",
        "creation": milliseconds(key.created_at),
    }
    if key.expires_at is not None:
        shown["expiration"] = milliseconds(key.expires_at)
    shown["invalidated"] = key.invalidated_at is not None
    if key.invalidated_at is not None:
        shown["invalidation"] = milliseconds(key.invalidated_at)
    shown |= {
        "username": key.holder,
        "realm": REALM["name"],
        "realm_type": REALM["type"],
        "metadata": key.metadata,
        "role_descriptors": key.role_descriptors,
    }
    if key.team is not None:
        shown |= {"team": key.team.slug, "team_role": key.team_role, "inference_ids": key.inference_ids}
    if with_limited_by:
        shown["limited_by"] = [_roles_of(key.owner)] if key.owner else [_role_in_team(key)]
    return shown


def shown_team(team: Team) -> dict[str, Any]:
    return {
        "slug": team.slug,
        "name": team.name,
        "description": team.description,
        "creation": milliseconds(team.created_at),
    }


def milliseconds(moment: datetime) -> int:
    """Return the Unix time of `moment` in milliseconds, as dates stand in the API."""
    return int(moment.timestamp() * 1000)


def _assigned(caller: Caller) -> list[str]:
    return sorted([*caller.roles, *caller.undefined_roles])


def _roles_of(user: User) -> dict[str, Any]:
    roles = {
        group.name: describe([permission.codename for permission in group.permissions.all()])
        for group in user.groups.all()
    }
    if user.is_superuser:
        roles[SUPERUSER] = describe(["all"])
    return roles


def _role_in_team(key: ApiKey) -> dict[str, Any]:
    privilege = "manage_inference" if key.team_role == "inference_admin" else "monitor_inference"
    return {key.team_role: describe([privilege])}
