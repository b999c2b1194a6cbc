"""Inference endpoints in the admin. What happens is what happens in the API, and so is who may do what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.admin import ModelAdmin
from unfold.forms import AdminForm

from access import actors, teams
from access.actors import Actor
from access.models import User
from endpoints import configuration, lifecycle, listing, trials
from endpoints.bulk_actions import BulkActions
from endpoints.deletion import consequences
from endpoints.faults import fault
from endpoints.forms import KindForm, SettingsForm, Tab
from endpoints.gateway_form import Teams
from endpoints.history_admin import WithHistory
from endpoints.listing import EndpointList, StateFilter, TeamFilter
from endpoints.models import Endpoint
from endpoints.providers import names
from wire.errors import ApiError

_KIND = ("inference_id", "service", "task_type")
_GONE = "This inference endpoint does not exist; perhaps it was deleted."


@admin.register(Endpoint)
class EndpointAdmin(WithHistory, BulkActions, ModelAdmin):  # type: ignore[misc]
    list_display = ("inference_id", "service", "task_type", "team_name", "state", "last_used")
    list_filter = ("service", "task_type", StateFilter, TeamFilter)
    list_select_related = ("team",)
    list_per_page = 50
    search_fields = ("inference_id",)
    show_full_result_count = False
    actions = ("enable", "disable", "test", "move", "delete_selected")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        found: QuerySet[Endpoint] = super().get_queryset(request)
        return found.filter(teams.reachable(_user(request).caller))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EndpointList]:
        return EndpointList

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return request.user.has_perm("access.monitor_inference", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return request.user.has_perm("access.manage_inference", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return self.has_change_permission(request, obj)

    @admin.display(description="team", ordering="team__name", empty_value="shared")
    def team_name(self, endpoint: Endpoint) -> str | None:
        return endpoint.team.name if endpoint.team else None

    @admin.display(description="state", ordering="enabled")
    def state(self, endpoint: Endpoint) -> str:
        return listing.state(endpoint)

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, endpoint: Endpoint) -> str:
        return listing.last_used(endpoint)

    def get_urls(self) -> list[Any]:
        own = [
            path("<path:object_id>/test/", self.admin_site.admin_view(self.test_view), name="endpoints_endpoint_test"),
            path(
                "<path:object_id>/state/", self.admin_site.admin_view(self.state_view), name="endpoints_endpoint_state"
            ),
        ]
        return [*own, *super().get_urls()]

    # The views below take the place of Django's, which hold a transaction open while they save: here the provider is
    # asked meanwhile.

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the kind of endpoint first; it goes into the address of the page that asks for its settings."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        kind = KindForm(request.GET if "service" in request.GET else None)
        if not kind.is_valid():
            tabs: list[Tab] = [("", [(None, {"fields": _KIND})])]
            return self._page(request, kind, tabs, "endpoints/choose_kind.html")
        form = SettingsForm(_data(request), kind.cleaned_data, Teams.of(_user(request).caller))
        if form.is_valid() and (endpoint := self._created(request, form, kind.cleaned_data)):
            return self._tested_next(request, endpoint) or self.response_add(request, endpoint)
        return self._page(request, form, form.tabs())

    @method_decorator(sensitive_post_parameters())
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form; to those who may only use the endpoint, without what they could change."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        endpoint = self.get_object(request, unquote(object_id))
        if endpoint is None:
            return self._back(request, _GONE)
        if endpoint.service not in names():
            return self._back(request, f"Service [{endpoint.service}] not found")
        may_change = self.has_change_permission(request, endpoint)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        form = self._form(request, endpoint)
        if not may_change:
            form.show_only()
        elif form.is_valid() and self._updated(request, form, endpoint):
            return self._tested_next(request, endpoint) or self.response_change(request, endpoint)
        return self._page(request, form, form.tabs(), endpoint=endpoint)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show what a delete would break, and delete only where that was ticked."""
        endpoint = self._to_manage(request, object_id)
        if endpoint is None:
            return self._back(request, _GONE)
        if request.method == "POST" and "understood" in request.POST:
            try:
                lifecycle.delete(endpoint.inference_id, by=_actor(request), judged=endpoint)
            except ApiError as error:
                return self._back(request, error.reason)
            gone: HttpResponse = self.response_delete(request, str(endpoint), endpoint.pk)  # type: ignore[arg-type,unused-ignore]
            return gone
        context = {
            **self._context(request, "Delete inference endpoint", endpoint),
            "limited": consequences(endpoint, _user(request)),
            "last_used": listing.last_used(endpoint),
            "unticked": request.method == "POST",
        }
        return TemplateResponse(request, "endpoints/delete.html", context)

    @method_decorator(sensitive_post_parameters())
    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the provider something short and show what came; asked for with GET, show the button that does."""
        endpoint = self._to_manage(request, object_id)
        if endpoint is None:
            return self._back(request, _GONE)
        context = self._context(request, "Test inference endpoint", endpoint)
        if request.method == "POST":
            context["trial"] = trials.run([endpoint])[0]
        return TemplateResponse(request, "endpoints/trial.html", context)

    def state_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Enable or disable, as the button said that was pressed."""
        endpoint = self._to_manage(request, object_id)
        if endpoint is None:
            return self._back(request, _GONE)
        if request.method == "POST" and request.POST.get("state") in ("enabled", "disabled"):
            enabled = request.POST["state"] == "enabled"
            self._set(request, Endpoint.objects.filter(pk=endpoint.pk), request.POST["state"].title(), enabled=enabled)
        return HttpResponseRedirect(self._address("change", endpoint))

    def _to_manage(self, request: HttpRequest, object_id: str) -> Endpoint | None:
        """Return the endpoint, None where it does not exist for the user. Raise PermissionDenied for who only uses."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        endpoint: Endpoint | None = self.get_object(request, unquote(object_id))
        if endpoint is not None and not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        return endpoint

    def _form(self, request: HttpRequest, endpoint: Endpoint) -> SettingsForm:
        kind = {name: getattr(endpoint, name) for name in _KIND}
        teams_of_user = Teams.of(_user(request).caller)
        return SettingsForm(_data(request), kind, teams_of_user, endpoint, configuration.shown(endpoint))

    def _created(self, request: HttpRequest, form: SettingsForm, kind: dict[str, str]) -> Endpoint | None:
        try:
            return lifecycle.create(
                kind["inference_id"], kind["task_type"], form.body(), gateway=form.gateway(), by=_actor(request)
            )
        except ApiError as error:
            form.refuse(error)
            return None

    def _updated(self, request: HttpRequest, form: SettingsForm, endpoint: Endpoint) -> bool:
        body, gateway, by = form.body(), form.gateway(), _actor(request)
        try:
            if body:
                lifecycle.update(endpoint.inference_id, None, body, gateway=gateway, by=by, judged=endpoint)
            else:
                # Nothing of its service can be changed.
                lifecycle.set_gateway(endpoint.inference_id, gateway, by=by, judged=endpoint)
        except ApiError as error:
            form.refuse(error)
            return False
        return True

    def _tested_next(self, request: HttpRequest, endpoint: Endpoint) -> HttpResponse | None:
        """Return where "Save and test" leads: the browser sends its POST on to the test."""
        if "_test" not in request.POST:
            return None
        response = HttpResponseRedirect(self._address("test", endpoint))
        response.status_code = 307
        return response

    def _back(self, request: HttpRequest, reason: str) -> HttpResponse:
        self.message_user(request, reason, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:endpoints_endpoint_changelist"))

    def _address(self, page: str, endpoint: Endpoint) -> str:
        return reverse(f"admin:endpoints_endpoint_{page}", args=[endpoint.pk])

    def _context(self, request: HttpRequest, title: str, endpoint: Endpoint | None = None) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "subtitle": endpoint and str(endpoint),
            "opts": self.opts,
            "original": endpoint,
            "media": self.media,
            "preserved_filters": self.get_preserved_filters(request),
        }

    def _page(
        self,
        request: HttpRequest,
        form: KindForm | SettingsForm,
        tabs: list[Tab],
        template: str = "",
        endpoint: Endpoint | None = None,
    ) -> HttpResponse:
        adminform = AdminForm(form, [section for _, sections in tabs for section in sections], {}, model_admin=self)
        shown = [self._tab(form, title, sections) for title, sections in tabs]
        may_change = endpoint is None or self.has_change_permission(request, endpoint)
        verb = "Add" if endpoint is None else "Change" if may_change else "View"
        context = {
            **self._context(request, f"{verb} inference endpoint", endpoint),
            "adminform": adminform,
            "tabs": shown,
            "first_tab": next((one["slug"] for one in shown if one["errors"]), shown[0]["slug"]),
            "may_change": may_change,
            "fault": endpoint and fault(endpoint),
            "last_used": endpoint and listing.last_used(endpoint),
            "errors": form.errors,
            "is_popup": False,
            "inline_admin_formsets": [],
        }
        if template:
            return TemplateResponse(request, template, {**context, "add": True})
        is_new = endpoint is None
        # With the query: it says which kind of endpoint a new one is.
        address = request.get_full_path()
        return self.render_change_form(request, context, add=is_new, change=not is_new, obj=endpoint, form_url=address)

    def _tab(self, form: KindForm | SettingsForm, title: str, sections: Any) -> dict[str, Any]:
        fields = [name for _, options in sections for name in options["fields"]]
        return {
            "title": title,
            "slug": title.lower(),
            "sections": list(AdminForm(form, sections, {}, model_admin=self)),
            "errors": sum(name in form.errors for name in fields),
        }


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _actor(request: HttpRequest) -> Actor:
    return actors.of_session(_user(request), request)


def _data(request: HttpRequest) -> Any:
    return request.POST if request.method == "POST" else None
