"""When each API key and each endpoint was used last: noted in memory, written to the rows every ten seconds.

To note costs a request two entries in dictionaries; one thread writes, off the path of requests. No signal is sent, so
no process forgets what it knows because of it. A process that is killed loses the uses of its last seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar

from django.apps import apps
from django.db import connection, models, transaction

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0
_MOST = 10_000
_BATCH = 500
_CLOSE_SECONDS = 2.0


class LastUses:
    """The newest uses of the rows of one table; beyond 10,000 rows the oldest are forgotten.

    `column` takes what is noted beside the time, which goes into `last_used_at`; `key` is the column with the names.
    `model` is a label, since requests are counted by modules that are there before the models are.
    """

    all: ClassVar[list[LastUses]] = []

    def __init__(self, model: str, key: str, column: str) -> None:
        self._model = model
        self._key = key
        self._column = column
        self._noted: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self.all.append(self)

    def note(self, name: str, detail: str) -> None:
        """Note that the row called `name` was used now."""
        with self._lock:
            noted = self._noted
            noted.pop(name, None)
            noted[name] = (time.time(), detail)
            if len(noted) > _MOST:
                del noted[next(iter(noted))]

    def flush(self) -> None:
        """Write what was noted. Raise what the database raises; then it stays noted."""
        with self._lock:
            taken, self._noted = self._noted, {}
        # In one order in all processes: two that lock the same rows crosswise would wait for each other.
        names = sorted(taken)
        try:
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                self._write([(name, *taken[name]) for name in batch])
                for name in batch:
                    del taken[name]
        finally:
            with self._lock:
                # What is left is older than what was noted meanwhile.
                self._noted = dict(list((taken | self._noted).items())[-_MOST:])

    def forget(self) -> None:
        """Forget what was noted; for tests."""
        with self._lock:
            self._noted.clear()

    def _write(self, uses: list[tuple[str, float, str]]) -> None:
        table = apps.get_model(self._model)._meta
        field = table.get_field(self._column)
        assert isinstance(field, models.CharField)
        adapted = connection.ops.adapt_datetimefield_value
        rows = []
        for name, at, detail in uses:
            used_at = adapted(datetime.fromtimestamp(at, UTC))
            rows.append((used_at, detail[: field.max_length], name, used_at))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(self._statement(table.db_table), rows)

    def _statement(self, table: str) -> str:
        name, key, column = map(connection.ops.quote_name, (table, self._key, self._column))
        # Another process may have written a later use already.
        return (
            f"UPDATE {name} SET last_used_at = %s, {column} = %s "  # noqa: S608 (names of our own)
            f"WHERE {key} = %s AND (last_used_at IS NULL OR last_used_at < %s)"
        )


keys = LastUses("access.ApiKey", "id", "last_used_from")
"""The API keys, by their ids, each with the address that it came from."""


class _Writer:
    """The thread that writes, from `start` to `close`."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._reachable = True

    def start(self) -> None:
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="last use", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is noted and stop; wait 2 s at most for it."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        try:
            for uses in LastUses.all:
                uses.flush()
            self._reachable = True
        except Exception as error:  # Whatever the database does, the thread must go on.
            if self._reachable:
                logger.error("The database does not take the last uses: %s", type(error).__name__)
            self._reachable = False
        finally:
            with suppress(Exception):
                connection.close()


writer = _Writer()
