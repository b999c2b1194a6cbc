"""When requests of one rate-limit group were admitted lately, as far as this process admitted them."""

from __future__ import annotations

from collections import deque


class Window:
    """The moments of admission in the last `seconds`; exact, since each is remembered.

    It waits for nothing, starts no task and costs a microsecond. The storage in memory of the library `limits` costs
    ninety, and a hop to a thread for each request. Times are seconds of the event loop's clock.
    """

    __slots__ = ("_moments", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._moments: deque[float] = deque()

    def take(self, limit: int, now: float) -> bool:
        """Take a place, unless the `limit` was admitted in the `seconds` before `now` already."""
        moments, since = self._moments, now - self.seconds
        # Two go for one that comes, so that no request pays for all that others left behind.
        for _ in range(2):
            if moments and moments[0] < since:
                moments.popleft()
        if len(moments) >= limit and moments[-limit] >= since:
            return False
        moments.append(now)
        return True

    def give_back(self, moment: float) -> None:
        """Give back the place that was taken at `moment`, which is among the last ones."""
        moments = self._moments
        for index in range(len(moments) - 1, -1, -1):
            if moments[index] == moment:
                del moments[index]
                return

    def free_at(self, limit: int, now: float, ahead: int = 0) -> float:
        """Return when there is a place for a request that has `ahead` others before it, each as early as it can."""
        moments = self._moments
        rounds, place = divmod(ahead, limit)
        index = len(moments) + place - limit
        first = max(now, moments[index] + self.seconds) if index >= 0 else now
        return first + rounds * self.seconds

    def is_empty(self, now: float) -> bool:
        return not self._moments or self._moments[-1] < now - self.seconds
