"""Failed logins, counted for each name and address: after ten within a minute the pair waits until it is over."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from wire.errors import StatusError

LIMIT = 10
WINDOW_SECONDS = 60.0

Pair = tuple[str, str]
"""A user name, and the address (or network) that a login came from."""


class Failures:
    """A table of at most `size` pairs; the oldest are dropped.

    To push a pair out, an attacker would need `size` failures of other names within a minute; the pool that checks
    passwords does not do so many. Each process counts for itself.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._windows: OrderedDict[Pair, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, pair: Pair) -> None:
        now = time.monotonic()
        with self._lock:
            start, count = self._windows.get(pair, (now, 0))
            if now - start >= WINDOW_SECONDS:
                start, count = now, 0
                del self._windows[pair]
            self._windows[pair] = (start, count + 1)
            if len(self._windows) > self._size:
                self._windows.popitem(last=False)

    def seconds_left(self, pair: Pair) -> int:
        """Return how long `pair` has to wait; 0 when it may try."""
        start, count = self._windows.get(pair, (0.0, 0))
        if count < LIMIT:
            return 0
        return max(0, math.ceil(start + WINDOW_SECONDS - time.monotonic()))

    def check(self, pair: Pair) -> None:
        """Raise StatusError 429 while `pair` has to wait."""
        seconds = self.seconds_left(pair)
        if seconds:
            raise StatusError(
                f"too many failed logins of user [{pair[0]}] from this address, try again in [{seconds}s]",
                status=429,
                headers={"Retry-After": str(seconds)},
            )

    def clear(self) -> None:
        with self._lock:
            self._windows.clear()
