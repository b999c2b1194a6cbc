"""Users, roles and teams in the admin: for superusers; everyone sees his teams. API keys are in `access.key_admin`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import accounts, key_admin, teams  # noqa: F401 (key_admin registers its own)
from access.forms import LoginForm, NewUserForm, RoleForm, TeamForm, UserForm
from access.models import Membership, Team, User

admin.site.login_form = LoginForm
admin.site.unregister(Group)


class SuperusersOnly(ModelAdmin):  # type: ignore[misc]
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
    change_password_form = AdminPasswordChangeForm
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

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """There are few roles: each is a box to tick."""
        return super().formfield_for_manytomany(db_field, request, widget=UnfoldAdminCheckboxSelectMultipleWidget)

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
        found: QuerySet[Group] = super().get_queryset(request)
        return found.prefetch_related("permissions")

    @admin.display(description="privileges")
    def privileges(self, group: Group) -> str:
        return ", ".join(permission.codename for permission in group.permissions.all())


class Members(TabularInline):  # type: ignore[misc]
    model = Membership
    verbose_name = "member"
    autocomplete_fields = ("user",)
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


@admin.register(Team)
class TeamAdmin(SuperusersOnly):
    """Superusers say who is in a team; its members see that."""

    form = TeamForm
    fields = ("name", "slug", "description")
    inlines = (Members,)
    list_display = ("name", "slug", "member_count", "endpoint_count", "key_count")
    search_fields = ("name", "slug")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        if not _is_staff(request):
            return False
        visible = teams.visible_to(_user(request).caller)
        return visible.exists() if obj is None else visible.filter(pk=obj.pk).exists()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        found: QuerySet[Team] = super().get_queryset(request)
        return found.filter(pk__in=teams.visible_to(_user(request).caller).values("pk")).annotate(
            members_counted=_count("memberships"),
            endpoints_counted=_count("endpoints"),
            keys_counted=_count("api_keys"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Team | None = None) -> tuple[str, ...]:
        """Addresses name a team by its slug."""
        return () if obj is None else ("slug",)

    @admin.display(description="members", ordering="members_counted")
    def member_count(self, team: Any) -> int:
        return int(team.members_counted)

    @admin.display(description="inference endpoints", ordering="endpoints_counted")
    def endpoint_count(self, team: Any) -> int:
        return int(team.endpoints_counted)

    @admin.display(description="API keys", ordering="keys_counted")
    def key_count(self, team: Any) -> int:
        return int(team.keys_counted)


def _count(relation: str) -> Coalesce:
    """Return how many there are, counted apart: joins of several relations would multiply one another."""
    related: Any = Team._meta.get_field(relation).related_model
    counted = related.objects.filter(team=OuterRef("pk")).order_by().values("team").annotate(n=Count("pk"))
    return Coalesce(Subquery(counted.values("n")), 0)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
