"""The `Authorization` header: `Basic`, `ApiKey`, and `Bearer` with the same value as `ApiKey`."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field

from django.http import HttpRequest

from access import passwords
from access.addresses import client_address
from access.passwords import Login
from wire.errors import NotAuthenticated
from wire.requests import uri

_MAX_KEY_ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class KeyCredentials:
    """What an API key's holder sends."""

    id: str
    secret: bytes = field(repr=False)


def read(request: HttpRequest) -> KeyCredentials | Login:
    """Return what `request` says about its sender. Raise NotAuthenticated where that is nothing, or not readable."""
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    match scheme.lower():
        case "apikey" | "bearer":
            return _api_key(value.strip())
        case "basic":
            return _basic(request, value.strip())
    raise NotAuthenticated(f"missing authentication credentials for REST request [{uri(request)}]")


def key_refused(why: str) -> NotAuthenticated:
    return NotAuthenticated(
        "unable to authenticate with provided credentials and anonymous access is not allowed for this request",
        detail=f"API key: {why}",
    )


def login_refused(request: HttpRequest, username: str) -> NotAuthenticated:
    return NotAuthenticated(f"unable to authenticate user [{username}] for REST request [{uri(request)}]")


def _api_key(value: str) -> KeyCredentials:
    try:
        key_id, colon, secret = _decoded(value).partition(b":")
        text = key_id.decode()
    except ValueError:
        raise key_refused("invalid ApiKey value") from None
    if not colon or not text.isprintable() or not 0 < len(text) <= _MAX_KEY_ID_LENGTH:
        raise key_refused("invalid ApiKey value")
    return KeyCredentials(text, secret)


def _basic(request: HttpRequest, value: str) -> Login:
    try:
        username, colon, password = _decoded(value).decode().partition(":")
    except ValueError:
        raise NotAuthenticated("invalid basic authentication header encoding") from None
    if not colon:
        raise NotAuthenticated("invalid basic authentication header value")
    if not passwords.is_username(username):
        raise login_refused(request, username[:100])
    return Login(username, password, client_address(request))


def _decoded(value: str) -> bytes:
    """Raise ValueError where `value` is not base64; padding may be missing."""
    return binascii.a2b_base64(value + "=" * (-len(value) % 4), strict_mode=True)
