"""Access tokens of Google Cloud, for the key file of a service account.

google-auth reads the key and signs with it; the request goes to Google's own token address, whatever the file says.
https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from endpoints.providers._tokens import Credentials, Post
from wire.errors import StatusError

PUBLIC_URL = "https://oauth2.googleapis.com"
TOKEN_PATH = "/token"  # noqa: S105 (the path of the address)
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_SECONDS = 3600
_NEEDED = ("client_email", "private_key")
_SECRET = ("private_key", "private_key_id")


@dataclass(frozen=True, slots=True)
class ServiceAccount(Credentials):
    """`key` is the text of the key file."""

    key: str = field(repr=False)

    def form(self) -> Mapping[str, str]:
        return {"grant_type": _GRANT_TYPE, "assertion": _assertion(self.key)}

    async def obtain(self, post: Post) -> bytes:
        # To check an RSA key takes 50 ms, in which no stream would go on.
        return await post(await asyncio.to_thread(self.form))

    def secrets(self) -> Sequence[str]:
        info = _object(self.key) or {}
        return (self.key, *(value for name in _SECRET if isinstance(value := info.get(name), str)))


def problem_of(key: str) -> str:
    """Return why tokens cannot be asked for with `key`, "" where they can. Nothing of the key is in it."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    if digest in _usable:
        return ""
    try:
        _assertion(key)
    except _KeyUnusable as problem:
        return str(problem)
    if len(_usable) >= _MOST_USABLE:
        _usable.clear()
    _usable.add(digest)
    return ""


# To sign takes 50 ms, and stored keys are looked at whenever anything was changed.
_usable: set[bytes] = set()
_MOST_USABLE = 1000


class _KeyUnusable(StatusError):
    pass


def _assertion(key: str) -> str:
    """Return the signed claim that the account wants a token."""
    info = _checked(key)
    service_account, jwt = _google_auth()
    now = int(time.time())
    claims = {
        "iss": info["client_email"],
        "sub": info["client_email"],
        "aud": PUBLIC_URL + TOKEN_PATH,
        "iat": now,
        "exp": now + _LIFETIME_SECONDS,
        "scope": _SCOPE,
    }
    try:
        account = service_account.Credentials.from_service_account_info({**info, "token_uri": PUBLIC_URL + TOKEN_PATH})
        assertion: bytes = jwt.encode(account.signer, claims)
    except Exception:
        # Of many kinds, from three libraries, for a key that is cut, encrypted or of another algorithm.
        raise _KeyUnusable("its [private_key] is not an RSA key that can sign") from None
    return assertion.decode()


def _checked(key: str) -> dict[str, Any]:
    info = _object(key)
    if info is None:
        raise _KeyUnusable("it is not a JSON object")
    if info.get("type") != "service_account":
        raise _KeyUnusable("its [type] is not [service_account]")
    if missing := [name for name in _NEEDED if not isinstance(info.get(name), str) or not info[name]]:
        raise _KeyUnusable(f"it does not have [{', '.join(missing)}]")
    return info


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _google_auth() -> tuple[Any, Any]:
    try:
        from google.auth import jwt
        from google.oauth2 import service_account
    except ImportError:
        text = "The googlevertexai service needs google-auth to fetch an access token; install it with"
        raise StatusError(f'{text} pip install "inference-gateway[google]"', status=500) from None
    return service_account, jwt
