"""The cards of the home page. Each is a function of the user; one that is not for him has none.

To add one, write a function that returns a Card and put it into CARDS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timeuntil

from access import keys, teams
from access.models import User
from endpoints.faults import faults
from endpoints.models import Endpoint
from usage import summary

_METRICS = "cluster:monitor/prometheus/metrics"
_EXPIRE_SOON = timedelta(days=14)
_MOST_LINES = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A name with its number; `address` is where a click leads."""

    name: str
    number: str
    address: str = ""
    big: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """`note` stands below the lines; where there are none, it says what would be here and how it comes."""

    title: str
    lines: Sequence[Line]
    note: str = ""
    address: str = ""
    """Where `note` leads."""


def endpoints(user: User) -> Card | None:
    found = Endpoint.objects.filter(teams.reachable(user.caller))
    states = list(found.order_by().values_list("enabled", flat=True))
    address = reverse("admin:endpoints_endpoint_changelist")
    if not states:
        may = user.has_perm("access.manage_inference")
        note = "There is none yet: add one." if may else "None is open to you yet; ask who leads your team."
        return Card("Inference endpoints", [], note, reverse("admin:endpoints_endpoint_add") if may else "")
    enabled, broken = sum(states), len(faults(found.filter(enabled=True)))
    counts = {"enabled": enabled - broken, "disabled": len(states) - enabled, "broken": broken}
    lines = [Line("in all", str(len(states)), address, big=True)]
    lines += [Line(state, str(count), f"{address}?state={state}") for state, count in counts.items()]
    return Card("Inference endpoints", lines, "Broken ones cannot be used as they are stored." if broken else "")


def running(user: User) -> Card | None:
    if not _sees_metrics(user):
        note = "See what you, and the teams that you lead, have running."
        return Card("Running now", [], note, reverse("live_streams"))
    now = summary.read()
    lines = [Line("streams", str(now.streams), big=True), Line("waiting for a rate limit", str(now.waiting))]
    return Card("Running now", lines, "In all processes of this machine.", reverse("live_streams"))


def requests(user: User) -> Card | None:
    if not _sees_metrics(user):
        return None
    since = summary.read()
    if not since.requests:
        return Card("Requests since the start", [], "No request has ended yet.")
    part = since.errors / since.requests
    lines = [
        Line("requests", f"{since.requests:,}", big=True),
        Line("failed", f"{since.errors:,} ({part:.1%})"),
        Line("refused by the gateway", f"{since.refused:,}"),
    ]
    return Card("Requests since the start", lines)


def first_deltas(user: User) -> Card | None:
    if not _sees_metrics(user):
        return None
    waits = summary.read().waits[:_MOST_LINES]
    title = "Slowest first deltas"
    if not waits:
        return Card(title, [], "No delta has been sent since the start.")
    lines = [
        Line(f"{one.provider}, {one.operation}", "longer" if one.seconds is None else f"≤ {one.seconds:g} s")
        for one in waits
    ]
    return Card(title, lines, "What 95 of 100 requests waited since the start.")


def expiring_keys(user: User) -> Card | None:
    now = timezone.now()
    expiring = keys.visible_to(user.caller).filter(
        invalidated_at=None, expires_at__gt=now, expires_at__lte=now + _EXPIRE_SOON
    )
    # One more than is shown, to know whether there are more.
    found = list(expiring.select_related("owner", "team").order_by("expires_at")[: _MOST_LINES + 1])
    title = "API keys that expire soon"
    if not found:
        return Card(title, [], "None in the next two weeks.")
    lines = [
        Line(
            f"{key.name} of {key.holder}",
            f"in {timeuntil(key.expires_at, now, depth=1)}",
            reverse("admin:access_apikey_change", args=[key.pk]),
        )
        for key in found[:_MOST_LINES]
        if key.expires_at
    ]
    note = "And more; see all." if len(found) > _MOST_LINES else ""
    return Card(title, lines, note, reverse("admin:access_apikey_changelist") if note else "")


CARDS: Final[Sequence[Callable[[User], Card | None]]] = (endpoints, running, requests, first_deltas, expiring_keys)


def _sees_metrics(user: User) -> bool:
    """Whether numbers of all teams together are for the user.

    They cannot be cut: metrics count by service and outcome, and name neither endpoints nor teams, of which there may
    be any number.
    """
    return user.caller.may(_METRICS) or "manage_inference" in user.caller.privileges
