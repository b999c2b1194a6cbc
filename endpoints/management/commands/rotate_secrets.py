"""Encrypt all stored secrets with the first key of GATEWAY_SECRET_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from endpoints.encryption import SecretUnreadable, rotate
from endpoints.models import EndpointSecret

_BATCH = 200


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets with the first key of GATEWAY_SECRET_KEYS. To change the key without downtime: "
        "put the new key before the old one on every machine and restart, run this, then remove the old key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget-unreadable",
            action="store_true",
            help="Delete the secrets that no key opens, since their key is lost. Their endpoints are refused until "
            "an update brings new ones.",
        )

    def handle(self, *args: Any, forget_unreadable: bool = False, **options: Any) -> None:
        ids = list(EndpointSecret.objects.order_by("pk").values_list("pk", flat=True))
        unreadable: list[EndpointSecret] = []
        for start in range(0, len(ids), _BATCH):
            unreadable += _rotate(ids[start : start + _BATCH])
        self.stdout.write(f"{len(ids) - len(unreadable)} secrets are encrypted with the first key.")
        if not unreadable:
            return
        named = ", ".join(f"{secret.name} of {secret.endpoint}" for secret in unreadable)
        if not forget_unreadable:
            raise CommandError(f"No key of GATEWAY_SECRET_KEYS opens {named}")
        for secret in unreadable:
            secret.delete()
        self.stdout.write(f"Deleted, since no key opens them: {named}")


def _rotate(ids: list[int]) -> list[EndpointSecret]:
    """Rotate some rows in one transaction; return those that no key opens."""
    unreadable = []
    with transaction.atomic():
        # A secret that is replaced meanwhile is encrypted with the first key anyway.
        secrets = EndpointSecret.objects.select_related("endpoint").filter(pk__in=ids)
        for secret in secrets.select_for_update(of=("self",)):
            try:
                EndpointSecret.objects.filter(pk=secret.pk).update(ciphertext=rotate(secret.ciphertext))
            except SecretUnreadable:
                unreadable.append(secret)
    return unreadable
