"""What a delete would break: API keys that are limited to an endpoint, and whoever still uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from access.models import ApiKey, User
from access.teams import managed_by
from endpoints.models import Endpoint

MOST_NAMED = 20


@dataclass(slots=True)
class Consequences:
    """`keys` are MOST_NAMED at most of those that `user` may know of; `others` is how many there are besides."""

    keys: list[ApiKey] = field(default_factory=list)
    others: int = 0


def consequences(endpoint: Endpoint, user: User) -> Consequences:
    """Return the keys that work and are limited to `endpoint`, by name where they are his or his teams'."""
    limited = _limited_to(endpoint)
    known = limited if user.is_superuser else limited.filter(Q(owner=user) | Q(team__in=managed_by(user.caller)))
    keys = list(known.select_related("owner", "team")[:MOST_NAMED])
    return Consequences(keys, limited.count() - len(keys))


def count_keys(endpoints: Iterable[Endpoint]) -> Counter[str]:
    """Return how many keys that work are limited to each of `endpoints`, by inference id, with one query for all."""
    chosen = {endpoint.inference_id for endpoint in endpoints}
    limits = _working().exclude(inference_ids=[]).values_list("inference_ids", flat=True)
    return Counter(name for limit in limits.iterator() for name in chosen.intersection(limit))


def _limited_to(endpoint: Endpoint) -> QuerySet[ApiKey]:
    # SQLite has no operator for what is in a list; an inference id has no character that JSON would write otherwise.
    named = _working().annotate(ids=Cast("inference_ids", TextField()))
    return named.filter(ids__contains=f'"{endpoint.inference_id}"').order_by("name", "id")


def _working() -> QuerySet[ApiKey]:
    unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(unexpired, invalidated_at=None)
