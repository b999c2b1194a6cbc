"""What a gateway told its client: deltas, errors and ends, out of the bytes of an answer."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

Kind = Literal["delta", "error", "done", "other", "strange"]

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Event:
    """One event of a stream, complete at `at`."""

    at: float
    name: str
    data: bytes


@dataclass
class Told:
    """`parts` are the deltas with their times, in order; `order` is what came in which order, without repetitions."""

    parts: list[tuple[float, str]] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    dones: int = 0
    comments: int = 0
    strange: list[str] = field(default_factory=list)
    after_end: int = 0
    """How many events came behind the end or behind an error."""

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.parts)

    def take(self, at: float, kind: Kind, value: Any) -> None:
        """Take one event; `value` is its text, its error or what is strange about it."""
        if self.dones or self.errors:
            self.after_end += 1
        match kind:
            case "delta":
                self.parts.append((at, value))
            case "error":
                self.errors.append(value)
            case "done":
                self.dones += 1
            case "strange":
                self.strange.append(value)

    def seen_at(self, length: int) -> float | None:
        """Return when so many characters of text had been seen."""
        lengths = list(accumulate(len(text) for _, text in self.parts))
        place = bisect_left(lengths, length)
        return self.parts[place][0] if place < len(lengths) else None


def events(reads: Sequence[tuple[float, bytes]]) -> Iterator[Event]:
    """Yield the events and comments of a body; a comment has the name `:`. What is unfinished has the name `?`."""
    body = b"".join(data for _, data in reads)
    ends = list(accumulate(len(data) for _, data in reads))
    start = 0
    for found in _EVENT_END.finditer(body):
        at = reads[bisect_left(ends, found.end())][0]
        yield from _event(at, body[start : found.start()])
        start = found.end()
    if body[start:].strip():
        yield Event(reads[-1][0], "?", body[start:])


def _event(at: float, block: bytes) -> Iterator[Event]:
    name, data, comment = "", [], False
    for line in _LINE_END.split(block.removeprefix(_BOM)):
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value.decode("utf-8", "replace")
        elif key == b"data":
            data.append(value)
        elif line.startswith(b":"):
            comment = True
    if data:
        yield Event(at, name, b"\n".join(data))
    elif comment:
        yield Event(at, ":", b"")
