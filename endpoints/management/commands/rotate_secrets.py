"""Encrypt all stored secrets with the first key of GATEWAY_SECRET_KEYS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from access import actors
from endpoints import history
from endpoints.encryption import SecretUnreadable, rotate
from endpoints.models import Endpoint, EndpointSecret

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
        rotated, unreadable = 0, list[EndpointSecret]()
        for secret in _secrets():
            try:
                rotated += _rotate(secret)
            except SecretUnreadable:
                unreadable.append(secret)
        self.stdout.write(f"{rotated} secrets are encrypted with the first key.")
        if not unreadable:
            return
        named = ", ".join(f"{secret.name} of {secret.endpoint}" for secret in unreadable)
        if not forget_unreadable:
            raise CommandError(f"No key of GATEWAY_SECRET_KEYS opens {named}")
        for secret in unreadable:
            _forget(secret)
        self.stdout.write(f"Deleted, since no key opens them: {named}")


def _secrets() -> Iterator[EndpointSecret]:
    """Yield all secrets, those that updates bring meanwhile among them: they are new rows."""
    last = 0
    while batch := list(EndpointSecret.objects.select_related("endpoint").filter(pk__gt=last).order_by("pk")[:_BATCH]):
        yield from batch
        last = batch[-1].pk


def _rotate(secret: EndpointSecret) -> int:
    """Return 1, or 0 where an update or a delete was there first. No lock is held, so nobody has to wait.

    Raise SecretUnreadable.
    """
    unchanged = EndpointSecret.objects.filter(pk=secret.pk, ciphertext=secret.ciphertext)
    return unchanged.update(ciphertext=rotate(secret.ciphertext))


def _forget(secret: EndpointSecret) -> None:
    """Delete a secret; where an update or a delete was there first, do nothing."""
    with transaction.atomic():
        endpoint = Endpoint.objects.select_for_update().filter(pk=secret.endpoint_id).first()
        deleted, _ = EndpointSecret.objects.filter(pk=secret.pk).delete()
        if endpoint is not None and deleted:
            history.record(endpoint, actors.of_command("rotate_secrets"), {secret.name: "cleared"})
