"""API keys: made, recognised, looked up, made useless."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from access import cache, teams
from access.key_ids import new_key_id
from access.models import ApiKey
from access.privileges import Caller
from wire import times
from wire.errors import BadRequest

MAX_NAME_LENGTH = 256


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which is known only now; show it once and forget it."""

    key: ApiKey
    secret: str = field(repr=False)

    @property
    def encoded(self) -> str:
        """What goes behind `Authorization: ApiKey`."""
        return base64.b64encode(f"{self.key.id}:{self.secret}".encode()).decode()


def digest(secret: bytes) -> bytes:
    """Return what is stored of `secret`. It is random, so one keyed hash is enough; a password's would not be."""
    return hmac.digest(settings.API_KEY_PEPPER, secret, "sha256")


def give_secret(key: ApiKey) -> IssuedKey:
    """Give the unsaved `key` its id and secret."""
    secret = secrets.token_urlsafe(32)
    key.id = new_key_id()
    key.digest = digest(secret.encode())
    key.last_four = secret[-4:]
    return IssuedKey(key, secret)


def create(
    *,
    name: str,
    owner_id: int | None = None,
    team_id: int | None = None,
    team_role: str = "",
    created_by_id: int | None = None,
    expires_at: datetime | None = None,
    role_descriptors: Mapping[str, Any] | None = None,
    inference_ids: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> IssuedKey:
    """Store a new key of a user, or of a team with a role in it.

    `role_descriptors` are as `access.descriptors.parse` returns them.
    """
    issued = give_secret(
        ApiKey(
            name=name,
            owner_id=owner_id,
            team_id=team_id,
            team_role=team_role,
            created_by_id=created_by_id or owner_id,
            expires_at=expires_at,
            role_descriptors=dict(role_descriptors or {}),
            inference_ids=list(inference_ids),
            metadata=dict(metadata or {}),
        )
    )
    issued.key.save(force_insert=True)
    return issued


def rotate(key: ApiKey, *, created_by_id: int, overlap: timedelta) -> IssuedKey:
    """Store a key that may do what `key` may and lasts as long anew; `key` works on for `overlap` at most.

    To be called in a transaction.
    """
    now = timezone.now()
    issued = create(
        name=key.name,
        owner_id=key.owner_id,
        team_id=key.team_id,
        team_role=key.team_role,
        created_by_id=created_by_id,
        expires_at=key.expires_at and now + (key.expires_at - key.created_at),
        role_descriptors=key.role_descriptors,
        inference_ids=key.inference_ids,
        metadata=key.metadata,
    )
    if key.expires_at is None or key.expires_at > now + overlap:
        key.expires_at = now + overlap
        key.save(update_fields=["expires_at"])
    return issued


def expiry(expiration: str | None) -> datetime | None:
    """Return when a new key expires that is to last for `expiration`, as in `90d`; None: never. Raise BadRequest."""
    if expiration is None:
        return None
    seconds = times.seconds("expiration", expiration)
    if seconds is None:
        raise BadRequest(
            f"failed to parse setting [expiration] with value [{expiration}] as a time value: "
            "leave it out for a key that does not expire"
        )
    return timezone.now() + timedelta(seconds=seconds)


def name_problems(name: str) -> list[str]:
    """Return what is wrong with the name of a new key."""
    if not name:
        return ["api key name is required"]
    problems = []
    if len(name) > MAX_NAME_LENGTH:
        problems.append(f"api key name may not be more than {MAX_NAME_LENGTH} characters long")
    if name != name.strip():
        problems.append("api key name may not begin or end with whitespace")
    if name.startswith("_"):
        problems.append("api key name may not begin with an underscore")
    return problems


def metadata_problems(metadata: Mapping[str, Any]) -> list[str]:
    reserved = any(name.startswith("_") for name in metadata)
    return ["API key metadata keys may not start with [_]"] if reserved else []


def visible_to(caller: Caller) -> QuerySet[ApiKey]:
    """Return the keys that `caller` may list and invalidate.

    Those are his own and those of the teams that he manages; for a key, itself; for a superuser, all.
    """
    keys = ApiKey.objects.select_related("owner", "team")
    if "manage_api_key" in caller.privileges:
        return keys
    if caller.api_key_id is not None:
        return keys.filter(id=caller.api_key_id)
    return keys.filter(Q(owner_id=caller.user_id) | Q(team_id__in=teams.managed_by(caller)))


def named(keys: QuerySet[ApiKey], pattern: str) -> QuerySet[ApiKey]:
    """Return those of `keys` with this name; a `*` at its end stands for anything."""
    if not pattern.endswith("*"):
        return keys.filter(name=pattern)
    # Unlike a LIKE, this minds case on every database.
    start = pattern[:-1]
    return keys.annotate(start=Left("name", len(start))).filter(start=start) if start else keys


def invalidate(keys: QuerySet[ApiKey]) -> list[str]:
    """Make those of `keys` useless that are not yet, and return their ids. To be called in a transaction."""
    now = timezone.now()
    if not keys.filter(invalidated_at=None).update(invalidated_at=now):
        return []
    # An update of many rows sends no signal.
    cache.changed()
    return list(keys.filter(invalidated_at=now).values_list("id", flat=True))
