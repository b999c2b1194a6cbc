"""Connections that end before the answer does."""

from __future__ import annotations

from conformance.provider.fault import CUT, EITHER, FAILED, REFUSED, Fault
from conformance.provider.steps import HEAD, STREAM_HEAD, End, Pause, Send, body, chunked, said, started
from conformance.provider.wires import Wire

_SOON = Pause(0.3)
"""So that what was sent has arrived: a reset takes back what is still on its way."""


def _half(event: bytes) -> bytes:
    return event[: len(event) // 2]


def _half_character(wire: Wire) -> bytes:
    """Return an event up to the middle of a character of four bytes."""
    event = wire.delta(" \N{GRINNING FACE}")
    return event[: event.index(b"\xf0\x9f") + 2]


FAULTS = (
    Fault("reset-before-head", "Resets the connection instead of an answer.", lambda wire: [End.RESET], REFUSED),
    Fault("close-before-head", "Closes the connection instead of an answer.", lambda wire: [End.CLOSE], REFUSED),
    Fault(
        "close-in-head",
        "Closes in the middle of the head.",
        lambda wire: [Send(STREAM_HEAD[:40]), _SOON, End.CLOSE],
        REFUSED,
    ),
    Fault("reset-after-head", "The head, then a reset.", lambda wire: [HEAD, _SOON, End.RESET], REFUSED),
    Fault("close-after-head", "The head, then a close.", lambda wire: [HEAD, _SOON, End.CLOSE], REFUSED),
    Fault(
        "close-before-first-delta",
        "What comes before the first text, then a close.",
        lambda wire: [*started(wire), _SOON, End.CLOSE],
        FAILED,
    ),
    Fault(
        "reset-mid-event",
        "A text, half an event, a reset.",
        lambda wire: [*started(wire, "one"), body(_half(wire.delta(" two"))), _SOON, End.RESET],
        CUT,
    ),
    Fault(
        "close-mid-event",
        "A text, half an event, a close.",
        lambda wire: [*started(wire, "one"), body(_half(wire.delta(" two"))), _SOON, End.CLOSE],
        CUT,
    ),
    Fault(
        "reset-mid-character",
        "A reset in the middle of a character.",
        lambda wire: [*started(wire, "one"), body(_half_character(wire)), _SOON, End.RESET],
        CUT,
    ),
    Fault(
        "end-mid-character",
        "The body ends, as it should, in the middle of a character.",
        lambda wire: [*started(wire, "one"), body(_half_character(wire)), Send(b"0\r\n\r\n")],
        CUT,
    ),
    Fault(
        "reset-between-events",
        "Two texts, a reset.",
        lambda wire: [*started(wire, "one"), said(wire, " two"), _SOON, End.RESET],
        CUT,
    ),
    Fault(
        "close-between-events",
        "Two texts, a close without the last chunk.",
        lambda wire: [*started(wire, "one"), said(wire, " two"), _SOON, End.CLOSE],
        CUT,
    ),
    Fault(
        "close-without-framing",
        "Two texts in a body without length, which a close ends: only the events say that it is a cut.",
        lambda wire: [
            Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"),
            Send(wire.opening + wire.delta("one") + wire.delta(" two"), "one two"),
            _SOON,
            End.CLOSE,
        ],
        CUT,
    ),
    Fault(
        "reset-at-once",
        "Two texts and a reset in the same moment.",
        lambda wire: [*started(wire, "one"), said(wire, " two"), End.RESET],
        (*CUT, *REFUSED),
        prefix=True,
    ),
    Fault(
        "cut-mid-chunk",
        "A close in the middle of a chunk of HTTP, with a whole event in it.",
        lambda wire: [
            *started(wire, "one"),
            Send(chunked(wire.delta(" two") + b" " * 99)[:-99], " two"),
            _SOON,
            End.CLOSE,
        ],
        CUT,
    ),
    Fault(
        "reset-after-finish",
        "All texts and the reason of the end, then a reset instead of the last event.",
        lambda wire: [*started(wire, "one"), body(wire.finish()), _SOON, End.RESET],
        EITHER,
    ),
    Fault(
        "close-after-finish",
        "All texts and the reason of the end, then a close instead of the last event.",
        lambda wire: [*started(wire, "one"), body(wire.finish()), _SOON, End.CLOSE],
        EITHER,
    ),
    Fault(
        "close-after-done",
        "The last event, then a close instead of the last chunk: the answer is whole.",
        lambda wire: [*started(wire, "one"), body(wire.finish() + wire.usage() + wire.done), _SOON, End.CLOSE],
    ),
    Fault(
        "content-length-too-long",
        "A body with a length that it does not reach.",
        lambda wire: [
            Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n"),
            Send(wire.opening + wire.delta("one") + wire.delta(" two"), "one two"),
            _SOON,
            End.CLOSE,
        ],
        CUT,
    ),
)
