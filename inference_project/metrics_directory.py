"""Where the workers of one gateway keep what they count (usage.series), for as long as the gateway runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from usage.series import DIRECTORY

_PREFIX = "metrics-"
_LOCK = "gateway.lock"


@contextmanager
def made() -> Iterator[None]:
    """Give the processes that are started in the block a new directory, which is removed at its end.

    Those that killed gateways left are removed too. A gateway that runs holds the lock in its own, since others may
    share the data directory.
    """
    with (settings.DATA_DIR / "metrics.lock").open("w") as starts:
        fcntl.flock(starts, fcntl.LOCK_EX)
        _remove_abandoned()
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=settings.DATA_DIR))
        lock = (directory / _LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ[DIRECTORY] = str(directory)
    try:
        yield
    finally:
        os.environ.pop(DIRECTORY, None)
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()


def _remove_abandoned() -> None:
    for directory in settings.DATA_DIR.glob(f"{_PREFIX}*"):
        with suppress(OSError), (directory / _LOCK).open("w") as lock:
            # Raises where its gateway runs.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory)
