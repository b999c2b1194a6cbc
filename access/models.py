"""The rows: users, their API keys, and the version number by which processes notice changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property

from access.key_ids import new_key_id
from access.privileges import LIMITED, PERMISSIONS, SUPERUSER, TEAM_ROLES, Caller, expand

MAX_NAME_LENGTH = 1024
MAX_TEAM_NAME_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 2000
# The rule, and the sentence, of Elasticsearch for users and for roles.
NAME_PATTERN = r"[!-~](?:[ -~]{0,1022}[!-~])?"
SLUG_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?"
INVALID_SLUG = "Use up to 60 lower case letters, digits and hyphens; the first and last a letter or digit."
INVALID_NAME = (
    f"{{}} names must be at least 1 and no more than {MAX_NAME_LENGTH} characters. They can contain alphanumeric "
    "characters (a-z, A-Z, 0-9), spaces, punctuation, and printable symbols in the Basic Latin (ASCII) block. "
    "Leading or trailing whitespace is not allowed."
)


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> User:
        """Store and return a user; without a password he cannot log in."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(username, password, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A user. His roles are Django's groups; the role `superuser` is `is_superuser`."""

    username = models.CharField(
        "user name",
        max_length=MAX_NAME_LENGTH,
        unique=True,
        validators=[RegexValidator(rf"\A{NAME_PATTERN}\Z", INVALID_NAME.format("User"))],
    )
    full_name = models.CharField("full name", max_length=1024, blank=True)
    email = models.CharField("email address", max_length=1024, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField("enabled", default=True, help_text="A disabled user and his API keys are refused.")
    date_joined = models.DateTimeField("created", default=timezone.now, editable=False)
    undefined_roles = models.JSONField(
        "undefined roles",
        default=list,
        blank=True,
        editable=False,
        help_text="Names of roles that were assigned but do not exist. They grant nothing.",
    )

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["username"]
        # What a role can hold; the tables themselves are for superusers.
        default_permissions = ()
        permissions = list(PERMISSIONS.items())

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"<User {self.username}>"

    @property
    def is_staff(self) -> bool:
        """Whether the admin opens for this user: it has pages for all who may use any endpoint."""
        return self.is_superuser or self.has_perm("access.monitor_inference")

    @cached_property
    def caller(self) -> Caller:
        """The user as a caller. Like Django's own permission cache it lives as long as this object."""
        names = list(self.groups.values_list("name", flat=True))
        privileges = expand(self._privileges())
        return Caller(
            user_id=self.pk,
            username=self.username,
            roles=tuple(sorted([*names, SUPERUSER] if self.is_superuser else names)),
            undefined_roles=tuple(sorted(self.undefined_roles)),
            privileges=privileges,
            full_name=self.full_name,
            email=self.email,
            metadata=self.metadata,
            teams=self._teams(),
            in_all_teams="manage_inference" in privileges,
        )

    def _teams(self) -> dict[int, frozenset[str]]:
        if not self.is_active:
            return {}
        return {team_id: TEAM_ROLES[role] for team_id, role in self.memberships.values_list("team_id", "role")}

    def _privileges(self) -> Iterable[str]:
        if not self.is_active:
            return ()
        if self.is_superuser:
            return ("all",)
        held = self.get_all_permissions()
        # Everyone may keep keys of his own.
        return ("manage_own_api_key", *(name for name in PERMISSIONS if f"access.{name}" in held))


ROLE_CHOICES = [("inference_user", "uses endpoints"), ("inference_admin", "manages endpoints")]


class Team(models.Model):
    """Owns endpoints and API keys, which for all but its members do not exist."""

    name = models.CharField(max_length=MAX_TEAM_NAME_LENGTH, unique=True)
    slug = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(rf"\A{SLUG_PATTERN}\Z", INVALID_SLUG)],
        help_text="What requests call the team, as in ?team=search. It stays.",
    )
    description = models.TextField(blank=True, max_length=MAX_DESCRIPTION_LENGTH)
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    class Meta:
        ordering = ["name"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user in a team, with a role that counts for the team's endpoints alone."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES, default="inference_user")

    class Meta:
        ordering = ["user__username"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="one_role_in_each_team"),
            models.CheckConstraint(condition=models.Q(role__in=list(TEAM_ROLES)), name="a_role_that_there_is"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class ApiKey(models.Model):
    """An API key of a user, or of a team, which keeps it when its members leave.

    Of its secret only a keyed digest and the last characters are stored (see access.keys).
    """

    id = models.CharField(primary_key=True, max_length=20, default=new_key_id, editable=False)
    name = models.CharField(max_length=256)
    owner = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="api_keys")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="api_keys")
    team_role = models.CharField("role in the team", max_length=20, choices=ROLE_CHOICES, blank=True)
    digest = models.BinaryField(max_length=32, editable=False)
    last_four = models.CharField("last four characters", max_length=4, editable=False)
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name="created by"
    )
    expires_at = models.DateTimeField("expires", null=True, blank=True, help_text="Empty: never.")
    invalidated_at = models.DateTimeField("invalidated", null=True, editable=False)
    role_descriptors = models.JSONField(
        "role descriptors",
        default=dict,
        blank=True,
        help_text='Narrow what the owner may do, as in {"app": {"cluster": ["monitor_inference"]}}. '
        "Empty: all that the owner may do.",
    )
    inference_ids = models.JSONField(
        "inference endpoints",
        default=list,
        blank=True,
        help_text='Ids of the only endpoints that the key reaches, as in ["my-chat"]. Empty: no limit.',
    )
    metadata = models.JSONField(default=dict, blank=True)
    # Written by access.last_use, seconds later and without news for other processes.
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    last_used_from = models.CharField("last used from", max_length=45, blank=True, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name = "API key"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(owner=None, team__isnull=False) | models.Q(owner__isnull=False, team=None),
                name="of_a_user_or_of_a_team",
            ),
            models.CheckConstraint(
                condition=models.Q(team=None, team_role="")
                | models.Q(team__isnull=False, team_role__in=list(TEAM_ROLES)),
                name="a_role_in_its_team",
                violation_error_message="A key of a team has a role in it, a key of a user has none.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    def __repr__(self) -> str:
        return f"<ApiKey {self}>"

    @property
    def holder(self) -> str:
        """Who the key acts for, as messages and lists name him."""
        return self.owner.username if self.owner else _team_name(self.team)

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    @property
    def caller(self) -> Caller:
        """The key as a caller: what the key was given, of what its user may do now or of its role in its team."""
        whole = _team_caller(self.team, self.team_role) if self.owner is None else self.owner.caller
        teams = {team_id: self._narrowed(privileges) for team_id, privileges in whole.teams.items()}
        return replace(
            whole,
            privileges=self._narrowed(whole.privileges),
            teams={team_id: privileges for team_id, privileges in teams.items() if privileges},
            api_key_id=self.id,
            api_key_name=self.name,
            inference_ids=frozenset(self.inference_ids),
        )

    def _narrowed(self, privileges: frozenset[str]) -> frozenset[str]:
        if self.role_descriptors:
            given = {name for role in self.role_descriptors.values() for name in role["cluster"]}
            privileges &= expand(given)
        return privileges & LIMITED if self.inference_ids else privileges


def _team_caller(team: Team | None, role: str) -> Caller:
    assert team is not None
    return Caller(user_id=0, username=_team_name(team), teams={team.pk: TEAM_ROLES[role]}, team_id=team.pk)


def _team_name(team: Team | None) -> str:
    return f"team {team.slug}" if team else ""


class ConfigVersion(models.Model):
    """The one row whose number every writer raises; see access.cache."""

    number = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)
