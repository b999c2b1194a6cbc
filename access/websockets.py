"""Who opens a WebSocket: a page of this gateway, and the user whose session the browser sends along.

A browser lets any page of any site open a WebSocket, cookies included, so the page is judged before the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.db import Error
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from access.models import User
from access.privileges import Caller
from wire.errors import DatabaseUnavailable, NotAuthenticated

Scope = Mapping[str, Any]
# Cookies of more than this are not ours.
_LONGEST_KEY = 64


def is_own_page(scope: Scope) -> bool:
    """Return whether a page of this gateway opens the WebSocket, by the rule of Django for forms.

    Its origin has to be the address that was connected to, scheme and port with it, or the public address.
    """
    origin, host = _header(scope, b"origin"), _header(scope, b"host")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    domain, _ = split_domain_port(host)
    return origin == f"{scheme}://{host}" and bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def session_key(scope: Scope) -> str:
    """Return the key of the session that the browser sent, "" where it sent none."""
    key: str = parse_cookie(_header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME, "")
    return key if len(key) <= _LONGEST_KEY else ""


def signed_in(key: str) -> Caller:
    """Return who is signed in with the session `key` and what they may do now; asks the database.

    Raise NotAuthenticated where nobody is to whom the admin is open, DatabaseUnavailable.
    """
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key or None)
    try:
        user = get_user(request)
        if not isinstance(user, User) or not user.is_active or not user.is_staff:
            raise NotAuthenticated("nobody is signed in to the admin any more, sign in again")
        return user.caller
    except Error:
        raise DatabaseUnavailable from None


def _header(scope: Scope, wanted: bytes) -> str:
    """Return the value of a header, "" where it is missing, or there twice and nobody knows which one counts."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else ""
