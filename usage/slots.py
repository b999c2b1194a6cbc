"""How many inference requests may be open at once, in this process and for one caller."""

from __future__ import annotations

from wire.errors import TooManyRequests

# When one of the others ends, nobody knows.
_RETRY_SECONDS = 1


class Slot:
    """A place among the open requests; whoever took it releases it, as often as he likes."""

    __slots__ = ("_caller_key", "_slots")

    def __init__(self, slots: Slots, caller_key: str) -> None:
        self._slots: Slots | None = slots
        self._caller_key = caller_key

    def release(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots._release(self._caller_key)


class Slots:
    """Taking and releasing cost the same however many are open; callers without an open request are forgotten."""

    def __init__(self, most: int, most_per_caller: int) -> None:
        self._most = most
        self._most_per_caller = most_per_caller
        self._by_caller: dict[str, int] = {}
        self.open = 0

    def take(self, caller_key: str) -> Slot:
        """Return a slot, to be released. Raise TooManyRequests where all are taken, or all of this caller."""
        if self.open >= self._most:
            raise TooManyRequests(
                f"This process of the gateway has [{self.open}] requests open, the most that GATEWAY_MAX_STREAMS "
                "allows; try again when others have ended",
                refusal="streams",
                retry_after=_RETRY_SECONDS,
            )
        held = self._by_caller.get(caller_key, 0)
        if held >= self._most_per_caller:
            raise TooManyRequests(
                f"The caller has [{held}] requests open in this process of the gateway, the most that "
                "GATEWAY_MAX_STREAMS_PER_CALLER allows; try again when one of them has ended",
                refusal="caller_streams",
                retry_after=_RETRY_SECONDS,
            )
        self.open += 1
        self._by_caller[caller_key] = held + 1
        return Slot(self, caller_key)

    def _release(self, caller_key: str) -> None:
        self.open -= 1
        held = self._by_caller[caller_key] - 1
        if held:
            self._by_caller[caller_key] = held
        else:
            del self._by_caller[caller_key]
