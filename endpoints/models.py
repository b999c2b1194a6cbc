"""The rows: an inference endpoint, and its secrets in a table of their own that no listing reads."""

from __future__ import annotations

import re
import uuid
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from access.actors import ORIGINS
from access.models import MAX_NAME_LENGTH, Team
from endpoints.time_limits import LONGEST_SECONDS, MEANINGS

LONGEST_ID = 500
LONGEST_SETTER = 1100
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_\-.]*[a-z0-9])?", re.ASCII)


def is_inference_id(text: str) -> bool:
    """Return whether an endpoint may be called `text`, but for its length."""
    return _ID.fullmatch(text) is not None and text != "_all"


def _time_limit(name: str) -> Any:
    return models.FloatField(
        null=True,
        blank=True,
        help_text=MEANINGS[name],
        validators=[MinValueValidator(0.001), MaxValueValidator(LONGEST_SECONDS)],
    )


class EndpointManager(models.Manager["Endpoint"]):
    def named(self, inference_id: str) -> Endpoint | None:
        """Return the endpoint of that id, None where there is none. What cannot be an id asks no database."""
        if len(inference_id) > LONGEST_ID or not is_inference_id(inference_id):
            return None
        return self.filter(inference_id=inference_id).first()


class Endpoint(models.Model):
    """An inference endpoint as it is shown; nothing in this table is secret.

    The settings are nested JSON, as in a request. Of a map whose values are secret only the names are here. The time
    limits are the gateway's own and not part of the API; None stands for the setting of the environment.
    """

    # Known before the row is stored: the secrets are bound to it.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    inference_id = models.CharField("inference id", max_length=LONGEST_ID, unique=True)
    task_type = models.CharField("task type", max_length=40)
    service = models.CharField(max_length=60)
    service_settings = models.JSONField("service settings", default=dict, blank=True)
    task_settings = models.JSONField("task settings", default=dict, blank=True)
    chunking_settings = models.JSONField("chunking settings", null=True, blank=True)
    dimensions = models.PositiveIntegerField(
        null=True, blank=True, editable=False, help_text="Length of the vectors, as the provider's answer had it."
    )
    team = models.ForeignKey(
        Team, models.PROTECT, null=True, blank=True, related_name="endpoints", help_text="Empty: shared by all teams."
    )
    enabled = models.BooleanField(default=True, help_text="A disabled endpoint is not found by who asks it.")
    connect_seconds = _time_limit("connect_seconds")
    first_delta_seconds = _time_limit("first_delta_seconds")
    idle_seconds = _time_limit("idle_seconds")
    stall_seconds = _time_limit("stall_seconds")
    total_seconds = _time_limit("total_seconds")
    write_seconds = _time_limit("write_seconds")
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("updated", auto_now=True)
    updating_since = models.DateTimeField(null=True, editable=False)
    # Written by usage.last_use, seconds later and without news for other processes.
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    last_used_by = models.CharField(max_length=LONGEST_SETTER, blank=True, editable=False)

    objects: ClassVar[EndpointManager] = EndpointManager()

    class Meta:
        ordering = ["inference_id"]
        verbose_name = "inference endpoint"
        # Rights are the privileges of the API (access.privileges), not one permission for each table.
        default_permissions = ()

    def __str__(self) -> str:
        return self.inference_id


class EndpointSecret(models.Model):
    """One secret setting of an endpoint, encrypted and bound to the endpoint and to the host it may be sent to.

    `set_at` and `set_by` say when its value was given and by whom, in the words in which lists name a caller.
    """

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=60)
    ciphertext = models.TextField()
    set_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: before this was noted.")
    set_by = models.CharField(max_length=LONGEST_SETTER, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["endpoint", "name"], name="one_value_for_each_secret")]

    def __str__(self) -> str:
        return f"{self.name} of {self.endpoint_id}"


class AppendOnly(models.QuerySet["Change"]):
    def update(self, **columns: Any) -> int:
        raise TypeError("History is only added to")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("History is only added to")


class Change(models.Model):
    """One change of an endpoint: who made it, and what the endpoint was afterwards. Written once, kept for ever.

    The columns of endpoint, team and API key are no foreign keys, since a change outlives all of them; `team_id` is
    None of a shared endpoint. `settings` is all that can be shown, by the names in `endpoints.history`, and empty
    after a delete. `difference` compares it with the version before. No secret is in either; `secrets` has the names
    of those that were set, replaced or cleared.
    """

    class Action(models.TextChoices):
        CREATED = "created"
        UPDATED = "updated"
        ENABLED = "enabled"
        DISABLED = "disabled"
        MOVED = "moved"
        RESTORED = "restored"
        DELETED = "deleted"

    endpoint_id = models.UUIDField()
    inference_id = models.CharField("inference id", max_length=LONGEST_ID)
    version = models.PositiveIntegerField(help_text="Counted for each endpoint, from 1.")
    action = models.CharField(max_length=10, choices=Action)
    at = models.DateTimeField("time", default=timezone.now)
    changed_by = models.CharField("changed by", max_length=MAX_NAME_LENGTH)
    origin = models.CharField("from", max_length=10, choices=list(ORIGINS.items()))
    api_key_id = models.CharField("API key", max_length=20, blank=True)
    api_key_name = models.CharField(max_length=256, blank=True)
    address = models.CharField(max_length=45, blank=True)
    team_id = models.BigIntegerField(null=True)
    settings = models.JSONField(default=dict)
    difference = models.JSONField(default=list)
    secrets = models.JSONField(default=dict)
    restored_version = models.PositiveIntegerField("restored version", null=True)

    objects = AppendOnly.as_manager()

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = "change"
        verbose_name_plural = "history"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["endpoint_id", "version"], name="versions_are_counted")]
        # Each is what a page looks for, in the order in which it shows it; so no page reads more rows than it shows.
        # Those of columns with few values have the others too: several filters at once read none that do not fit.
        indexes = [
            models.Index(fields=["at", "id", "endpoint_id", "action", "origin", "team_id"], name="change_at"),
            models.Index(fields=["action", "at", "id", "origin", "team_id", "endpoint_id"], name="change_action"),
            models.Index(fields=["origin", "at", "id", "action", "team_id", "endpoint_id"], name="change_origin"),
            models.Index(fields=["team_id", "at", "id", "action", "origin", "endpoint_id"], name="change_team_id"),
            models.Index(fields=["team_id", "action", "endpoint_id"], name="change_team_action"),
            *(
                models.Index(fields=[name, "at", "id"], name=f"change_{name}")
                for name in ("endpoint_id", "inference_id", "changed_by", "api_key_id")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inference_id}, version {self.version}"

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            raise TypeError("History is only added to")
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("History is only added to")
