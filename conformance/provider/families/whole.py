"""Answers that are not streamed, to requests that want none."""

from __future__ import annotations

from dataclasses import replace

from conformance.provider.fault import ANY, REFUSED, Fault
from conformance.provider.steps import FOREVER, HEAD, LAST_CHUNK, End, Pause, Send, Step, answer, body
from conformance.provider.wires import Wire

_TEXT = "one two\n três \N{GRINNING FACE}"


def _good(wire: Wire) -> list[Step]:
    return [answer("200 OK", wire.whole(_TEXT), text=_TEXT)]


def _bytewise(wire: Wire) -> list[Step]:
    whole = answer("200 OK", wire.whole(_TEXT))
    return [Send(whole.data, _TEXT, size=1, apart=0.001)]


def _cut(wire: Wire) -> list[Step]:
    whole = answer("200 OK", wire.whole(_TEXT))
    return [Send(whole.data[:-20]), Pause(0.1), End.CLOSE]


def _failed(wire: Wire) -> list[Step]:
    return [answer("500 Internal Server Error", wire.refusal("oops"))]


def _busy(wire: Wire) -> list[Step]:
    return [answer("429 Too Many Requests", wire.refusal("busy"))]


def _no_key(wire: Wire) -> list[Step]:
    return [answer("401 Unauthorized", wire.refusal(f"the key {wire.key} is wrong"))]


_FAULTS = (
    Fault("whole-ordinary", "Nothing wrong at all.", _good),
    Fault("whole-bytewise", "Head and body byte by byte.", _bytewise),
    Fault("whole-late", "The answer a second later.", lambda wire: [Pause(1.0), *_good(wire)]),
    Fault("whole-500-once", "Status 500, then an answer.", _good, before=(_failed,)),
    Fault("whole-silent", "No answer, for ever.", lambda wire: [Pause(FOREVER)], REFUSED, limit="first_delta"),
    Fault("whole-cut", "A body that is shorter than it says.", _cut, REFUSED),
    Fault("whole-reset", "A reset instead of an answer.", lambda wire: [End.RESET], REFUSED),
    Fault("whole-error", "Status 200 with an error.", lambda wire: [answer("200 OK", wire.refusal("no"))], REFUSED),
    Fault("whole-html", "Status 200 with a web page.", lambda wire: [answer("200 OK", b"<p>", "text/html")], REFUSED),
    Fault("whole-half", "Half of the JSON.", lambda wire: [answer("200 OK", wire.whole(_TEXT)[:-9])], REFUSED),
    Fault("whole-empty", "Status 200 and no body.", lambda wire: [answer("200 OK", b"")], REFUSED),
    Fault("whole-429-for-ever", "Status 429, every time.", _busy, REFUSED, statuses=(429,)),
    Fault("whole-401", "Status 401, with the key in the message.", _no_key, REFUSED),
    Fault(
        "whole-streamed",
        "A stream although none was asked for.",
        lambda wire: [HEAD, body(wire.stream()), LAST_CHUNK],
        ANY,
        free_text=True,
    ),
)
FAULTS = tuple(replace(fault, streamed=False) for fault in _FAULTS)
