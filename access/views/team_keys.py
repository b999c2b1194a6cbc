"""`/_gateway/teams/<slug>/api_keys`: the API keys of a team, which stay when those leave who made them."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from access import keys, teams
from access.authentication import SecuredView
from access.bodies import Fields, parse_all
from access.key_ids import is_key_id
from access.models import Team
from access.serializers import shown_key, shown_once
from wire.errors import BadRequest, NotFound, RequestInvalid

CREATE = "cluster:admin/gateway/team/api_key/create"
GET = "cluster:admin/gateway/team/api_key/get"
INVALIDATE = "cluster:admin/gateway/team/api_key/invalidate"

_FIELDS: Fields = {"name": str, "role": str, "expiration": str, "inference_ids": list}
MAX_IDS = 1000
LONGEST_ID = 500


class TeamKeysView(SecuredView):
    """`/_gateway/teams/<slug>/api_keys`."""

    actions = {"GET": GET, "POST": CREATE}
    bodies = {"POST": "required"}

    def get(self, request: Request, slug: str) -> HttpResponse:
        team = _managed(self, slug)
        found = team.api_keys.select_related("owner", "team")
        return self.json({"api_keys": [shown_key(key, with_limited_by=False) for key in found]})

    def post(self, request: Request, slug: str) -> HttpResponse:
        team = _managed(self, slug)
        wanted = _wanted(self.plain.body)
        try:
            with transaction.atomic():
                issued = keys.create(team_id=team.pk, created_by_id=self.caller.user_id, **wanted)
        except IntegrityError:
            raise teams.changed_meanwhile(team) from None
        return self.json(shown_once(issued))


class TeamKeyView(SecuredView):
    """`/_gateway/teams/<slug>/api_keys/<id>`."""

    actions = {"DELETE": INVALIDATE}

    def delete(self, request: Request, slug: str, key_id: str) -> HttpResponse:
        team = _managed(self, slug)
        # What cannot be an id may hold characters that a database does not take.
        found = team.api_keys.filter(id=key_id if is_key_id(key_id) else "")
        with transaction.atomic():
            if not found.exists():
                raise NotFound(f"API key not found [{key_id[:80]}]")
            keys.invalidate(found)
        return self.json({"acknowledged": True})


def _managed(view: SecuredView, slug: str) -> Team:
    """Return the team whose keys the caller manages. Raise NotFound or Forbidden."""
    team = teams.find(view.caller, slug)
    teams.require_keys_of(view.caller, team)
    return team


def _wanted(body: bytes) -> dict[str, Any]:
    """Return what the new key is to be. Raise RequestInvalid, which names all that is wrong."""
    fields, problems = parse_all(body, "api_key_request", _FIELDS, required=("name",))
    role, inference_ids = fields.get("role", "inference_user"), fields.get("inference_ids")
    expires_at = None
    try:
        expires_at = keys.expiry(fields.get("expiration"))
    except BadRequest as error:
        problems.append(error.reason)
    problems += [*teams.role_problems(role), *_id_problems(inference_ids)]
    problems += keys.name_problems(fields["name"]) if "name" in fields else []
    if problems:
        raise RequestInvalid(*problems)
    return {
        "name": fields["name"],
        "team_role": role,
        "expires_at": expires_at,
        "inference_ids": sorted(set(inference_ids or ())),
    }


def _id_problems(inference_ids: list[Any] | None) -> list[str]:
    # Whether there is such an endpoint is not asked: it may be made later, and may be another team's.
    if inference_ids is None:
        return []
    if not inference_ids:
        # Stored, it would be no limit at all.
        return ["[inference_ids] names no endpoint; leave it out for all of the team"]
    if len(inference_ids) > MAX_IDS:
        return [f"[inference_ids] takes no more than {MAX_IDS} ids"]
    if not all(isinstance(one, str) and 0 < len(one) <= LONGEST_ID for one in inference_ids):
        return [f"[inference_ids] takes ids of 1 to {LONGEST_ID} characters"]
    return []
