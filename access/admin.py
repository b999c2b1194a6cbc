"""Users, roles and API keys in the admin. Users and roles are for superusers; everyone sees keys of his own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from access import accounts, keys
from access.forms import ApiKeyForm, LoginForm, NewUserForm, RoleForm, UserForm
from access.models import ApiKey, User

admin.site.login_form = LoginForm
admin.site.unregister(Group)


class SuperusersOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """The tables that decide about rights; who could write them would have them all."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


@admin.register(User)
class UserAdmin(SuperusersOnly, DjangoUserAdmin):  # type: ignore[type-arg]
    form = UserForm
    add_form = NewUserForm
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("username", "password", "is_active")}),
        ("Roles", {"fields": ("is_superuser", "groups", "undefined_roles")}),
        ("About", {"fields": ("full_name", "email", "metadata", "last_login", "date_joined")}),
    )
    readonly_fields = ("undefined_roles", "last_login", "date_joined")
    list_display = ("username", "full_name", "roles", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    search_fields = ("username", "full_name", "email")
    filter_horizontal = ("groups",)

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(user.caller.roles)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, needed, protected = super().get_deleted_objects(objs, request)
        if accounts.is_last_superuser(objs):
            protected = [*protected, accounts.NO_SUPERUSER_LEFT]
        return to_delete, counts, needed, protected


@admin.register(Group)
class RoleAdmin(SuperusersOnly):
    form = RoleForm
    list_display = ("name", "privileges")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("permissions")

    @admin.display(description="privileges")
    def privileges(self, group: Group) -> str:
        return ", ".join(permission.codename for permission in group.permissions.all())


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("expired", "expired"), ("invalidated", "invalidated")]

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
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ApiKeyForm
    list_display = ("name", "id", "owner", "state", "created_at", "expires_at", "last_four")
    list_filter = (StateFilter, "created_at", "expires_at")
    list_select_related = ("owner",)
    search_fields = ("name", "id", "owner__username")
    ordering = ("-created_at",)
    actions = ("invalidate",)
    readonly_fields = ("id", "state", "last_four", "created_at", "created_by", "invalidated_at")

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.invalidated_at is not None:
            return "invalidated"
        return "expired" if key.is_expired(timezone.now()) else "active"

    @admin.action(description="Invalidate selected API keys", permissions=["change"])
    def invalidate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with transaction.atomic():
            ids = keys.invalidate(queryset)
            for key in ApiKey.objects.in_bulk(ids).values():
                self.log_change(request, key, "Invalidated.")
        self.message_user(request, f"Invalidated: {len(ids)}", messages.SUCCESS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        found = super().get_queryset(request)
        return found if _is_superuser(request) else found.filter(owner_id=request.user.pk)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        fields = ["name", "owner", "expires_at", "role_descriptors", "inference_ids", "metadata"]
        if not _is_superuser(request) and obj is None:
            fields.remove("owner")
        return fields if obj is None else [*fields, *self.readonly_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "owner")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk}

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            assert isinstance(request.user, User)
            obj.created_by = request.user
            if not _is_superuser(request):
                obj.owner = request.user
            # Kept with this request alone, for response_add.
            request.issued_key = keys.give_secret(obj)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key, this once: in the answer itself, since a message would wait in a cookie or a session."""
        issued: keys.IssuedKey = request.issued_key  # type: ignore[attr-defined]
        context = {**self.admin_site.each_context(request), "title": "API key created", "opts": self.opts}
        return TemplateResponse(request, "access/api_key_created.html", {**context, "issued": issued})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return self._is_his(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return self._is_his(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Others invalidate: the row says later what the key was."""
        return _is_superuser(request)

    def _is_his(self, request: HttpRequest, key: ApiKey | None) -> bool:
        if key is None or _is_superuser(request):
            return _is_staff(request)
        return _is_staff(request) and key.owner_id == request.user.pk


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
