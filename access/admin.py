"""Users, roles and teams in the admin: for superusers; everyone sees his teams. API keys are in `access.key_admin`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import accounts, key_admin, teams  # noqa: F401 (key_admin registers its own)
from access.forms import LoginForm, MemberForm, NewUserForm, RoleForm, TeamForm, UserForm
from access.models import Membership, Team, User
from access.privileges import SUPERUSER

MOST_NAMED = 20

admin.site.login_form = LoginForm
admin.site.unregister(Group)
# What Django calls a group is a role here; a model of our own would be the same table with news of its own.
Group._meta.verbose_name, Group._meta.verbose_name_plural = "role", "roles"


class SuperusersOnly(ModelAdmin):  # type: ignore[misc]
    """The tables that decide about rights; who could write them would have them all.

    `goes_with` are the relations whose rows a delete takes with it, each with its name on the page that asks.
    """

    goes_with: Mapping[str, str] = {}

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

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse before the object is looked for: Django does it after, and so says which there are."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown: HttpResponse = super().history_view(request, object_id, extra_context)
        return shown

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes in numbers: a user, or a team, may have thousands of API keys."""
        chosen = list(objs)
        counts = {str(self.opts.verbose_name if len(chosen) == 1 else self.opts.verbose_name_plural): len(chosen)}
        for relation, name in self.goes_with.items():
            field: Any = self.model._meta.get_field(relation)
            counts[name] = field.related_model.objects.filter(**{f"{field.remote_field.name}__in": chosen}).count()
        return [str(one) for one in chosen], counts, set(), []


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
    search_help_text = "User name, full name or email address"
    show_full_result_count = False
    goes_with = {"api_keys": "API keys", "memberships": "memberships of teams"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """There are few roles: each is a box to tick."""
        return super().formfield_for_manytomany(db_field, request, widget=UnfoldAdminCheckboxSelectMultipleWidget)

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        names = [group.name for group in user.groups.all()]
        return ", ".join(sorted([*names, SUPERUSER] if user.is_superuser else names)) or "none"

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, needed, protected = super().get_deleted_objects(objs, request)
        if accounts.is_last_superuser(objs):
            protected = [accounts.NO_SUPERUSER_LEFT]
        return to_delete, counts, needed, protected


@admin.register(Group)
class RoleAdmin(SuperusersOnly):
    form = RoleForm
    list_display = ("name", "privileges")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        found: QuerySet[Group] = super().get_queryset(request)
        return found.prefetch_related("permissions")

    @admin.display(description="privileges", empty_value="none")
    def privileges(self, group: Group) -> str | None:
        return ", ".join(permission.codename for permission in group.permissions.all()) or None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        roles, *rest = super().get_deleted_objects(objs, request)
        holders = User.objects.filter(groups__in=list(objs)).distinct().count()
        return [*roles, f"Users who lose it: {holders}"], *rest


class Members(TabularInline):  # type: ignore[misc]
    model = Membership
    form = MemberForm
    verbose_name = "member"
    autocomplete_fields = ("user",)
    hide_title = True
    readonly_fields = ("username", "role_held")
    extra = 0

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who only reads it gets names: what Django shows of a user is a link to a page that is not for him."""
        return ("user", "role") if _is_superuser(request) else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        found: QuerySet[Membership] = super().get_queryset(request)
        return found.select_related("user")

    @admin.display(description="User")
    def username(self, membership: Membership) -> str:
        return membership.user.username

    @admin.display(description="Role")
    def role_held(self, membership: Membership) -> str:
        return membership.get_role_display()

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
    show_full_result_count = False
    goes_with = {"memberships": "memberships", "api_keys": "API keys"}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Team | None = None) -> bool:
        if not _is_staff(request):
            return False
        visible = teams.visible_to(_user(request).caller)
        if obj is not None:
            return visible.filter(pk=obj.pk).exists()
        # Where there is no team yet, somebody has to make the first.
        return _is_superuser(request) or visible.exists()

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

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, needed, _ = super().get_deleted_objects(objs, request)
        named = [f"{one}: delete it, or move it to another team, first" for one in _endpoints_of(objs)]
        return to_delete, counts, needed, named

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


def _endpoints_of(chosen: Any) -> list[str]:
    """Return the inference ids of teams, the first MOST_NAMED of them."""
    # The table is that of a room above.
    model: Any = Team._meta.get_field("endpoints").related_model
    found = model.objects.filter(team__in=list(chosen)).order_by("inference_id")
    return list(found.values_list("inference_id", flat=True)[:MOST_NAMED])


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
