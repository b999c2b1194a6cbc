"""The history in the admin: of all endpoints that one manages, and behind a tab that of each. It is only read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList as UnfoldChangeList

from access import actors, teams
from access.models import User
from endpoints import history, restoring
from endpoints.models import Change, Endpoint
from wire.errors import ApiError, SettingsInvalid

# The database walks past all that comes before a page.
_FURTHEST_PAGE = 40
# In the list; the page of a change shows all of it.
_LINES = 5
_LONGEST_VALUE = 60
_STATES = {"created": "good", "enabled": "good", "restored": "good", "deleted": "bad", "disabled": "off"}
_SHARED = "-"
_NOTHING = "–"
_SEARCHED = ("inference_id", "changed_by", "api_key_id")


class Pages(InfinitePaginator):  # type: ignore[misc]
    """Counts nothing. What is further back than 40 pages is found with the filters.

    Only the rows of the page are read: which those are, an index says alone.
    """

    @property
    def count(self) -> int:
        return _FURTHEST_PAGE * int(self.per_page)

    def _get_page(self, object_list: QuerySet[Change], *arguments: Any) -> Page[Change]:
        ids = list(object_list.values_list("pk", flat=True))
        rows = Change.objects.in_bulk(ids)
        page: Page[Change] = super()._get_page([rows[pk] for pk in ids], *arguments)
        return page


class ChangeList(UnfoldChangeList):  # type: ignore[misc]
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Said to be all there are, so that the page does not name a number that nobody counted.
        self.full_result_count = self.result_count


class TeamFilter(admin.SimpleListFilter):
    title = "team"
    parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        caller = _user(request).caller
        shared = [(_SHARED, "shared by all teams")] if caller.in_all_teams else []
        return [*shared, *teams.visible_to(caller).values_list("slug", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Change]) -> QuerySet[Change]:
        slug, caller = self.value(), _user(request).caller
        if slug is None:
            return queryset
        if slug == _SHARED and caller.in_all_teams:
            return queryset.filter(team_id=None)
        # What is none of the choices was never anybody's.
        found = teams.visible_to(caller).filter(slug=slug)
        return queryset.filter(team_id__in=list(found.values_list("pk", flat=True)))


@admin.register(Change)
class ChangeAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("time", "inference_id", "version", "what", "differences", "changed_by", "came_from")
    list_display_links = ("time",)
    list_filter = ("action", "origin", TeamFilter, "at")
    list_per_page = 50
    paginator = Pages
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    search_fields = ("inference_id",)
    search_help_text = "Inference id, user or API key id"
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        return history.visible_to(_user(request).caller)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Change], search_term: str
    ) -> tuple[QuerySet[Change], bool]:
        """Find whole names, by their indexes; a part of one would be looked for in every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        # Mostly it is found in one column, whose index then says the order too.
        columns = [name for name in _SEARCHED if Change.objects.filter(**{name: term}).exists()]
        found = reduce(or_, (Q(**{name: term}) for name in columns), Q(pk__in=()))
        return queryset.filter(found), False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:
        return request.user.has_perm("access.manage_inference")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:
        return False

    @admin.display(description="time")
    def time(self, change: Change) -> str:
        return f"{change.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="what")
    def what(self, change: Change) -> str:
        return format_html('<span class="state {}">{}</span>', _state(change), _what(change))

    @admin.display(description="difference")
    def differences(self, change: Change) -> str:
        lines = list(_lines(change))
        texts = [_line(*line) for line in lines[:_LINES]]
        if len(lines) > _LINES:
            texts.append(f"and {len(lines) - _LINES} more")
        return format_html("<div>{}</div>", format_html_join("", "<div>{}</div>", ((text,) for text in texts)))

    @admin.display(description="from")
    def came_from(self, change: Change) -> str:
        by = change.api_key_name or change.get_origin_display()
        return f"{by}, {change.address}" if change.address else by

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="endpoints_change_changelist"),
            path("<path:object_id>/restore/", view(self.restore_view), name="endpoints_change_restore"),
            path("<path:object_id>/change/", view(self.change_view), name="endpoints_change_change"),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show one change: all that is different, and what the endpoint was afterwards."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        change: Change | None = self.get_object(request, unquote(object_id))
        if change is None:
            return self._gone(request)
        return TemplateResponse(request, "endpoints/change.html", self._context(request, change))

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether the version is to be restored; asked with POST, restore it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        change: Change | None = self.get_object(request, unquote(object_id))
        endpoint = None if change is None else _endpoint(change)
        if change is None or endpoint is None:
            return self._gone(request)
        reasons: list[str] = []
        if request.method == "POST":
            reasons = self._restored(request, endpoint, change.version)
            if not reasons:
                return HttpResponseRedirect(_history_of(endpoint.pk))
        context = self._context(request, change) | {
            "title": "Restore an earlier version",
            "reasons": reasons,
            "lines": _shown_lines(restoring.difference(endpoint, change)),
        }
        return TemplateResponse(request, "endpoints/restore.html", context)

    def _restored(self, request: HttpRequest, endpoint: Endpoint, version: int) -> list[str]:
        """Restore a version and say so on the next page; return why it was not."""
        try:
            if restoring.restore(endpoint, version, by=actors.of_session(_user(request), request)):
                text = f"{endpoint} has the settings of version {version} again."
            else:
                text = f"{endpoint} has the settings of version {version} already."
            self.message_user(request, text)
            return []
        except ApiError as error:
            return _reasons(error)

    def _gone(self, request: HttpRequest) -> HttpResponse:
        self.message_user(request, "There is no such version of an inference endpoint.", messages.ERROR)
        return HttpResponseRedirect(reverse("admin:endpoints_change_changelist"))

    def _context(self, request: HttpRequest, change: Change) -> dict[str, Any]:
        endpoint = _endpoint(change)
        return {
            **self.admin_site.each_context(request),
            "title": "Change of an inference endpoint",
            "subtitle": str(change),
            "opts": self.opts,
            "change": change,
            "endpoint": endpoint,
            "history": _history_of(change.endpoint_id),
            "state": _state(change),
            "what": _what(change),
            "came_from": _came_from(change),
            "lines": list(_lines(change)),
            "settings": json.dumps(change.settings, indent=2, sort_keys=True, ensure_ascii=False),
        }


class WithHistory:
    """An admin of endpoints whose history is ours, and not the one that Django keeps of its pages."""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(_history_of(unquote(object_id)))


def _endpoint(change: Change) -> Endpoint | None:
    """Return the endpoint that was changed, None where it is gone. Whoever sees a change of it manages it."""
    return Endpoint.objects.filter(pk=change.endpoint_id).first()


def _history_of(endpoint_id: object) -> str:
    return f"{reverse('admin:endpoints_change_changelist')}?{urlencode({'endpoint_id': endpoint_id})}"


def _state(change: Change) -> str:
    """Return the class that colors the action."""
    return _STATES.get(change.action, "plain")


def _what(change: Change) -> str:
    if change.restored_version is not None:
        return f"{change.action} version {change.restored_version}"
    return change.action


def _came_from(change: Change) -> str:
    by = f"API key {change.api_key_name} ({change.api_key_id})" if change.api_key_id else change.get_origin_display()
    return f"{by}, {change.address}" if change.address else by


def _lines(change: Change) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each setting that is different, with its values before and after; secrets come first."""
    for name, done in change.secrets.items():
        yield name, "", f"({done})"
    yield from _shown_lines(change.difference)


def _shown_lines(difference: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["setting"], _value(one, "before"), _value(one, "after")) for one in difference]


def _value(one: Mapping[str, Any], name: str) -> str:
    if name not in one:
        return _NOTHING
    value = one[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(name: str, before: str, after: str) -> str:
    shown = _shortened(after)
    return f"{name}: {shown}" if before in ("", _NOTHING) else f"{name}: {_shortened(before)} → {shown}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _reasons(error: ApiError) -> list[str]:
    """Return all that is wrong, with its causes."""
    if isinstance(error, SettingsInvalid):
        return list(error.problems)
    return [error.reason, *(_reasons(error.caused_by) if error.caused_by else ())]


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
