"""A provider that takes its time, or all of it."""

from __future__ import annotations

from conformance.provider.fault import CUT, EITHER, FAILED, REFUSED, Fault
from conformance.provider.steps import (
    ENDLESS,
    FOREVER,
    HEAD,
    LAST_CHUNK,
    STREAM_HEAD,
    Hold,
    Pause,
    Send,
    body,
    chunked,
    ended,
    said,
    started,
)

SILENCE = Pause(FOREVER)
_SLOW = 0.2
"""Seconds between comments, pings and the like; far below every limit."""

FAULTS = (
    Fault(
        "late-head",
        "Nothing for a second, then all.",
        lambda wire: [Pause(1.0), *started(wire, "one", " two"), *ended(wire)],
    ),
    Fault(
        "late-first-byte",
        "The head at once, the first byte of the body a second later.",
        lambda wire: [HEAD, Pause(1.0), *started(wire, "one")[1:], *ended(wire)],
    ),
    Fault(
        "late-first-delta",
        "What comes before the first text at once, the text a second later.",
        lambda wire: [*started(wire), Pause(1.0), said(wire, "one"), *ended(wire)],
    ),
    Fault(
        "slow-head",
        "The head of the answer byte by byte.",
        lambda wire: [Send(STREAM_HEAD, size=1, apart=0.002), *started(wire, "one")[1:], *ended(wire)],
    ),
    Fault(
        "drip",
        "A text byte by byte, 2 ms apart.",
        lambda wire: [*started(wire), Send(chunked(wire.delta("one")), "one", size=1, apart=0.002), *ended(wire)],
    ),
    Fault(
        "deltas-held",
        "Each text alone, and a while nothing behind it: it may not wait for the next.",
        lambda wire: [*started(wire, "one"), Hold(), said(wire, " two"), Hold(), said(wire, " three"), *ended(wire)],
    ),
    Fault(
        "steady-deltas",
        "A text every 50 ms.",
        lambda wire: [
            *started(wire),
            *[s for n in range(20) for s in (said(wire, f" {n}"), Pause(0.05))],
            *ended(wire),
        ],
    ),
    Fault(
        "pause-mid-stream",
        "A second of silence inside the answer, shorter than every limit.",
        lambda wire: [*started(wire, "one"), Pause(1.0), said(wire, " two"), *ended(wire)],
    ),
    Fault(
        "slow-end",
        "The last event, then a while until the body ends: the client may not wait for that.",
        lambda wire: [*started(wire, "one"), *ended(wire)[:1], Hold(), LAST_CHUNK],
    ),
    Fault(
        "silent-before-head",
        "Nothing, for ever.",
        lambda wire: [SILENCE],
        REFUSED,
        limit="first_delta",
    ),
    Fault(
        "silent-after-head",
        "The head, then nothing.",
        lambda wire: [HEAD, SILENCE],
        REFUSED,
        limit="first_delta",
    ),
    Fault(
        "silent-before-first-delta",
        "What comes before the first text, then nothing.",
        lambda wire: [*started(wire), SILENCE],
        FAILED,
        limit="first_delta",
    ),
    Fault(
        "comments-before-first-delta",
        "The head, then a comment now and then, and never a text.",
        lambda wire: [HEAD, body(b": keep-alive\n\n", times=ENDLESS, apart=_SLOW)],
        FAILED,
        limit="first_delta",
    ),
    Fault(
        "silent-mid-stream",
        "A text, then nothing.",
        lambda wire: [*started(wire, "one"), SILENCE],
        CUT,
        limit="idle",
    ),
    Fault(
        "silent-mid-event",
        "A text, half an event, then nothing.",
        lambda wire: [*started(wire, "one"), body(wire.delta(" two")[:-20]), SILENCE],
        CUT,
        limit="idle",
    ),
    Fault(
        "comments-mid-stream",
        "A text, then comments now and then, for ever.",
        lambda wire: [*started(wire, "one"), body(b": keep-alive\n\n", times=ENDLESS, apart=_SLOW)],
        CUT,
        limit="stall",
    ),
    Fault(
        "pings-mid-stream",
        "A text, then signs of life of the provider's own kind, for ever.",
        lambda wire: [*started(wire, "one"), body(wire.ping, times=ENDLESS, apart=_SLOW)],
        CUT,
        limit="stall",
    ),
    Fault(
        "empty-deltas-mid-stream",
        "A text, then empty ones, for ever.",
        lambda wire: [*started(wire, "one"), body(wire.delta(""), times=ENDLESS, apart=_SLOW)],
        CUT,
        limit="stall",
    ),
    Fault(
        "silent-after-finish",
        "The reason of the end, but no end: neither event nor body.",
        lambda wire: [*started(wire, "one"), body(wire.finish()), SILENCE],
        EITHER,
        limit="idle",
    ),
    Fault(
        "idle-connection",
        "An answer, no request for longer than the limit between bytes, then another answer: nobody was silent.",
        lambda wire: [*started(wire, "one"), *ended(wire)],
        before=(lambda wire: [*started(wire, "one"), *ended(wire)],),
        limit="idle",
        twice=0.5,
    ),
    Fault(
        "idle-connection-after-flood",
        "The same behind an answer that came faster than it could be read.",
        lambda wire: [*started(wire, "one"), *ended(wire)],
        before=(lambda wire: [Send(STREAM_HEAD + chunked(wire.stream([" two"] * 1200)) + LAST_CHUNK.data)],),
        limit="idle",
        twice=0.5,
    ),
)
