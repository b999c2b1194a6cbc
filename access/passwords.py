"""Passwords: hashed in a bounded pool, remembered briefly once they were right, guessed slowly.

A check costs some 0.2 s of CPU by design. Two threads do it and at most 64 logins wait for them, so that it can
neither stop the event loop nor take a server's every core.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, make_password

from access.addresses import network
from access.failures import Failures, Pair
from access.models import NAME_PATTERN
from wire.errors import SettingsInvalid, StatusError

MIN_LENGTH = 6
REMEMBERED_SECONDS = 60.0
_MAX_REMEMBERED = 10_000
_THREADS = 2
_MAX_WAITING = 64

_Result = TypeVar("_Result")
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
_free = threading.BoundedSemaphore(_THREADS + _MAX_WAITING)
_username = re.compile(NAME_PATTERN)

failures = Failures()


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, and the address they came from."""

    username: str
    password: str = field(repr=False)
    address: str = ""

    @property
    def pair(self) -> Pair:
        return self.username, network(self.address)


class _Remembered:
    """Passwords that were right less than a minute ago.

    Known by a digest under a key of this process, together with the stored hash that they were right for: another
    password, set anywhere, ends the memory with the row that it changes.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._entries: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def digest(self, login: Login) -> bytes:
        text = f"{login.username}\0{login.password}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()

    def holds(self, digest: bytes, encoded: str) -> bool:
        known, until = self._entries.get(digest, ("", 0.0))
        return known == encoded and time.monotonic() < until

    def add(self, digest: bytes, encoded: str) -> None:
        with self._lock:
            self._entries[digest] = (encoded, time.monotonic() + REMEMBERED_SECONDS)
            self._entries.move_to_end(digest)
            if len(self._entries) > _MAX_REMEMBERED:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


remembered = _Remembered()
_running: dict[tuple[bytes, str | None, Pair], Future[bool]] = {}


def is_username(text: str) -> bool:
    """Return whether a user can have this name; others need no look-up."""
    return _username.fullmatch(text) is not None


async def is_right(login: Login, encoded: str | None) -> bool:
    """Return whether the password of `login` is the one that `encoded` is the hash of.

    None stands for a user that does not exist or may not log in: wrong, after the same time. Raise StatusError 429
    where the pair failed too often, or too many logins wait.
    """
    failures.check(login.pair)
    digest = remembered.digest(login)
    if encoded is not None and remembered.holds(digest, encoded):
        return True
    # A caller that leaves must not cancel the check for others with the same password.
    return await asyncio.shield(asyncio.wrap_future(_begin(login, encoded, digest)))


def is_right_sync(login: Login, encoded: str | None) -> bool:
    """Do as `is_right`, while the calling thread waits."""
    failures.check(login.pair)
    digest = remembered.digest(login)
    if encoded is not None and remembered.holds(digest, encoded):
        return True
    return _begin(login, encoded, digest).result()


def hashed(password: str) -> str:
    """Return the hash to store. Raise SettingsInvalid for a password that is too short, StatusError 429 as above."""
    if len(password) < MIN_LENGTH:
        raise SettingsInvalid(f"passwords must be at least [{MIN_LENGTH}] characters long")
    return _submit(lambda: make_password(password)).result()


def forget() -> None:
    """Remember nothing and nobody's failures, like a new process."""
    failures.clear()
    remembered.clear()


def _begin(login: Login, encoded: str | None, digest: bytes) -> Future[bool]:
    """Start the check, or join the one that runs for the same login."""
    key = (digest, encoded, login.pair)
    running = _running.get(key)
    if running is None:
        running = _running[key] = _submit(lambda: _check(login, encoded, digest))
        running.add_done_callback(lambda _: _running.pop(key, None))
    return running


def _check(login: Login, encoded: str | None, digest: bytes) -> bool:
    # Others of this pair may have failed while this one waited.
    failures.check(login.pair)
    if not check_password(login.password, encoded or UNUSABLE_PASSWORD_PREFIX) or encoded is None:
        failures.add(login.pair)
        return False
    remembered.add(digest, encoded)
    return True


def _submit(work: Callable[[], _Result]) -> Future[_Result]:
    if not _free.acquire(blocking=False):
        raise StatusError("too many logins are being checked, try again", status=429, headers={"Retry-After": "1"})
    try:
        future = _pool.submit(work)
    except BaseException:
        _free.release()
        raise
    future.add_done_callback(lambda _: _free.release())
    return future
