"""The query parameter that Elasticsearch's security API takes wherever it writes."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest

from wire.errors import BadRequest

REFRESH: Final = frozenset({"refresh"})


def check_refresh(request: HttpRequest) -> None:
    """Raise BadRequest for another value than Elasticsearch knows; a write is seen at once whatever it is."""
    value = request.GET.get("refresh", "")
    if value not in ("", "true", "false", "wait_for"):
        raise BadRequest(f"Unknown value for refresh: [{value[:40]}].")
