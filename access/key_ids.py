"""The ids of API keys: random, and signed, so that one that somebody made up is refused without asking the database."""

from __future__ import annotations

import binascii
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from django.conf import settings

_RANDOM_BYTES = 11
_SIGNATURE_BYTES = 4
_LENGTH = 20


def new_key_id() -> str:
    """Return 20 URL-safe characters, without the underscore: in the admin's paths "_3E" stands for ">"."""
    while True:
        random = secrets.token_bytes(_RANDOM_BYTES)
        made = urlsafe_b64encode(random + _signature(random)).decode()
        if "_" not in made:
            return made


def is_key_id(text: str) -> bool:
    """Return whether `text` was made by `new_key_id`, with the same GATEWAY_SECRET_KEY."""
    if len(text) != _LENGTH:
        return False
    try:
        made = urlsafe_b64decode(text)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(made[_RANDOM_BYTES:], _signature(made[:_RANDOM_BYTES]))


def _signature(random: bytes) -> bytes:
    return hmac.digest(settings.API_KEY_PEPPER, b"id of an api key" + random, "sha256")[:_SIGNATURE_BYTES]
