"""One start at a time: two that migrate the same empty database at once would both fail half-way."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

_NAME = "start.lock"
# Any number, as long as every version of the gateway has the same.
_NUMBER = 0x67617465776179


@contextmanager
def held() -> Iterator[None]:
    """Wait until no other gateway starts on this database, and keep others waiting until the end of the block.

    Raise OperationalError, with the server's reason, where the database cannot be reached.
    """
    with _file(settings.DATA_DIR / _NAME) if connection.vendor == "sqlite" else _advisory_lock():
        yield


@contextmanager
def _file(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _advisory_lock() -> Iterator[None]:
    """On a connection of its own, which ends with the block; a pool would say of a failure only that it waited."""
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    try:
        # A lock of the transaction, not of the session: behind a pooler the session goes on after this connection.
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBER])
            yield
    finally:
        own.close()
