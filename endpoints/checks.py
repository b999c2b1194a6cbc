"""A wrong encryption key has to stop the start, instead of showing up as refused keys at the providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from endpoints.encryption import opens
from endpoints.models import EndpointSecret

_MOST_NAMED = 5


@register(Tags.database)
def secrets_can_be_read(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Runs where a command names the database, as `check --database default` and the start of the server do."""
    if not databases:
        return []
    try:
        secrets = EndpointSecret.objects.order_by("endpoint__inference_id", "name")
        rows = list(secrets.values_list("endpoint__inference_id", "name", "ciphertext"))
    except DatabaseError:
        # Not migrated yet; there is nothing to read.
        return []
    closed = [f"{name} of {inference_id}" for inference_id, name, ciphertext in rows if not opens(ciphertext)]
    if not closed:
        return []
    named = ", ".join(closed[:_MOST_NAMED]) + (f" and {more} more" if (more := len(closed) - _MOST_NAMED) > 0 else "")
    hint = (
        "Put the key they were stored with behind the new one, then run rotate_secrets. "
        "Where that key is lost: rotate_secrets --forget-unreadable."
    )
    return [Error(f"No key of GATEWAY_SECRET_KEYS opens {named}", hint=hint, id="endpoints.E001")]
