"""Inference endpoints in the admin, for those who may manage them. What happens is what happens in the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import actions, helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from endpoints import configuration, lifecycle
from endpoints.forms import KindForm, SettingsForm
from endpoints.models import Endpoint
from endpoints.providers import names
from endpoints.time_limits import MEANINGS
from wire.errors import ApiError

_KIND = ("inference_id", "service", "task_type")


@admin.register(Endpoint)
class EndpointAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("inference_id", "service", "task_type", "updated_at")
    list_filter = ("service", "task_type")
    search_fields = ("inference_id",)
    actions = ("delete_selected",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_view_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return self._may(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return self._may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return self._may(request, obj)

    # The two views below take the place of Django's, which hold a transaction open while they save: here the provider
    # is asked meanwhile.

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the kind of endpoint first; it goes into the address of the page that asks for its settings."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        kind = KindForm(request.GET if "service" in request.GET else None)
        if not kind.is_valid():
            return self._page(request, kind, [(None, {"fields": _KIND})], "endpoints/choose_kind.html")
        form = SettingsForm(_data(request), kind.cleaned_data)
        if form.is_valid() and (endpoint := self._created(form, kind.cleaned_data)):
            self.log_addition(request, endpoint, [{"added": {}}])
            return self.response_add(request, endpoint)
        return self._page(request, form, form.fieldsets())

    @method_decorator(sensitive_post_parameters())
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        endpoint = self.get_object(request, unquote(object_id))
        if endpoint is None:
            return self._back(request, "This inference endpoint does not exist; perhaps it was deleted.")
        if endpoint.service not in names():
            return self._back(request, f"Service [{endpoint.service}] not found")
        kind = {name: getattr(endpoint, name) for name in _KIND}
        secrets = set(endpoint.secrets.values_list("name", flat=True))
        limits = {name: getattr(endpoint, name) for name in MEANINGS}
        form = SettingsForm(_data(request), kind, configuration.shown(endpoint), secrets, limits)
        if form.is_valid() and self._updated(form, endpoint):
            self.log_change(request, endpoint, self.construct_change_message(request, form, []))
            return self.response_change(request, endpoint)
        return self._page(request, form, form.fieldsets(), endpoint=endpoint)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ApiError as error:
            return self._back(request, error.reason)

    def delete_model(self, request: HttpRequest, obj: Endpoint) -> None:
        lifecycle.delete(obj.inference_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for endpoint in queryset:
            lifecycle.delete(endpoint.inference_id)

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Delete all of them or, where one is being updated, none."""
        try:
            with transaction.atomic():
                return actions.delete_selected(self, request, queryset)
        except ApiError as error:
            self.message_user(request, error.reason, messages.ERROR)
            return None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Secrets go with their endpoint; they are no objects of their own for anybody."""
        endpoints = list(objs)
        return [str(one) for one in endpoints], {self.opts.verbose_name_plural: len(endpoints)}, set(), []

    def _may(self, request: HttpRequest, endpoint: Endpoint | None = None) -> bool:
        return request.user.has_perm("access.manage_inference", endpoint)

    def _created(self, form: SettingsForm, kind: dict[str, str]) -> Endpoint | None:
        try:
            return lifecycle.create(kind["inference_id"], kind["task_type"], form.body(), limits=form.limits())
        except ApiError as error:
            form.refuse(error)
            return None

    def _updated(self, form: SettingsForm, endpoint: Endpoint) -> bool:
        try:
            lifecycle.update(endpoint.inference_id, None, form.body(), limits=form.limits())
        except ApiError as error:
            form.refuse(error)
            return False
        return True

    def _back(self, request: HttpRequest, reason: str) -> HttpResponse:
        self.message_user(request, reason, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:endpoints_endpoint_changelist"))

    def _page(
        self,
        request: HttpRequest,
        form: KindForm | SettingsForm,
        fieldsets: Any,
        template: str = "",
        endpoint: Endpoint | None = None,
    ) -> HttpResponse:
        adminform = helpers.AdminForm(form, fieldsets, {}, model_admin=self)  # type: ignore[arg-type]
        context = {
            **self.admin_site.each_context(request),
            "title": "Add inference endpoint" if endpoint is None else "Change inference endpoint",
            "subtitle": endpoint and str(endpoint),
            "adminform": adminform,
            "object_id": endpoint and endpoint.pk,
            "original": endpoint,
            "is_popup": False,
            "to_field": None,
            "media": self.media + adminform.media,
            "inline_admin_formsets": [],
            "errors": helpers.AdminErrorList(form, []),  # type: ignore[arg-type]
            "preserved_filters": self.get_preserved_filters(request),
        }
        if template:
            return TemplateResponse(request, template, {**context, "opts": self.opts, "add": True})
        is_new = endpoint is None
        # With the query: it says which kind of endpoint a new one is.
        address = request.get_full_path()
        return self.render_change_form(request, context, add=is_new, change=not is_new, obj=endpoint, form_url=address)


def _data(request: HttpRequest) -> Any:
    return request.POST if request.method == "POST" else None
