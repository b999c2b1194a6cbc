"""Encrypt all stored secrets with the first key of GATEWAY_SECRET_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from endpoints.encryption import SecretUnreadable, rotate
from endpoints.models import EndpointSecret

_BATCH = 200


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets with the first key of GATEWAY_SECRET_KEYS. To change the key without downtime: "
        "put the new key before the old one on every machine and restart, run this, then remove the old key."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        ids = list(EndpointSecret.objects.order_by("pk").values_list("pk", flat=True))
        unreadable: list[str] = []
        for start in range(0, len(ids), _BATCH):
            unreadable += _rotate(ids[start : start + _BATCH])
        self.stdout.write(f"{len(ids) - len(unreadable)} secrets are encrypted with the first key.")
        if unreadable:
            raise CommandError(f"No key of GATEWAY_SECRET_KEYS opens: {', '.join(unreadable)}")


def _rotate(ids: list[int]) -> list[str]:
    """Rotate some rows in one transaction; return those that no key opens."""
    unreadable = []
    with transaction.atomic():
        # A secret that is replaced meanwhile is encrypted with the first key anyway.
        for secret in EndpointSecret.objects.select_for_update().filter(pk__in=ids):
            try:
                EndpointSecret.objects.filter(pk=secret.pk).update(ciphertext=rotate(secret.ciphertext))
            except SecretUnreadable:
                unreadable.append(str(secret))
    return unreadable
