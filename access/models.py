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
from access.privileges import LIMITED, PERMISSIONS, SUPERUSER, Caller, expand

MAX_NAME_LENGTH = 1024
# The rule, and the sentence, of Elasticsearch for users and for roles.
NAME_PATTERN = r"[!-~](?:[ -~]{0,1022}[!-~])?"
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
        """Whether the admin opens for this user."""
        return self.is_superuser or self.has_perm("access.manage_inference")

    @cached_property
    def caller(self) -> Caller:
        """The user as a caller. Like Django's own permission cache it lives as long as this object."""
        names = list(self.groups.values_list("name", flat=True))
        return Caller(
            user_id=self.pk,
            username=self.username,
            roles=tuple(sorted([*names, SUPERUSER] if self.is_superuser else names)),
            undefined_roles=tuple(sorted(self.undefined_roles)),
            privileges=expand(self._privileges()),
            full_name=self.full_name,
            email=self.email,
            metadata=self.metadata,
        )

    def _privileges(self) -> Iterable[str]:
        if not self.is_active:
            return ()
        if self.is_superuser:
            return ("all",)
        held = self.get_all_permissions()
        # Everyone may keep keys of his own.
        return ("manage_own_api_key", *(name for name in PERMISSIONS if f"access.{name}" in held))


class ApiKey(models.Model):
    """An API key. Of its secret only a keyed digest and the last characters are stored (see access.keys)."""

    id = models.CharField(primary_key=True, max_length=20, default=new_key_id, editable=False)
    name = models.CharField(max_length=256)
    owner = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
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

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name = "API key"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.id} ({self.name})"

    def __repr__(self) -> str:
        return f"<ApiKey {self}>"

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    @property
    def caller(self) -> Caller:
        """The key as a caller: what the key was given, of what its owner may do now."""
        owner = self.owner.caller
        privileges = owner.privileges
        if self.role_descriptors:
            given = {name for role in self.role_descriptors.values() for name in role["cluster"]}
            privileges &= expand(given)
        if self.inference_ids:
            privileges &= LIMITED
        return replace(
            owner,
            privileges=privileges,
            api_key_id=self.id,
            api_key_name=self.name,
            inference_ids=frozenset(self.inference_ids),
        )


class ConfigVersion(models.Model):
    """The one row whose number every writer raises; see access.cache."""

    number = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)
