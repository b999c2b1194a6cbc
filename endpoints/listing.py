"""The list of endpoints in the admin: its columns of state and use, and its filters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.views import ChangeList

from access import teams
from access.models import User
from endpoints.faults import faults
from endpoints.models import Endpoint

_JUST_NOW = timedelta(minutes=1)
# No team is called so.
_NO_TEAM = "-"
_GOOD = ("enabled", "good")


class EndpointList(ChangeList):  # type: ignore[misc]
    """One page of endpoints, each with its `fault`."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.get_filters_params() and not self.query:
            # What the page calls a part of all endpoints is all of them.
            self.full_result_count = self.result_count
        self.result_list: list[Endpoint] = list(self.result_list)
        found = faults(Endpoint.objects.filter(pk__in=[endpoint.pk for endpoint in self.result_list]))
        for endpoint in self.result_list:
            endpoint.fault = found.get(endpoint.pk, "")  # type: ignore[attr-defined]


def state(endpoint: Any) -> str:
    """Return the state as a label; `endpoint` has a `fault`."""
    name, style = ("disabled", "off") if not endpoint.enabled else ("broken", "bad") if endpoint.fault else _GOOD
    return format_html('<span class="state {}" title="{}">{}</span>', style, endpoint.fault, name)


def last_used(endpoint: Endpoint) -> str:
    if endpoint.last_used_at is None:
        return "never"
    recent = timezone.now() - endpoint.last_used_at < _JUST_NOW
    when = "just now" if recent else f"{timesince(endpoint.last_used_at, depth=1)} ago"
    return f"{when} by {endpoint.last_used_by}" if endpoint.last_used_by else when


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("enabled", "enabled"), ("disabled", "disabled"), ("broken", "broken")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        match self.value():
            case "enabled":
                return queryset.filter(enabled=True).exclude(pk__in=faults(queryset))
            case "disabled":
                return queryset.filter(enabled=False)
            case "broken":
                return queryset.filter(enabled=True, pk__in=faults(queryset))
        return queryset


class TeamFilter(admin.SimpleListFilter):
    title = "team"
    parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        assert isinstance(request.user, User)
        caller = request.user.caller
        shared = [(_NO_TEAM, "shared by all teams")] if "monitor_inference" in caller.privileges else []
        return [*shared, *teams.visible_to(caller).values_list("slug", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        value = self.value()
        if value == _NO_TEAM:
            return queryset.filter(team=None)
        return queryset.filter(team__slug=value) if value else queryset
