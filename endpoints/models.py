"""The rows: an inference endpoint, and its secrets in a table of their own that no listing reads."""

from __future__ import annotations

import re
import uuid
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from endpoints.time_limits import LONGEST_SECONDS, MEANINGS

LONGEST_ID = 500
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
    connect_seconds = _time_limit("connect_seconds")
    first_delta_seconds = _time_limit("first_delta_seconds")
    idle_seconds = _time_limit("idle_seconds")
    stall_seconds = _time_limit("stall_seconds")
    total_seconds = _time_limit("total_seconds")
    write_seconds = _time_limit("write_seconds")
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("updated", auto_now=True)
    updating_since = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[EndpointManager] = EndpointManager()

    class Meta:
        ordering = ["inference_id"]
        verbose_name = "inference endpoint"
        # Rights are the privileges of the API (access.privileges), not one permission for each table.
        default_permissions = ()

    def __str__(self) -> str:
        return self.inference_id


class EndpointSecret(models.Model):
    """One secret setting of an endpoint, encrypted and bound to the endpoint and to the host it may be sent to."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=60)
    ciphertext = models.TextField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["endpoint", "name"], name="one_value_for_each_secret")]

    def __str__(self) -> str:
        return f"{self.name} of {self.endpoint_id}"
