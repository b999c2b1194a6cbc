"""Providers' Server-Sent Events, split from bytes as they arrive.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. A read may end anywhere:
inside a line, a character, or between the two line ends that close an event.
"""

from __future__ import annotations

Event = tuple[bytes, bytes]
"""The name of an event (empty where it has none) and its data, whose lines are joined with LF."""

MAX_EVENT_BYTES = 16 * 2**20
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event, or one line, is longer than MAX_EVENT_BYTES."""


class EventSplitter:
    """Collects bytes and hands out the events that are complete. One for each stream.

    Nearly every event of a provider is one `data: ...` line and an empty one. Reads of such events alone are cut at
    once, all others line by line.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first_line = True
        self._between_events = False
        self._after_carriage_return = False

    def feed(self, read: bytes) -> list[Event]:
        """Return the events that `read` completes. Raise EventTooLarge."""
        if b"\r" in read or self._after_carriage_return:
            read = self._with_line_feeds(read)
        events: list[Event] = []
        if not self._between_events:
            end = read.find(b"\n\n") + 2
            if end < 2:
                self._take_lines(read, events)
                return events
            self._take_lines(read[:end], events)
            read = read[end:]
        if read.endswith(b"\n\n"):
            self._take_events(read, events)
        elif read:
            end = read.rfind(b"\n\n") + 2
            if end >= 2:
                self._take_events(read[:end], events)
                read = read[end:]
            self._take_lines(read, events)
        return events

    def end(self) -> list[Event]:
        """Return the event that the end of the body left without its empty line, if there is one."""
        events: list[Event] = []
        self._take_lines(b"\n\n", events)
        return events

    def _with_line_feeds(self, read: bytes) -> bytes:
        """Turn CRLF and CR into LF; of a CRLF that two reads share, the CR already was the line end."""
        if self._after_carriage_return and read[:1] == b"\n":
            read = read[1:]
            self._after_carriage_return = False
        if read:
            self._after_carriage_return = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take_events(self, block: bytes, events: list[Event]) -> None:
        """Take what begins and ends between events."""
        if block[:6] == b"data: ":
            parts = block[6:-2].split(b"\n\ndata: ")
            # Each event brings the two line ends that were cut away; one more stands for a line of another kind.
            if block.count(b"\n") == 2 * len(parts):
                events += [(b"", part) for part in parts]
                return
        self._take_lines(block, events)

    def _take_lines(self, block: bytes, events: list[Event]) -> None:
        first, *others = block.split(b"\n")
        self._line += first
        for following in others:
            self._end_line(bytes(self._line), events)
            self._line = bytearray(following)
        if self._size + len(self._line) > MAX_EVENT_BYTES:
            raise EventTooLarge
        self._between_events = not (self._line or self._data or self._name)

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append((self._name, b"\n".join(self._data)))
            self._name, self._data, self._size = b"", [], 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value
