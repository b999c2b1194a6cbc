"""A wrong encryption key has to stop the start, instead of showing up as refused keys at the providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from endpoints.encryption import SecretUnreadable, rotate
from endpoints.models import EndpointSecret


@register(Tags.database)
def secrets_can_be_read(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    if not databases:
        return []
    try:
        secret = EndpointSecret.objects.select_related("endpoint").first()
        if secret is not None:
            rotate(secret.ciphertext)
    except DatabaseError:
        # Not migrated yet; there is nothing to read.
        return []
    except SecretUnreadable:
        return [
            Error(
                f"No key of GATEWAY_SECRET_KEYS opens the stored secrets, as those of [{secret.endpoint}]",
                hint="Put the key they were stored with behind the new one, then run rotate_secrets.",
                id="endpoints.E001",
            )
        ]
    return []
