"""Teams: for whom there are which, who is in them, and what belongs to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q, QuerySet

from access import passwords
from access.models import (
    INVALID_SLUG,
    MAX_DESCRIPTION_LENGTH,
    MAX_TEAM_NAME_LENGTH,
    SLUG_PATTERN,
    Membership,
    Team,
    User,
)
from access.privileges import TEAM_ROLES, Caller
from wire.errors import BadRequest, Forbidden, NotFound, RequestInvalid, StatusError

_slug = re.compile(SLUG_PATTERN)
_MAX_NAMED = 10


def visible_to(caller: Caller) -> QuerySet[Team]:
    """Return the teams that there are for `caller`: his own, or all; for a key that is limited to endpoints none."""
    if caller.inference_ids:
        return Team.objects.none()
    if caller.in_all_teams or "manage_security" in caller.privileges:
        return Team.objects.all()
    return Team.objects.filter(pk__in=caller.teams)


def find(caller: Caller, slug: str) -> Team:
    """Return the team. Raise NotFound for one that is not there, and for one that is not there for `caller`."""
    team = visible_to(caller).filter(slug=slug).first() if _slug.fullmatch(slug) else None
    if team is None:
        raise not_found(slug)
    return team


def not_found(slug: str) -> NotFound:
    return NotFound(f"Team not found [{slug[:80]}]")


def managed_by(caller: Caller) -> list[int]:
    """Return the ids of the teams whose endpoints `caller` manages by a role in the team."""
    return [team_id for team_id, privileges in caller.teams.items() if "manage_inference" in privileges]


def require_keys_of(caller: Caller, team: Team) -> None:
    """Raise Forbidden unless `caller` manages the API keys of `team`, which outlive him. With a key no member does."""
    is_lead = caller.api_key_id is None and team.pk in managed_by(caller)
    if not is_lead and "manage_security" not in caller.privileges:
        raise Forbidden(
            f"API keys of team [{team.slug}] are managed by its members with the role [inference_admin], "
            "who log in with a password, and by those with the cluster privilege [manage_security]"
        )


def of_new_endpoint(caller: Caller, slug: str | None) -> int | None:
    """Return the id of the team that an endpoint made by `caller` belongs to, None where it is to be shared.

    `slug` is the team that was asked for. Raise BadRequest where there is none such for the caller, and where it has
    to be said which of his teams is meant.
    """
    if slug is not None:
        return _named(caller, slug)
    if caller.team_id is not None or "manage_inference" in caller.privileges:
        return caller.team_id
    managed = managed_by(caller)
    if len(managed) == 1:
        return managed[0]
    slugs = ", ".join(Team.objects.filter(pk__in=managed).order_by("slug").values_list("slug", flat=True))
    raise BadRequest(f"the parameter [team] is missing: say in which of your teams the endpoint is to be, [{slugs}]")


def reachable(caller: Caller) -> Q:
    """Return the condition for a query of endpoints that `Caller.reaches` is for one of them."""
    found = Q(pk__in=())
    if "monitor_inference" in caller.privileges:
        shared = Q() if caller.in_all_teams else Q(team=None)
        found |= shared & (Q(pk__isnull=False) if "manage_inference" in caller.privileges else Q(enabled=True))
    if not caller.in_all_teams:
        used = [team_id for team_id, privileges in caller.teams.items() if "monitor_inference" in privileges]
        found |= Q(team__in=used, enabled=True) | Q(team__in=managed_by(caller))
    return found & Q(inference_id__in=caller.inference_ids) if caller.inference_ids else found


def put(slug: str, *, name: str | None = None, description: str | None = None) -> Team:
    """Store a team; what is None stays as it is, or is the slug and "". Raise RequestInvalid where a name is taken.

    The texts have none of the `problems`.
    """
    changes = {key: text for key, text in (("name", name), ("description", description)) if text is not None}
    try:
        with transaction.atomic():
            team, _ = Team.objects.update_or_create(
                slug=slug, defaults=changes, create_defaults={"name": slug, **changes}
            )
    except IntegrityError:
        raise RequestInvalid(f"another team has the name [{name or slug}]") from None
    return team


def problems(slug: str, *, name: str | None = None, description: str | None = None) -> Iterator[str]:
    """Yield what is wrong with what a team is to be."""
    if _slug.fullmatch(slug) is None:
        yield f"[{slug[:80]}] cannot be what a team is called. {INVALID_SLUG}"
    if name is not None and not (
        name.strip() == name != "" and name.isprintable() and len(name) <= MAX_TEAM_NAME_LENGTH
    ):
        yield f"[name] takes 1 to {MAX_TEAM_NAME_LENGTH} printable characters, the first and the last no blank"
    if description is not None and len(description) > MAX_DESCRIPTION_LENGTH:
        yield f"[description] takes no more than {MAX_DESCRIPTION_LENGTH} characters"


def delete(slug: str) -> None:
    """Delete a team with its API keys, which can do nothing any more. Raise StatusError while it has endpoints."""
    try:
        with transaction.atomic():
            team = Team.objects.filter(slug=slug).first() if _slug.fullmatch(slug) else None
            if team is None:
                raise not_found(slug)
            team.delete()
    except ProtectedError as error:
        raise _not_empty(slug, sorted(str(one) for one in error.protected_objects)) from None
    except IntegrityError:
        raise StatusError(f"Team [{slug}] was given an endpoint meanwhile, try again", status=409) from None


def set_member(team: Team, username: str, role: str) -> bool:
    """Give a user a role in `team`; return whether he is new there. Raise RequestInvalid, or StatusError (409)."""
    user = User.objects.filter(username=username).first() if passwords.is_username(username) else None
    if user is None:
        raise RequestInvalid(f"there is no user [{username[:80]}]")
    try:
        with transaction.atomic():
            _, created = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    except IntegrityError:
        raise changed_meanwhile(team) from None
    return created


def remove_member(team: Team, username: str) -> None:
    """Take a user out of `team`. Raise NotFound where he is not in it."""
    # A name that nobody can have may hold characters that a database does not take.
    members = team.memberships.filter(user__username=username if passwords.is_username(username) else "")
    with transaction.atomic():
        removed, _ = members.delete()
    if not removed:
        raise NotFound(f"User [{username[:80]}] is no member of team [{team.slug}]")


def role_problems(role: str) -> list[str]:
    """Return what is wrong with the role of a member, or of a key, in a team."""
    return [] if role in TEAM_ROLES else [f"[role] takes one of [{', '.join(TEAM_ROLES)}], but got [{role[:80]}]"]


def changed_meanwhile(team: Team) -> StatusError:
    """Return the error for a team, or a user, that was deleted while something was being stored for it."""
    return StatusError(f"Team [{team.slug}] was changed meanwhile, try again", status=409)


def _named(caller: Caller, slug: str) -> int:
    # A team that is not the caller's is not there for him.
    team = Team.objects.filter(slug=slug).first() if _slug.fullmatch(slug) else None
    if team is None or "manage_inference" not in caller.held_in(team.pk):
        raise BadRequest(f"there is no team [{slug[:80]}] whose endpoints you manage")
    return team.pk


def _not_empty(slug: str, inference_ids: list[str]) -> StatusError:
    named = ", ".join(inference_ids[:_MAX_NAMED])
    more = f" and {len(inference_ids) - _MAX_NAMED} more" if len(inference_ids) > _MAX_NAMED else ""
    reason = f"Team [{slug}] has inference endpoints; delete them, or move them to another team, first: [{named}]{more}"
    return StatusError(reason, status=409)
