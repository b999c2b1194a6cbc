"""Secrets at rest: MultiFernet, with the row and the host that a secret belongs to inside the ciphertext.

So a ciphertext that is copied to another endpoint, or whose endpoint's address was changed behind the gateway's
back, cannot be read. The first of GATEWAY_SECRET_KEYS encrypts, all of them decrypt.
"""

from __future__ import annotations

import json
import uuid
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """A ciphertext that no key opens, or that belongs to another endpoint, setting or host."""


def encrypt(value: Any, *, endpoint: uuid.UUID, name: str, host: str) -> str:
    """Return `value` (JSON) encrypted for the setting `name` of `endpoint`, to be sent to `host` only."""
    plain = json.dumps({"for": [str(endpoint), name, host], "value": value})
    return _keys(settings.SECRET_KEYS).encrypt(plain.encode()).decode()


def decrypt(ciphertext: str, *, endpoint: uuid.UUID, name: str, host: str) -> Any:
    """Return the value. Raise SecretUnreadable; its message holds no part of the secret."""
    try:
        content = json.loads(_keys(settings.SECRET_KEYS).decrypt(ciphertext.encode()))
    except (InvalidToken, ValueError):
        raise SecretUnreadable(f"no key of GATEWAY_SECRET_KEYS opens the secret [{name}]") from None
    if content["for"] != [str(endpoint), name, host]:
        raise SecretUnreadable(f"the secret [{name}] was stored for another endpoint or another host than [{host}]")
    return content["value"]


def opens(ciphertext: str) -> bool:
    """Return whether some key opens `ciphertext`."""
    try:
        _keys(settings.SECRET_KEYS).decrypt(ciphertext.encode())
    except InvalidToken:
        return False
    return True


def rotate(ciphertext: str) -> str:
    """Return `ciphertext` encrypted with the first key. Raise SecretUnreadable where no key opens it."""
    try:
        return _keys(settings.SECRET_KEYS).rotate(ciphertext.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable("no key of GATEWAY_SECRET_KEYS opens it") from None


@lru_cache(maxsize=4)
def _keys(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
