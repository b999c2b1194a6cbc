"""Passwords: hashed in a bounded pool, remembered briefly once they were right, guessed slowly.

A check costs some 0.2 s of CPU by design. Two threads do it and at most 64 logins wait for them, so that it can
neither stop the event loop nor take a server's every core. Of these at most 8 are of one network, so that who floods
the gateway with guesses makes others wait for a moment, and does not lock them out. New passwords, which only come from
users who are let in already, have a thread of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, make_password

from access.addresses import network
from access.database import give_back_connection
from access.failures import Failures, Pair
from access.models import NAME_PATTERN
from wire.errors import SettingsInvalid, StatusError

MIN_LENGTH = 6
REMEMBERED_SECONDS = 60.0
_MAX_REMEMBERED = 10_000

_Result = TypeVar("_Result")
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


class _Pool:
    """Threads and what waits for them: at most `most` calls are in here at once, of one client `most_of_one`."""

    def __init__(self, name: str, *, threads: int, most: int, most_of_one: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name = name
        self._most = most
        self._most_of_one = most_of_one
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], _Result], client: str = "") -> Future[_Result]:
        """Raise StatusError 429 where the pool is full."""
        self._enter(client)
        try:
            future = self._threads.submit(work)
        except BaseException:
            self._leave(client)
            raise
        future.add_done_callback(lambda _: self._leave(client))
        return future

    def _enter(self, client: str) -> None:
        with self._lock:
            if self._inside.total() >= self._most:
                raise self._full("")
            if self._inside[client] >= self._most_of_one:
                raise self._full(" from this address")
            self._inside[client] += 1

    def _leave(self, client: str) -> None:
        with self._lock:
            self._inside[client] -= 1
            if not self._inside[client]:
                del self._inside[client]

    def _full(self, whence: str) -> StatusError:
        reason = f"too many {self._name}{whence} at once, try again"
        return StatusError(reason, status=429, headers={"Retry-After": "1"})


_logins = _Pool("logins", threads=2, most=66, most_of_one=8)
_new_passwords = _Pool("new passwords", threads=1, most=8, most_of_one=8)
remembered = _Remembered()
_running: dict[tuple[bytes, str | None, Pair], Future[bool]] = {}


def is_username(text: str) -> bool:
    """Return whether a user can have this name; others need no look-up."""
    return _username.fullmatch(text) is not None


async def is_right(login: Login, encoded: str | None) -> bool:
    """Return whether the password of `login` is the one that `encoded` is the hash of.

    None stands for a user that does not exist or may not log in: wrong, after the same time. Raise StatusError 429
    where the pair failed too often, or too many logins wait, of its network or of all.
    """
    failures.check(login.pair)
    digest = remembered.digest(login)
    if encoded is not None and remembered.holds(digest, encoded):
        return True
    # A caller that leaves must not cancel the check for others with the same password.
    return await asyncio.shield(asyncio.wrap_future(_begin(login, encoded, digest)))


def is_right_sync(login: Login, encoded: str | None) -> bool:
    """Do as `is_right`, while the calling thread waits, without its database connection."""
    failures.check(login.pair)
    digest = remembered.digest(login)
    if encoded is not None and remembered.holds(digest, encoded):
        return True
    running = _begin(login, encoded, digest)
    give_back_connection()
    return running.result()


def hashed(password: str) -> str:
    """Return the hash to store, for which the calling thread waits without its database connection.

    Raise SettingsInvalid for a password that is too short, StatusError 429 where too many are being hashed.
    """
    if len(password) < MIN_LENGTH:
        raise SettingsInvalid(f"passwords must be at least [{MIN_LENGTH}] characters long")
    running = _new_passwords.submit(lambda: make_password(password))
    give_back_connection()
    return running.result()


def forget() -> None:
    """Remember nothing and nobody's failures, like a new process."""
    failures.clear()
    remembered.clear()


def _begin(login: Login, encoded: str | None, digest: bytes) -> Future[bool]:
    """Start the check, or join the one that runs for the same login."""
    key = (digest, encoded, login.pair)
    running = _running.get(key)
    if running is None:
        running = _running[key] = _logins.submit(lambda: _check(login, encoded, digest), network(login.address))
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
