"""What happened to endpoints: each change is a row, written in the transaction that makes it.

`lifecycle` is the one place that writes, so the API, the admin and the commands leave the same traces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q, QuerySet, UUIDField
from django.db.models.functions import Cast

from access import teams
from access.actors import Actor
from access.privileges import Caller
from endpoints.models import Change, Endpoint
from endpoints.time_limits import MEANINGS

_COLUMNS = ("service", "task_type", "service_settings", "task_settings", "chunking_settings", "dimensions", "enabled")
_DELETED: Mapping[str, Any] = {}
# So many are named one by one; to find them among others, an index would be walked to its end.
_FEW = 500


def record(
    endpoint: Endpoint, by: Actor, secrets: Mapping[str, str] | None = None, restored_version: int | None = None
) -> None:
    """Add what `endpoint` is now as its newest version.

    To be called in the transaction that wrote the row: its lock keeps the versions consecutive. `secrets` is as
    `changed_secrets` returns it.
    """
    _add(endpoint, by, shown(endpoint), dict(secrets or {}), restored_version)


def record_deletion(endpoint: Endpoint, by: Actor) -> None:
    """Add that `endpoint`, whose row is locked, is no more."""
    _add(endpoint, by, _DELETED, {}, None)


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """Return all of `endpoint` that may be shown; secret values are not in its row."""
    limits = {name: seconds for name in MEANINGS if (seconds := getattr(endpoint, name)) is not None}
    team = None if endpoint.team is None else endpoint.team.slug
    return {**{name: getattr(endpoint, name) for name in _COLUMNS}, "time_limits": limits, "team": team}


def changed_secrets(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Return `set`, `replaced` or `cleared` for each secret that is not what it was, by name."""
    found = {}
    for name in sorted({*before, *after}):
        if name not in before:
            found[name] = "set"
        elif name not in after:
            found[name] = "cleared"
        elif before[name] != after[name]:
            found[name] = "replaced"
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings that differ, each as `setting`, a dotted path, with the values `before` and `after`.

    One that was not there has no `before`, one that is gone has no `after`.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        {
            "setting": ".".join(path),
            **({"before": old[path]} if path in old else {}),
            **({"after": new[path]} if path in new else {}),
        }
        for path in sorted({*old, *new})
        if path not in old or path not in new or old[path] != new[path]
    ]


def visible_to(caller: Caller) -> QuerySet[Change]:
    """Return the changes of the endpoints that `caller` manages or, where one was deleted, managed to the end."""
    changes = Change.objects.all()
    if caller.in_all_teams:
        return changes
    managed = teams.managed_by(caller)
    own = Endpoint.objects.filter(team_id__in=managed).order_by().values("pk")
    deleted = Change.objects.filter(action=Change.Action.DELETED, team_id__in=managed).order_by().values("endpoint_id")
    # Each by itself, since PostgreSQL reads all rows for "in these or in those".
    of_own, of_deleted = changes.filter(endpoint_id__in=own), changes.filter(endpoint_id__in=deleted)
    few = [
        pk
        for (pk,) in of_own.order_by()
        .values_list("pk")
        .union(of_deleted.order_by().values_list("pk"), all=True)[: _FEW + 1]
    ]
    if len(few) <= _FEW:
        return changes.filter(pk__in=few)
    # All that the index of endpoints finds would have to be sorted for a page. As an expression the column is none of
    # that index, and SQLite walks the one that has the order until the page is full.
    walked = changes.alias(changed_endpoint=Cast("endpoint_id", UUIDField()))
    return walked.filter(Q(changed_endpoint__in=own) | Q(changed_endpoint__in=deleted))


def _add(
    endpoint: Endpoint, by: Actor, settings: Mapping[str, Any], secrets: dict[str, str], restored_version: int | None
) -> None:
    last = Change.objects.filter(endpoint_id=endpoint.pk).order_by("-version").first()
    changed = difference(last.settings if last else {}, settings) if settings else []
    Change.objects.create(
        endpoint_id=endpoint.pk,
        inference_id=endpoint.inference_id,
        version=last.version + 1 if last else 1,
        action=Change.Action.RESTORED if restored_version else _action(settings, changed, secrets, is_first=not last),
        changed_by=by.name,
        origin=by.origin,
        api_key_id=by.api_key_id,
        api_key_name=by.api_key_name,
        address=by.address,
        team_id=endpoint.team_id,
        settings=settings,
        difference=changed,
        secrets=secrets,
        restored_version=restored_version,
    )


def _action(
    settings: Mapping[str, Any], changed: list[dict[str, Any]], secrets: Mapping[str, str], *, is_first: bool
) -> Change.Action:
    if not settings:
        return Change.Action.DELETED
    if is_first:
        return Change.Action.CREATED
    names = {one["setting"] for one in changed}
    if secrets or len(names) != 1:
        return Change.Action.UPDATED
    if names == {"team"}:
        return Change.Action.MOVED
    if names == {"enabled"}:
        return Change.Action.ENABLED if settings["enabled"] else Change.Action.DISABLED
    return Change.Action.UPDATED


def _leaves(settings: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value that is no object, or an empty one, with the path to it; null is the same as absent."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, name))
        elif value is not None and value != {}:
            yield (*above, name), value
