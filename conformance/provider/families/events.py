"""Everything that the specification of Server-Sent Events allows, and some things that it forgives.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import json
from collections.abc import Callable

from conformance.provider.fault import Fault
from conformance.provider.steps import HEAD, LAST_CHUNK, Script, Step, body
from conformance.provider.wires import TEXTS, Wire


def _changed(change: Callable[[bytes], bytes]) -> Script:
    """Send a stream that nothing is wrong with, changed as bytes."""

    def script(wire: Wire) -> list[Step]:
        return [HEAD, body(change(wire.stream()), "".join(TEXTS)), LAST_CHUNK]

    return script


def _before_each(line: bytes) -> Script:
    """Put a line before each event."""
    return _changed(lambda stream: line + stream.replace(b"\n\n", b"\n\n" + line).removesuffix(line))


def _several_lines(stream: bytes) -> bytes:
    """Write each JSON object over several lines, each with a `data:` of its own."""
    lines = []
    for line in stream.split(b"\n"):
        data = line.removeprefix(b"data: ")
        if data.startswith(b"{"):
            lines += [b"data: " + part.encode() for part in json.dumps(json.loads(data), indent=1).split("\n")]
        else:
            lines.append(line)
    return b"\n".join(lines)


def _mixed_line_ends(stream: bytes) -> bytes:
    events = stream.split(b"\n\n")
    ends = (b"\n", b"\r\n", b"\r")
    return b"".join(
        event.replace(b"\n", ends[number % 3]) + ends[number % 3] * 2 for number, event in enumerate(events[:-1])
    )


FAULTS = (
    Fault("ordinary", "Nothing wrong at all.", _changed(lambda stream: stream)),
    Fault("comments", "A comment before each event.", _before_each(b": comment\n")),
    Fault("empty-comments", "A bare colon before each event.", _before_each(b":\n\n")),
    Fault("comment-with-data", "Comments that look like events.", _before_each(b': data: {"error":"no"}\n\n')),
    Fault(
        "event-names",
        "Each event has the name `message` besides.",
        _before_each(b"event: message\n"),
        wires=("openai",),
    ),
    Fault("ids", "Each event has an id.", _before_each(b"id: 1\n")),
    Fault("retry", "Each event sets the time to reconnect.", _before_each(b"retry: 1000\n")),
    Fault("unknown-fields", "Fields that nobody knows.", _before_each(b"weather: fine\nfog\n")),
    Fault("multi-line-data", "Each JSON object over several data lines.", _changed(_several_lines)),
    Fault("crlf", "Line ends are CRLF.", _changed(lambda stream: stream.replace(b"\n", b"\r\n"))),
    Fault("cr-only", "Line ends are CR.", _changed(lambda stream: stream.replace(b"\n", b"\r"))),
    Fault("mixed-line-ends", "LF, CRLF and CR by turns.", _changed(_mixed_line_ends)),
    Fault("bom", "A byte order mark at the beginning.", _changed(lambda stream: b"\xef\xbb\xbf" + stream)),
    Fault(
        "no-space-after-colon",
        "No space behind the colon of a field.",
        _changed(lambda stream: stream.replace(b"data: ", b"data:").replace(b"event: ", b"event:")),
    ),
    Fault(
        "spaces-around-data",
        "More spaces than needed, before and behind the JSON.",
        _changed(lambda stream: stream.replace(b"data: {", b"data:    {").replace(b"}\n\n", b"}   \n\n")),
    ),
    Fault("empty-data", "Events with empty data in between.", _before_each(b"data:\n\ndata: \n\n"), wires=("openai",)),
    Fault(
        "blank-lines",
        "Several empty lines between events.",
        _changed(lambda stream: stream.replace(b"\n\n", b"\n\n\n\n")),
    ),
    Fault(
        "no-last-blank-line",
        "The body ends without the empty line behind the last event.",
        _changed(lambda stream: stream.removesuffix(b"\n")),
    ),
    Fault(
        "no-last-line-end", "The body ends without a line end.", _changed(lambda stream: stream.removesuffix(b"\n\n"))
    ),
)
