"""Streams of one JSON object a line, and streams of which only their first byte says what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from endpoints.providers._sse import MAX_EVENT_BYTES, Event, EventSplitter, EventTooLarge

if TYPE_CHECKING:
    from endpoints.providers._events import Splitter


class LineSplitter:
    """Hands out each line that is not empty as an event without a name."""

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, read: bytes) -> list[Event]:
        """Return the lines that `read` completes. Raise EventTooLarge."""
        first, *others = read.replace(b"\r", b"\n").split(b"\n")
        self._line += first
        lines = []
        for following in others:
            lines.append(bytes(self._line))
            self._line = bytearray(following)
        if len(self._line) > MAX_EVENT_BYTES:
            raise EventTooLarge
        return [(b"", line) for line in lines if line.strip()]

    def end(self) -> list[Event]:
        """Return the line that the end of the body left without its end, if there is one."""
        return self.feed(b"\n")


class EventsOrLines:
    """Splits lines where the first of them begins with a JSON object, Server-Sent Events otherwise."""

    def __init__(self) -> None:
        self._splitter: Splitter | None = None

    def feed(self, read: bytes) -> list[Event]:
        if self._splitter is None:
            read = read.lstrip()
            if not read:
                return []
            self._splitter = LineSplitter() if read.startswith(b"{") else EventSplitter()
        return self._splitter.feed(read)

    def end(self) -> list[Event]:
        return self._splitter.end() if self._splitter else []
