"""Who is calling: from the `Authorization` header to a Caller, for asynchronous views and for REST framework.

Warm, it costs one hash and one dictionary look-up: no query, no thread. A session cookie never counts here.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from functools import partial
from typing import ClassVar, NamedTuple, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access import actors, keys, last_use, passwords
from access.actors import Actor
from access.addresses import client_address
from access.cache import MISSING, VersionedCache, version
from access.credentials import KeyCredentials, key_refused, login_refused, read
from access.key_ids import is_key_id
from access.models import ApiKey, User
from access.passwords import Login
from access.privileges import Caller, require
from wire.errors import CHALLENGES, Forbidden
from wire.views import ApiView


class KnownKey(NamedTuple):
    """What is remembered of an API key; never its secret. `expires` is a Unix time in seconds."""

    caller: Caller
    digest: bytes
    expires: float
    refused: str

    def __repr__(self) -> str:
        return f"<KnownKey {self.caller.api_key_id}>"


class Account(NamedTuple):
    """What is remembered of a user. `encoded` is the stored hash of the password, None where he may not log in."""

    caller: Caller
    encoded: str | None

    def __repr__(self) -> str:
        return f"<Account {self.caller.username}>"


# None: there is no such row. A name that somebody makes up costs one look-up by index, the id of a key none at all.
known_keys: VersionedCache[KnownKey | None] = VersionedCache(10_000)
accounts: VersionedCache[Account | None] = VersionedCache(10_000)
_NO_DIGEST = bytes(32)
# Headers that proved right, by a hash whose key only this process has; it takes a fourth of the time of a whole proof.
_recognized: VersionedCache[KnownKey] = VersionedCache(10_000)
_fingerprint_key = secrets.token_bytes(32)


async def authenticate(request: HttpRequest) -> Caller:
    """Return who sent `request`.

    Raise NotAuthenticated, StatusError 429 for a login that failed too often, Forbidden for one that wants to act
    for somebody else.
    """
    fingerprint = _fingerprint(request)
    recognized = _recognized.peek(fingerprint)
    if recognized is not MISSING:
        caller = _unexpired(recognized)
        last_use.keys.note(caller.api_key_id or "", client_address(request))
        _refuse_run_as(request, caller)
        return caller
    credentials = read(request)
    if isinstance(credentials, KeyCredentials):
        number = version.number
        signed = is_key_id(credentials.id)
        key = await known_keys.get(credentials.id, partial(_load_key, credentials.id)) if signed else None
        caller = _key_holder(key, credentials)
        if key is not None and known_keys.peek(credentials.id) is key:
            _recognized.put(fingerprint, key, number)
        last_use.keys.note(credentials.id, client_address(request))
    else:
        account = await accounts.get(credentials.username, partial(_load_account, credentials.username))
        right = await passwords.is_right(credentials, account.encoded if account else None)
        caller = _user(request, account, credentials, right)
    _refuse_run_as(request, caller)
    return caller


def authenticate_sync(request: HttpRequest) -> Caller:
    """Do as `authenticate`, in the calling thread and its transaction."""
    credentials = read(request)
    if isinstance(credentials, KeyCredentials):
        signed = is_key_id(credentials.id)
        key = known_keys.get_sync(credentials.id, partial(_load_key, credentials.id)) if signed else None
        caller = _key_holder(key, credentials)
        last_use.keys.note(credentials.id, client_address(request))
    else:
        account = accounts.get_sync(credentials.username, partial(_load_account, credentials.username))
        right = passwords.is_right_sync(credentials, account.encoded if account else None)
        caller = _user(request, account, credentials, right)
    _refuse_run_as(request, caller)
    return caller


class Authentication(BaseAuthentication):
    """The same for REST framework; `request.user` is the Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        return authenticate_sync(request._request), None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGES[0]


class SecuredView(ApiView):
    """A view for callers who proved who they are; `actions` names what each method demands of them, if anything."""

    authentication_classes = (Authentication,)
    actions: ClassVar[dict[str, str]] = {}

    @property
    def caller(self) -> Caller:
        return cast("Caller", self.request.user)

    @property
    def actor(self) -> Actor:
        return actors.of_caller(self.caller, self.plain)

    def authorize(self, method: str) -> None:
        if method in self.actions:
            require(self.caller, self.actions[method])


def _load_key(key_id: str) -> KnownKey | None:
    key = ApiKey.objects.select_related("owner", "team").filter(id=key_id).first()
    if key is None:
        return None
    expires = key.expires_at.timestamp() if key.expires_at else math.inf
    return KnownKey(key.caller, bytes(key.digest), expires, _why_refused(key))


def _why_refused(key: ApiKey) -> str:
    if key.invalidated_at is not None:
        return f"api key [{key.id}] has been invalidated"
    if key.owner is not None and not key.owner.is_active:
        return f"the owner of api key [{key.id}] is disabled"
    return ""


def _key_holder(key: KnownKey | None, credentials: KeyCredentials) -> Caller:
    # Compared even where there is no such key, so that both refusals take the same time.
    right = hmac.compare_digest(keys.digest(credentials.secret), key.digest if key else _NO_DIGEST)
    if key is None:
        raise key_refused(f"unable to find apikey with id {credentials.id}")
    if not right:
        raise key_refused(f"invalid credentials for API key [{credentials.id}]")
    if key.refused:
        raise key_refused(key.refused)
    return _unexpired(key)


def _unexpired(key: KnownKey) -> Caller:
    if key.expires <= time.time():
        raise key_refused("api key is expired")
    return key.caller


def _fingerprint(request: HttpRequest) -> bytes:
    header = request.META.get("HTTP_AUTHORIZATION", "").encode()
    return hashlib.blake2b(header, key=_fingerprint_key, digest_size=16).digest()


def _load_account(username: str) -> Account | None:
    user = User.objects.filter(username=username).first()
    if user is None:
        return None
    return Account(user.caller, user.password if user.is_active else None)


def _user(request: HttpRequest, account: Account | None, login: Login, right: bool) -> Caller:
    if account is None or not right:
        raise login_refused(request, login.username)
    return account.caller


def _refuse_run_as(request: HttpRequest, caller: Caller) -> None:
    """Nobody may act for another user here; to ignore the header would answer with the wrong user's rights."""
    run_as = request.META.get("HTTP_ES_SECURITY_RUNAS_USER")
    if run_as is not None:
        raise Forbidden(f"user [{caller.username}] is unauthorized to run as [{run_as[:100]}], run as is not supported")
