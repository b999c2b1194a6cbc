"""One line for each request that is over: an object in JSON, on standard error where the logger `gateway.request` is
at INFO.

A record of Python's logging would cost more than all that the line says; so the logger is asked for its level only.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from usage.record import Record

logger = logging.getLogger("gateway.request")

_LONGEST = 128
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_encode = msgspec.json.Encoder().encode
_lines: list[str] = []


class Line(msgspec.Struct, gc=False):
    """What the line says. Nothing in it is a prompt, an answer or a secret; times are in seconds.

    What a caller chose, such as `opaque_id`, is cut, and holds nothing that could end a line or move a cursor.
    """

    time: datetime
    outcome: str
    status: int
    refusal: str | None
    stream: bool
    service: str | None
    task_type: str | None
    inference_id: str | None
    user: str | None
    api_key_id: str | None
    opaque_id: str | None
    trace_id: str | None
    duration: float
    waited: float
    first_delta: float | None
    deltas: int
    input_tokens: int | None
    output_tokens: int | None
    retries: int


def write(record: Record) -> None:
    """Write the line of one request that is over; where nobody reads INFO, do nothing."""
    if not logger.isEnabledFor(logging.INFO):
        return
    _lines.append(_encode(_line(record)).decode() + "\n")
    if len(_lines) > 1:
        return
    try:
        # The lines of all requests that end in one turn of the event loop are written at once.
        asyncio.get_running_loop().call_soon(_flush)
    except RuntimeError:
        _flush()


def _flush() -> None:
    text = "".join(_lines)
    _lines.clear()
    # Who reads them may be gone.
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


atexit.register(_flush)


def _line(record: Record) -> Line:
    caller = record.caller
    first = record.first_delta_at
    return Line(
        time=datetime.now(UTC),
        outcome=record.outcome,
        status=record.status,
        refusal=record.refusal or None,
        stream=record.stream,
        service=record.service or None,
        task_type=_printable(record.task_type),
        inference_id=_printable(record.inference_id),
        user=_printable(caller.username) if caller else None,
        api_key_id=_printable(caller.api_key_id or "") if caller else None,
        opaque_id=_printable(record.opaque_id),
        trace_id=_trace_id(record.traceparent) if record.traceparent else None,
        duration=round(record.ended - record.began, 6),
        waited=round(record.waited, 6),
        first_delta=None if first is None else round(first - record.began, 6),
        deltas=record.deltas,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        retries=record.progress.retries,
    )


def _trace_id(traceparent: str) -> str | None:
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else None


def _printable(text: str) -> str | None:
    """Return `text` cut and with escapes for what is not printable; None for "".

    JSON escapes line feeds, but neither U+0085 and U+2028, which end lines too, nor what terminals obey.
    """
    text = text[:_LONGEST]
    if text.isprintable():
        return text or None
    return ascii(text)[1:-1][:_LONGEST]
