"""Far too much of something: a gateway may refuse it, but not keep it, and not fall over."""

from __future__ import annotations

from dataclasses import replace

from conformance.provider.fault import ANY, CUT, EITHER, FAILED, REFUSED, Fault
from conformance.provider.steps import (
    ENDLESS,
    HEAD,
    LAST_CHUNK,
    STREAM_HEAD,
    Send,
    Step,
    body,
    chunked,
    ended,
    said,
    started,
)
from conformance.provider.wires import Wire

_MEGABYTE = b"x" * 2**20
_TINY_DELTAS, _DELTAS_IN_A_WRITE = 100_000, 1000


def _tiny_deltas(wire: Wire) -> list[Step]:
    piece = Send(chunked(wire.delta("a") * _DELTAS_IN_A_WRITE), "a" * _DELTAS_IN_A_WRITE)
    return [*started(wire), *[piece] * (_TINY_DELTAS // _DELTAS_IN_A_WRITE), *ended(wire)]


def _with_header(lines: bytes) -> Send:
    return Send(STREAM_HEAD.removesuffix(b"\r\n") + lines + b"\r\n")


_FAULTS = (
    Fault(
        "1-mb-delta",
        "A text of 1 MB in one event.",
        lambda wire: [*started(wire, "one ", "y" * 2**20), *ended(wire)],
    ),
    Fault(
        "20-mb-line",
        "A comment of 20 MB without a line end, then a text.",
        lambda wire: [
            *started(wire, "one"),
            body(b": "),
            *[body(_MEGABYTE)] * 20,
            body(b"\n\n"),
            said(wire, " two"),
            *ended(wire),
        ],
        EITHER,
        prefix=True,
    ),
    Fault(
        "endless-line",
        "A line that never ends.",
        lambda wire: [*started(wire, "one"), body(b"data: "), body(_MEGABYTE, times=ENDLESS)],
        CUT,
    ),
    Fault(
        "endless-event",
        "An event of data lines that never ends.",
        lambda wire: [*started(wire, "one"), body(b"data: " + b"x" * 1000 + b"\n", times=ENDLESS)],
        CUT,
    ),
    Fault("100k-tiny-deltas", "100,000 texts of one letter, as fast as they are read.", _tiny_deltas),
    Fault(
        "endless-headers",
        "A head that never ends.",
        lambda wire: [Send(b"HTTP/1.1 200 OK\r\n"), Send(b"X-More: " + b"x" * 1000 + b"\r\n", times=ENDLESS)],
        REFUSED,
    ),
    Fault(
        "huge-header",
        "A header of 64 kB.",
        lambda wire: [_with_header(b"X-Huge: " + b"x" * 2**16 + b"\r\n"), *started(wire, "one")[1:], *ended(wire)],
        ANY,
    ),
    Fault(
        "many-headers",
        "90 headers.",
        lambda wire: [
            _with_header(b"".join(b"X-Number-%d: %d\r\n" % (n, n) for n in range(90))),
            *started(wire, "one")[1:],
            *ended(wire),
        ],
    ),
    Fault(
        "endless-status-line",
        "A status line that never ends.",
        lambda wire: [Send(b"HTTP/1.1 200 "), Send(b"O" * 1000, times=ENDLESS)],
        REFUSED,
    ),
    Fault(
        "endless-comments",
        "Comments without a pause and without an end, before any text.",
        lambda wire: [HEAD, body(b": x\n\n" * 200, times=ENDLESS)],
        FAILED,
        limit="first_delta",
    ),
    Fault(
        "many-empty-deltas",
        "20,000 empty texts before one that is not.",
        lambda wire: [HEAD, body(wire.opening + wire.delta("") * 20_000), said(wire, "one"), *ended(wire)],
    ),
    Fault(
        "deep-json",
        "An event whose JSON is 100,000 levels deep.",
        lambda wire: [*started(wire, "one"), body(wire.event("[" * 100_000 + "]" * 100_000)), *ended(wire)],
        EITHER,
    ),
    Fault(
        "huge-error",
        "A refusal with 5 MB of text.",
        lambda wire: [
            Send(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"),
            body(wire.refusal("m" * 5 * 2**20)),
            LAST_CHUNK,
        ],
        REFUSED,
    ),
    Fault(
        "endless-error",
        "A refusal whose body never ends.",
        lambda wire: [
            Send(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"),
            body(b"x" * 1000, times=ENDLESS),
        ],
        REFUSED,
    ),
    Fault(
        "client-stops-reading",
        "Texts without end for a client that reads nothing after the first.",
        lambda wire: [*started(wire, "one"), body(wire.delta("z" * 1000) * 50, times=ENDLESS)],
        stops_reading=True,
    ),
)

# They take so much time of the machine that others would be late.
FAULTS = tuple(replace(fault, alone=True) for fault in _FAULTS)
