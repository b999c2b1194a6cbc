"""`/_security/api_key`: create, list and invalidate API keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from access import descriptors, keys
from access.authentication import SecuredView
from access.bodies import parse, strings
from access.models import ApiKey
from access.serializers import REALM, shown_key, shown_once
from access.views.parameters import REFRESH, check_refresh
from wire import json
from wire.errors import BadRequest, BodyInvalid, RequestInvalid
from wire.requests import flag

CREATE = "cluster:admin/xpack/security/api_key/create"
GET = "cluster:admin/xpack/security/api_key/get"
INVALIDATE = "cluster:admin/xpack/security/api_key/invalidate"

_Value = TypeVar("_Value")

_CREATE_PARSER = "api_key_request"
_CREATE_FIELDS = {"name": str, "expiration": str, "role_descriptors": dict, "metadata": dict}
_INVALIDATE_PARSER = "invalidate_api_key"
_INVALIDATE_FIELDS = {"ids": list, "id": str, "name": str, "username": str, "realm_name": str, "owner": bool}
_FILTERS = ("name", "username", "realm_name")
_FLAGS = ("owner", "with_limited_by", "active_only", "with_profile_uid")
_MAX_IDS = 1000


class ApiKeysView(SecuredView):
    """Everyone keeps his own keys; `keys.visible_to` says whose a caller sees."""

    actions = {"POST": CREATE, "PUT": CREATE, "GET": GET, "DELETE": INVALIDATE}
    bodies = {"POST": "required", "PUT": "required", "DELETE": "required"}
    parameters = {"POST": REFRESH, "PUT": REFRESH, "GET": frozenset({"id", *_FILTERS, *_FLAGS})}

    def post(self, request: Request) -> HttpResponse:
        check_refresh(self.plain)
        fields = parse(self.plain.body, _CREATE_PARSER, _CREATE_FIELDS)
        expires_at = self._parsed("expiration", lambda: keys.expiry(fields.get("expiration")))
        given = self._parsed("role_descriptors", lambda: descriptors.parse(fields.get("role_descriptors", {})))
        name, metadata = fields.get("name", ""), fields.get("metadata", {})
        problems = [*keys.name_problems(name), *keys.metadata_problems(metadata), *descriptors.problems(given)]
        if problems:
            raise RequestInvalid(*problems)
        if self.caller.api_key_id is not None and not descriptors.grants_nothing(given):
            raise BadRequest(
                "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)"
            )
        with transaction.atomic():
            issued = keys.create(
                owner_id=self.caller.user_id,
                name=name,
                expires_at=expires_at,
                role_descriptors=given,
                inference_ids=sorted(self.caller.inference_ids),
                metadata=metadata,
            )
        return self.json(shown_once(issued))

    put = post

    def get(self, request: Request) -> HttpResponse:
        wanted = {name: self.plain.GET.get(name, "").strip() for name in ("id", *_FILTERS)}
        flags = {name: flag(self.plain, name) for name in _FLAGS}
        _check_get(wanted, flags["owner"])
        found = self._matching(wanted, flags["owner"])
        if wanted["id"]:
            found = found.filter(id=wanted["id"])
        if flags["active_only"]:
            found = found.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), invalidated_at=None)
        if flags["with_limited_by"]:
            found = found.prefetch_related("owner__groups__permissions")
        shown = [shown_key(key, with_limited_by=flags["with_limited_by"]) for key in found]
        return self.json({"api_keys": shown}, status=404 if wanted["id"] and not shown else 200)

    def delete(self, request: Request) -> HttpResponse:
        fields = parse(self.plain.body, _INVALIDATE_PARSER, _INVALIDATE_FIELDS)
        ids = self._ids(fields)
        wanted = {name: fields.get(name, "").strip() for name in _FILTERS}
        owner = fields.get("owner", False)
        _check_invalidate(ids, wanted, owner)
        found = self._matching(wanted, owner)
        if ids:
            found = found.filter(id__in=ids)
        with transaction.atomic():
            earlier = list(found.exclude(invalidated_at=None).values_list("id", flat=True))
            invalidated = keys.invalidate(found)
        return self.json(
            {"invalidated_api_keys": invalidated, "previously_invalidated_api_keys": earlier, "error_count": 0}
        )

    def _parsed(self, field: str, read: Callable[[], _Value]) -> _Value:
        """Return what `read` returns; what it raises is told with the place of `field` in the body."""
        try:
            return read()
        except BadRequest as error:
            where = json.value_position(self.plain.body, field)
            raise BodyInvalid(f"{where} [{_CREATE_PARSER}] failed to parse field [{field}]", caused_by=error) from None

    def _matching(self, wanted: dict[str, str], owner: bool) -> QuerySet[ApiKey]:
        """Return the keys that the caller sees with the name, the user and the realm that are `wanted`; "" is any."""
        found = keys.visible_to(self.caller)
        # NUL characters, which PostgreSQL does not even look for, are in no name.
        if wanted["realm_name"] not in ("", REALM["name"]) or any("\0" in text for text in wanted.values()):
            return found.none()
        if owner:
            found = found.filter(owner_id=self.caller.user_id)
        if wanted["username"]:
            found = found.filter(owner__username=wanted["username"])
        return keys.named(found, wanted["name"]) if wanted["name"] else found

    def _ids(self, fields: dict[str, Any]) -> list[str]:
        """Return the ids of the keys to invalidate, none where the body names none."""
        if "id" in fields and "ids" in fields:
            raise BadRequest("Must use either [id] or [ids], not both at the same time")
        if "id" in fields:
            fields["ids"] = [fields["id"]]
        if "ids" not in fields:
            return []
        if not strings(fields["ids"]):
            where = json.value_position(self.plain.body, "ids")
            raise BodyInvalid(f"{where} [{_INVALIDATE_PARSER}] failed to parse field [ids]")
        ids: list[str] = fields["ids"]
        if not ids:
            raise RequestInvalid("Field [ids] cannot be an empty array")
        blank = [number for number, key_id in enumerate(ids) if not key_id.strip()]
        if blank:
            raise RequestInvalid(
                f"Field [ids] must not contain blank id, but got blank id at index position: {blank[:10]}"
            )
        if len(ids) > _MAX_IDS:
            raise RequestInvalid(f"Field [ids] takes at most [{_MAX_IDS}] ids, but got [{len(ids)}]")
        return ids


def _check_get(wanted: dict[str, str], owner: bool) -> None:
    whose = wanted["username"] or wanted["realm_name"]
    _refuse(
        {
            "username or realm name must not be specified when the api key id or api key name is specified": (
                (wanted["id"] or wanted["name"]) and whose
            ),
            "neither username nor realm-name may be specified when retrieving owned API keys": owner and whose,
            "only one of [api key id, api key name] can be specified": wanted["id"] and wanted["name"],
        }
    )


def _check_invalidate(ids: list[str], wanted: dict[str, str], owner: bool) -> None:
    whose = wanted["username"] or wanted["realm_name"]
    _refuse(
        {
            "One of [api key id(s), api key name, username, realm name] must be specified if [owner] flag is false": (
                not (ids or wanted["name"] or whose or owner)
            ),
            "username or realm name must not be specified when the api key id(s) or api key name are specified": (
                (ids or wanted["name"]) and whose
            ),
            "neither username nor realm-name may be specified when invalidating owned API keys": owner and whose,
            "only one of [api key id(s), api key name] can be specified": ids and wanted["name"],
        }
    )


def _refuse(problems: dict[str, Any]) -> None:
    """Raise RequestInvalid with the sentences that are true."""
    true = [sentence for sentence, is_true in problems.items() if is_true]
    if true:
        raise RequestInvalid(*true)
