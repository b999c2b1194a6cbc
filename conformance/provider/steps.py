"""What a fault is made of: bytes as they go over the wire, waits, and the ends of a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from conformance.provider.wires import Wire

FOREVER = 3600.0
"""Seconds; nobody waits so long."""
ENDLESS = 0
"""How often something is sent that is sent until the peer leaves, or until LONGEST_ANSWER."""
LONGEST_ANSWER = 128 * 2**20
"""Bytes; a gateway that has not given up by then never will."""


@dataclass(frozen=True, slots=True)
class Send:
    """`data` goes out as it is, framing included. `text` is what of it a client has to see.

    It is sent `times` times, in pieces of `size` bytes (0: whole), `apart` seconds apart. The text counts once.
    """

    data: bytes
    text: str = ""
    times: int = 1
    size: int = 0
    apart: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that is there to be judged: what was sent before has to be seen while it lasts."""

    seconds: float = 1.5


class End(Enum):
    """How the connection ends. Without one it is kept for the next request."""

    RESET = "reset"
    CLOSE = "close"


Step = Send | Pause | Hold | End
Script = Callable[[Wire], Sequence[Step]]

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
HEAD = Send(STREAM_HEAD)
LAST_CHUNK = Send(b"0\r\n\r\n")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def body(data: bytes, text: str = "", times: int = 1, apart: float = 0.0) -> Send:
    """Send `data` as one chunk of the body."""
    return Send(chunked(data), text, times, apart=apart)


def said(wire: Wire, *texts: str) -> Send:
    """Send one event for each text, all of them in one chunk."""
    return body(b"".join(map(wire.delta, texts)), "".join(texts))


def started(wire: Wire, *texts: str) -> list[Step]:
    """Send the head, what comes before the first text, and the texts."""
    return [HEAD, body(wire.opening), *([said(wire, *texts)] if texts else [])]


def ended(wire: Wire, reason: str = "stop") -> list[Step]:
    """Send how an answer ends, and the end of the body."""
    return [body(wire.finish(reason) + wire.usage() + wire.done), LAST_CHUNK]


def answer(status: str, content: bytes, kind: str = "application/json", headers: bytes = b"", text: str = "") -> Send:
    """Send a whole answer; `status` is a code and its reason, `headers` are whole lines."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n".encode()
    return Send(head + headers + b"\r\n" + content, text)


def text_of(script: Sequence[Step]) -> str:
    """Return what a client has to see of a script."""
    return "".join(step.text for step in script if isinstance(step, Send))
