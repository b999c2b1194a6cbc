"""Answers that end in another way than most do."""

from __future__ import annotations

from conformance.provider.fault import ANY, CUT, FAILED, REFUSED, Fault
from conformance.provider.steps import ENDLESS, HEAD, LAST_CHUNK, body, ended, said, started
from conformance.provider.wires import OpenAI, Wire

_OPENAI = ("openai",)


def _last_text(wire: Wire) -> bytes:
    """Return OpenAI's chunk with the last text and the reason of the end."""
    assert isinstance(wire, OpenAI)
    return wire.chunk({"content": " two"}, "stop")


FAULTS = (
    Fault(
        "no-done",
        "All texts and the reason of the end, then the body ends without the last event.",
        lambda wire: [*started(wire, "one"), body(wire.finish()), LAST_CHUNK],
    ),
    Fault(
        "done-twice",
        "The last event twice.",
        lambda wire: [*started(wire, "one"), body(wire.finish() + wire.done * 2), LAST_CHUNK],
    ),
    Fault(
        "data-after-done",
        "One more text behind the last event: it is none of the answer.",
        lambda wire: [*started(wire, "one"), body(wire.finish() + wire.done + wire.delta("never")), LAST_CHUNK],
    ),
    Fault(
        "endless-after-done",
        "Texts without end behind the last event.",
        lambda wire: [
            *started(wire, "one"),
            body(wire.finish() + wire.done),
            body(wire.delta("never"), times=ENDLESS, apart=0.01),
        ],
    ),
    Fault(
        "usage-after-finish",
        "The tokens in an event of their own.",
        lambda wire: [*started(wire, "one"), body(wire.finish()), body(wire.usage()), body(wire.done), LAST_CHUNK],
        wires=_OPENAI,
    ),
    Fault(
        "no-usage",
        "No word about tokens.",
        lambda wire: [*started(wire, "one"), body(wire.finish() + wire.done), LAST_CHUNK],
        wires=_OPENAI,
    ),
    Fault(
        "finish-with-text",
        "The last text and the reason of the end in one event.",
        lambda wire: [*started(wire, "one"), body(_last_text(wire), " two"), body(wire.done), LAST_CHUNK],
        wires=_OPENAI,
    ),
    Fault(
        "finish-length",
        "The answer ends since it may not be longer.",
        lambda wire: [*started(wire, "one"), *ended(wire, "length")],
    ),
    Fault(
        "finish-content-filter",
        "The answer ends since the provider's filter says so.",
        lambda wire: [*started(wire, "one"), *ended(wire, "content_filter")],
    ),
    Fault(
        "no-finish",
        "Two texts, then the body ends as it should, without reason and last event.",
        lambda wire: [*started(wire, "one"), said(wire, " two"), LAST_CHUNK],
        CUT,
        attempts=1,
    ),
    Fault(
        "done-without-finish",
        "The last event without the reason of the end.",
        lambda wire: [*started(wire, "one"), body(wire.done), LAST_CHUNK],
    ),
    Fault("empty-answer", "An answer without any text.", lambda wire: [*started(wire), *ended(wire)]),
    Fault("only-done", "Nothing but the last event.", lambda wire: [HEAD, body(wire.done), LAST_CHUNK], ANY),
    Fault("empty-body", "200 and an empty stream.", lambda wire: [HEAD, LAST_CHUNK], REFUSED),
    Fault("only-comments", "200, a comment, the end.", lambda wire: [HEAD, body(b": hello\n\n"), LAST_CHUNK], REFUSED),
    Fault(
        "opening-only",
        "What comes before the first text, then the end of the body.",
        lambda wire: [*started(wire), LAST_CHUNK],
        FAILED,
    ),
)
