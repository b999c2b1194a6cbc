"""The first page of the admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from access.models import User
from inference_project.cards import CARDS


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the cards that are for the user; unfold calls this for the index of the admin."""
    assert isinstance(request.user, User)
    cards = [card for make in CARDS if (card := make(request.user)) is not None]
    return {**context, "cards": cards}
