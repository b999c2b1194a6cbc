"""Clients that go away: the provider has to be released at once, whatever the request waits for."""

from __future__ import annotations

from conformance.provider.fault import Fault, Leave
from conformance.provider.steps import ENDLESS, FOREVER, HEAD, Pause, Script, Send, Step, answer, body, started
from conformance.provider.wires import Wire

_SILENCE = Pause(FOREVER)


def _talking(wire: Wire) -> list[Step]:
    return [*started(wire, "one"), body(wire.delta(" more"), times=ENDLESS, apart=0.05)]


def _silent(wire: Wire) -> list[Step]:
    return [*started(wire, "one"), _SILENCE]


def _faults(reset: bool) -> tuple[Fault, ...]:
    word, how = ("resets", "Resets the connection") if reset else ("leaves", "Leaves")
    places: tuple[tuple[str, str, Script, Leave], ...] = (
        ("before-head", "while there is no answer at all.", lambda wire: [_SILENCE], Leave("head", reset)),
        ("before-first-delta", "behind the head of the answer.", lambda wire: [HEAD, _SILENCE], Leave("delta", reset)),
        ("mid-stream", "while texts arrive.", _talking, Leave("stream", reset)),
        ("in-silence", "in a silence behind a text.", _silent, Leave("stream", reset)),
    )
    return tuple(
        Fault(f"client-{word}-{place}", f"{how} {when}", script, leave=leave) for place, when, script, leave in places
    )


def _busy(wire: Wire) -> list[Step]:
    return [answer("429 Too Many Requests", wire.refusal("later"), headers=b"Retry-After: 2\r\n")]


def _half(wire: Wire) -> Send:
    whole = answer("200 OK", wire.whole("one two"))
    return Send(whole.data[:-20])


FAULTS = (
    *_faults(reset=False),
    *_faults(reset=True),
    Fault(
        "client-leaves-before-retry",
        "Leaves in the wait before the provider is asked again: it may not be.",
        lambda wire: [_SILENCE],
        before=(_busy,),
        leave=Leave("retry"),
        attempts=1,
    ),
    Fault(
        "client-leaves-whole-answer",
        "Leaves while it waits for an answer that is not streamed.",
        lambda wire: [_SILENCE],
        leave=Leave("head"),
        streamed=False,
    ),
    Fault(
        "client-leaves-half-of-whole-answer",
        "Leaves while half of an answer that is not streamed is there.",
        lambda wire: [_half(wire), _SILENCE],
        leave=Leave("delta"),
        streamed=False,
    ),
)
