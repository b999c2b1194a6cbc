"""API keys in the admin: everyone's own, those of the teams that he leads, and, for superusers, all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from access import keys, teams
from access.key_examples import examples
from access.key_forms import NewKeyForm, RotateForm, StoredKeyForm
from access.models import ApiKey, Team, User

_JUST_NOW = timedelta(minutes=1)
_STYLES = {"active": "good", "expired": "off", "invalidated": "bad"}
_GONE = "There is no such API key that still works; perhaps it was revoked."


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in _STYLES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        match self.value():
            case "active":
                return queryset.filter(unexpired, invalidated_at=None)
            case "expired":
                return queryset.filter(expires_at__lte=timezone.now(), invalidated_at=None)
            case "invalidated":
                return queryset.exclude(invalidated_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "holder", "state", "may", "expires_at", "last_used", "id")
    list_filter = (StateFilter, "created_at", "expires_at")
    list_per_page = 50
    # It counts nothing, so there is no "all" to choose either.
    paginator = InfinitePaginator
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("name", "id", "owner__username", "team__slug")
    search_help_text = "Name, id, user or team"
    ordering = ("-created_at",)
    actions = ("invalidate",)
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "holder", "may", "state", "last_four", "created_at", "made_by", "last_used")

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        state = _state(key)
        return format_html('<span class="state {}">{}</span>', _STYLES[state], state)

    @admin.display(description="of")
    def holder(self, key: ApiKey) -> str:
        return key.holder

    @admin.display(description="may do")
    def may(self, key: ApiKey) -> str:
        rights = key.team_role or ", ".join(key.role_descriptors) or "all that its owner may do"
        limit = len(key.inference_ids)
        return rights if not limit else f"{rights}, with {limit} endpoint{'' if limit == 1 else 's'}"

    @admin.display(description="created by", empty_value="nobody who is still there")
    def made_by(self, key: ApiKey) -> str | None:
        return key.created_by.username if key.created_by else None

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        if key.last_used_at is None:
            return "never"
        recent = timezone.now() - key.last_used_at < _JUST_NOW
        when = "just now" if recent else f"{timesince(key.last_used_at, depth=1)} ago"
        return f"{when} from {key.last_used_from}" if key.last_used_from else when

    @admin.action(description="Revoke…", permissions=["change"])
    def invalidate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Show what is about to stop working, and revoke it where that was ticked."""
        if "understood" in request.POST:
            self._revoke(request, queryset)
            return None
        context = {"keys": queryset, "action": "invalidate", "checkbox": helpers.ACTION_CHECKBOX_NAME}
        return self._page(request, "access/revoke.html", "Revoke API keys", context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return keys.visible_to(_user(request).caller)

    def get_urls(self) -> list[Any]:
        own = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"access_apikey_{name}")
            for name, view in (("rotate", self.rotate_view), ("revoke", self.revoke_view))
        ]
        return [*own, *super().get_urls()]

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, form=StoredKeyForm if change else NewKeyForm, **kwargs)
        # The class was made for this request.
        form.user = _user(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        is_superuser = _user(request).is_superuser
        advanced = ("Advanced", {"fields": ["role_descriptors", "metadata"], "classes": ["collapse"]})
        last = [advanced] if is_superuser else []
        if obj is not None:
            facts = ("About", {"fields": list(self.readonly_fields)})
            return [(None, {"fields": ["name", "inference_ids", "expires_at"]}), facts, *last]
        owner = ["owner"] if is_superuser else []
        team = ["team"] if self._teams(request).exists() else []
        fields = ["name", *owner, *team, "rights", "inference_ids", "lasts", "expires_at"]
        return [(None, {"fields": fields}), *last]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self.readonly_fields

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "team":
            kwargs["queryset"] = self._teams(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        key = kwargs.get("obj")
        more: dict[str, Any] = {"works": key is not None and _state(key) == "active"}
        if key is None:
            # The page that follows shows the key, and no form.
            more |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        response: HttpResponse = super().render_change_form(request, {**context, **more}, *args, **kwargs)
        return response

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = _user(request)
            # Kept with this request alone, for response_add.
            request.issued_key = keys.give_secret(obj)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, request.issued_key)  # type: ignore[attr-defined]

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give out a key in the place of another, which works on for the time that was chosen."""
        key = self._working(request, object_id)
        if key is None:
            return self._back(request)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._page(request, "access/rotate.html", "Rotate API key", {"form": form, "original": key})
        with transaction.atomic():
            issued = keys.rotate(key, created_by_id=_user(request).pk, overlap=form.overlap)
            self.log_change(request, key, f"Rotated: {issued.key.id} takes its place.")
            self.log_addition(request, issued.key, f"Made in the place of {key.id}.")
        return self._shown_once(request, issued, replaced=key)

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self._working(request, object_id)
        if key is None:
            return self._back(request)
        if request.method == "POST" and "understood" in request.POST:
            self._revoke(request, ApiKey.objects.filter(pk=key.pk))
            return HttpResponseRedirect(_list())
        return self._page(request, "access/revoke.html", "Revoke API key", {"keys": [key], "original": key})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return _is_staff(request) and (obj is None or _manages(_user(request), obj))

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Others revoke: the row says later what the key was."""
        return _is_staff(request) and _user(request).is_superuser

    def _teams(self, request: HttpRequest) -> QuerySet[Team]:
        """Return the teams that the user may make keys of, by the rule of `teams.require_keys_of`."""
        user = _user(request)
        return Team.objects.all() if user.is_superuser else Team.objects.filter(pk__in=teams.managed_by(user.caller))

    def _working(self, request: HttpRequest, object_id: str) -> ApiKey | None:
        """Return the key, None where it does not exist for the user or does not work any more."""
        found: ApiKey | None = self.get_object(request, unquote(object_id))
        return found if found is not None and _state(found) == "active" else None

    def _revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with transaction.atomic():
            ids = keys.invalidate(queryset)
            for key in ApiKey.objects.in_bulk(ids).values():
                self.log_change(request, key, "Revoked.")
        self.message_user(request, f"Revoked: {len(ids)}", messages.SUCCESS)

    def _shown_once(self, request: HttpRequest, issued: keys.IssuedKey, replaced: ApiKey | None = None) -> HttpResponse:
        """Show the key, this once: in the answer itself, since a message would wait in a cookie or a session."""
        address = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
        context = {
            "issued": issued,
            "replaced": replaced,
            "examples": examples(address, issued.key, issued.encoded),
        }
        return self._page(request, "access/api_key_created.html", "API key created", context)

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "list": _list()}
        return TemplateResponse(request, template, {**shared, **context})

    def _back(self, request: HttpRequest) -> HttpResponse:
        self.message_user(request, _GONE, messages.ERROR)
        return HttpResponseRedirect(_list())


def _state(key: ApiKey) -> str:
    if key.invalidated_at is not None:
        return "invalidated"
    return "expired" if key.is_expired(timezone.now()) else "active"


def _manages(user: User, key: ApiKey) -> bool:
    """Say of one key what `keys.visible_to` says of all."""
    return user.is_superuser or key.owner_id == user.pk or key.team_id in teams.managed_by(user.caller)


def _list() -> str:
    return reverse("admin:access_apikey_changelist")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
