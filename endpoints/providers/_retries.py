"""When a request is sent to a provider once more, and after which wait.

Never once a part of an answer was passed on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from endpoints.providers._progress import progress


@dataclass(frozen=True, slots=True)
class Retries:
    """Waits grow from `first_seconds` to `longest_seconds`; what a provider asks for is honoured up to the deadline."""

    attempts: int = 3
    first_seconds: float = 0.5
    longest_seconds: float = 5.0
    statuses: frozenset[int] = frozenset({429, 500, 502, 503, 529})

    def wait(self, attempt: int) -> float | None:
        """Return the seconds to wait after attempt number `attempt`, counted from 1; None where it was the last."""
        return self._in_time(self._pause(attempt))

    def wait_after(self, attempt: int, status: int, headers: Mapping[str, str], code: str | None) -> float | None:
        """Return the seconds to wait after an answer with `status` and the provider's error `code`."""
        if status not in self.statuses or headers.get("x-should-retry") == "false" or code == "insufficient_quota":
            return None
        pause, asked = self._pause(attempt), _asked_for(headers)
        return self._in_time(pause if pause is None or asked is None else asked)

    def _pause(self, attempt: int) -> float | None:
        if attempt >= self.attempts:
            return None
        longest = min(self.longest_seconds, self.first_seconds * 2.0 ** (attempt - 1))
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 (not for cryptography)

    def _in_time(self, pause: float | None) -> float | None:
        """Return `pause`, None where it is too long: who would be gone before the next attempt is told now."""
        return pause if pause is not None and pause < self._seconds_left() else None

    def _seconds_left(self) -> float:
        current = progress.get()
        if current is None or current.deadline is None:
            return self.longest_seconds + 1
        return current.deadline - asyncio.get_running_loop().time()


def _asked_for(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the provider wants to have waited, None where it does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
