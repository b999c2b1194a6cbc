"""What every process keeps in memory, and how it learns that it changed.

One row holds a version number. A writer raises it in its own transaction; every process looks at it once a second,
off the path of requests, and with Redis at each message (access.news). An entry counts while the number that was read
before its rows is still the newest known. So a change takes effect at once in the process that made it, and within a
second in all others, on any database.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction

from access import news
from wire.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
MISSING: Final[Any] = object()
_Value = TypeVar("_Value")
_caches: weakref.WeakSet[VersionedCache[Any]] = weakref.WeakSet()

# Loading is rare; two threads keep a burst of cold requests from opening a database connection each.
_database_threads = ThreadPoolExecutor(2, thread_name_prefix="cache")


class _Version:
    """The newest version that this process knows, and until when that is good enough (monotonic time).

    Past that moment the database has not answered for too long, and nothing remembered may be used. `reachable` is
    whether it answered the last look.
    """

    def __init__(self) -> None:
        self.number = -1
        self.fresh_until = 0.0
        self.reachable = True
        self._lock = threading.Lock()
        self._poller: threading.Thread | None = None
        self._news = threading.Event()

    def accept(self, number: int) -> None:
        with self._lock:
            if number > self.number:
                self.number = number
            self.fresh_until = time.monotonic() + settings.ENVIRONMENT.max_stale_seconds

    def _follow(self, number: int) -> None:
        """Accept what the row says now; a smaller number is that of another past, as after a restored backup."""
        if number < self.number:
            with self._lock:
                self.number = number
            for cache in tuple(_caches):
                cache.clear()
        self.accept(number)

    def watch(self) -> None:
        """Start looking at the row, once a second, for as long as the process lives."""
        with self._lock:
            if self._poller is None:
                self._poller = threading.Thread(target=self._poll, name="version poller", daemon=True)
                self._poller.start()
                news.listen(self._news.set)

    def _poll(self) -> None:
        while True:
            self._news.wait(POLL_SECONDS)
            self._news.clear()
            try:
                # The connection is kept: to open one each second would cost more than all the looking.
                self._follow(read_version())
                self.reachable = True
            except Exception as error:  # Whatever the database does, the poller must go on.
                if self.reachable:
                    logger.error("The database does not answer the version poller: %s", type(error).__name__)
                self.reachable = False
                with suppress(Exception):
                    connection.close()
                    # All connections of the pool are dead or hang; replaced now, they fail no request.
                    if pool := getattr(connection, "pool", None):
                        pool.drain()


version = _Version()


def read_version() -> int:
    from access.models import ConfigVersion

    return ConfigVersion.objects.filter(pk=1).values_list("number", flat=True).first() or 0


def changed() -> None:
    """Tell every process that rows changed. To be called in the transaction that changes them."""
    from django.db.models import F

    from access.models import ConfigVersion

    if not ConfigVersion.objects.filter(pk=1).update(number=F("number") + 1):
        # A flush took the row, or fixtures are being loaded before it.
        ConfigVersion.objects.create(pk=1, number=1)
    number = read_version()
    transaction.on_commit(lambda: _tell(number))


def _tell(number: int) -> None:
    version.accept(number)
    news.publish()


class VersionedCache(Generic[_Value]):
    """A bounded dictionary whose entries count only for the version of the rows that they were made from."""

    def __init__(self, size: int) -> None:
        _caches.add(self)
        self._size = size
        self._entries: OrderedDict[Hashable, tuple[int, _Value]] = OrderedDict()
        self._loading: dict[Hashable, asyncio.Future[_Value]] = {}

    def peek(self, key: Hashable) -> _Value:
        """Return the value of `key`, MISSING where there is none that counts. Never waits."""
        entry = self._entries.get(key)
        if entry is None or entry[0] != version.number or time.monotonic() >= version.fresh_until:
            return MISSING  # type: ignore[no-any-return]
        return entry[1]

    async def get(self, key: Hashable, loader: Callable[[], _Value]) -> _Value:
        """Return the value of `key`; `loader` reads it from the database, in a thread, once for all who ask."""
        value = self.peek(key)
        if value is not MISSING:
            return value
        running = self._loading.get(key)
        loop = asyncio.get_running_loop()
        if running is None or running.get_loop() is not loop:
            running = asyncio.ensure_future(loop.run_in_executor(_database_threads, self._load, key, loader))
            self._loading[key] = running
            running.add_done_callback(lambda done: self._forget(key, done))
        # One who leaves must not take the answer from the others who wait for it.
        return await asyncio.shield(running)

    def get_sync(self, key: Hashable, loader: Callable[[], _Value]) -> _Value:
        """Do as `get`, in the thread (and the transaction) of the caller."""
        value = self.peek(key)
        return self._read(key, loader) if value is MISSING else value

    def put(self, key: Hashable, value: _Value, number: int) -> None:
        """Remember `value`; `number` is the version that was read before it."""
        self._entries[key] = (number, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def _load(self, key: Hashable, loader: Callable[[], _Value]) -> _Value:
        try:
            return self._read(key, loader)
        finally:
            close_old_connections()

    def _read(self, key: Hashable, loader: Callable[[], _Value]) -> _Value:
        if not version.reachable:
            # To wait for it would make a queue of all who are not known yet.
            raise DatabaseUnavailable
        try:
            # Version first: rows that change between the two reads are then marked with the older number.
            number = read_version()
            value = loader()
        except Error as error:
            logger.error("The database does not answer: %s", type(error).__name__)
            raise DatabaseUnavailable from None
        version.accept(number)
        # Inside a transaction the rows may never come to be.
        if not connection.in_atomic_block:
            self.put(key, value, number)
        version.watch()
        return value

    def _forget(self, key: Hashable, done: asyncio.Future[_Value]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            # All who asked may be gone; then nobody else would look at the exception.
            done.exception()


def forget() -> None:
    """Forget all that this process knows, as a new one would; for tests."""
    for cache in _caches:
        cache.clear()
    version.number = -1
    version.fresh_until = 0.0
    version.reachable = True
