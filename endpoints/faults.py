"""Which endpoints cannot be used as they are stored: their service is gone, or a secret cannot be read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from endpoints import catalog
from endpoints.models import Endpoint
from endpoints.providers import names

_MOST_KNOWN = 10_000
# To look into an endpoint means to decrypt its secrets. Whatever changes one changes `updated_at`, but for the command
# that deletes secrets that cannot be read; without them the endpoint is as broken as before.
_known: dict[UUID, tuple[datetime, str]] = {}


def faults(endpoints: QuerySet[Endpoint]) -> dict[UUID, str]:
    """Return why each broken one of `endpoints` cannot be used. Those that were looked at before are not read again."""
    changed = dict(endpoints.order_by().values_list("pk", "updated_at"))
    fresh = [pk for pk, at in changed.items() if pk not in _known or _known[pk][0] != at]
    if len(_known) + len(fresh) > _MOST_KNOWN:
        _known.clear()
        fresh = list(changed)
    for endpoint in _read(fresh):
        _known[endpoint.pk] = endpoint.updated_at, fault(endpoint)
    return {pk: _known[pk][1] for pk in changed if pk in _known and _known[pk][1]}


def fault(endpoint: Endpoint) -> str:
    """Return why `endpoint` cannot be used, "" where it can."""
    if endpoint.service not in names():
        return f"Service [{endpoint.service}] not found"
    chosen, unreadable = catalog.opened(endpoint)
    return "; ".join(unreadable.values()) or "; ".join(problem.text for problem in chosen.problems())


def _read(pks: list[UUID]) -> list[Endpoint]:
    return list(Endpoint.objects.filter(pk__in=pks).prefetch_related("secrets")) if pks else []
