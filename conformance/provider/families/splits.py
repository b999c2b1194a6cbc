"""Reads that end anywhere: inside a word, a character, a line end."""

from __future__ import annotations

from itertools import pairwise

from conformance.provider.fault import Fault
from conformance.provider.steps import HEAD, LAST_CHUNK, Pause, Script, Send, Step, body, chunked
from conformance.provider.wires import TEXTS, Wire

_SOON = Pause(0.03)
"""So that two writes are two reads."""
_TEXTS = ("é", " \N{GRINNING FACE}", " three")


def _cut(stream: bytes, *places: int) -> list[Step]:
    """Send a body in chunks that end at `places`, each of them a read of its own."""
    pieces = [stream[start:end] for start, end in pairwise((0, *places, len(stream)))]
    first, *others = [body(piece) for piece in pieces if piece]
    return [HEAD, first, *[step for other in others for step in (_SOON, other)], Send(LAST_CHUNK.data, "".join(_TEXTS))]


def _at(mark: bytes, offset: int) -> Script:
    """Cut the stream `offset` bytes behind the first place of `mark` after the first text."""

    def script(wire: Wire) -> list[Step]:
        stream = wire.stream(_TEXTS)
        return _cut(stream, stream.index(mark, len(wire.opening)) + offset)

    return script


def _everywhere(mark: bytes, offset: int, line_end: bytes = b"\n") -> Script:
    """Cut the stream at every place of `mark`."""

    def script(wire: Wire) -> list[Step]:
        stream = wire.stream(_TEXTS).replace(b"\n", line_end)
        places = [place + offset for place in range(len(stream)) if stream.startswith(mark, place)]
        return _cut(stream, *places)

    return script


def _escaped(wire: Wire) -> list[Step]:
    """Send characters as escapes of JSON, cut inside one and between the two halves of a pair."""
    stream = wire.stream(_TEXTS).replace("é".encode(), rb"\u00e9").replace("😀".encode(), rb"\ud83d\ude00")
    pair = stream.index(rb"\ud83d")
    return _cut(stream, stream.index(rb"\u00e9") + 4, pair + 3, pair + 6)


def _pieces(size: int, apart: float = 0.0) -> Script:
    def script(wire: Wire) -> list[Step]:
        return [HEAD, Send(chunked(wire.stream()), "".join(TEXTS), size=size, apart=apart), LAST_CHUNK]

    return script


def _many(count: int) -> Script:
    """Send so many events, and the end of the answer, in one write."""

    def script(wire: Wire) -> list[Step]:
        texts = [f" {number}" for number in range(count)]
        return [Send(HEAD.data + chunked(wire.stream(texts)) + LAST_CHUNK.data, "".join(texts))]

    return script


FAULTS = (
    Fault("one-byte-reads", "The body in reads of one byte.", _pieces(1)),
    Fault("seven-byte-reads", "The body in reads of seven bytes.", _pieces(7)),
    Fault("reads-of-97-bytes", "The body in reads of 97 bytes.", _pieces(97, 0.005)),
    Fault(
        "one-byte-chunks",
        "Each byte of the body a chunk of HTTP.",
        lambda wire: [
            HEAD,
            Send(b"".join(chunked(bytes([byte])) for byte in wire.stream()), "".join(TEXTS)),
            LAST_CHUNK,
        ],
    ),
    Fault("split-data-word", "Every read ends inside the word `data`.", _everywhere(b"data: ", 2)),
    Fault("split-after-colon", "Every read ends behind the colon of `data:`.", _everywhere(b"data: ", 5)),
    Fault(
        "split-between-line-feeds", "Every read ends between the two line feeds of an event.", _everywhere(b"\n\n", 1)
    ),
    Fault(
        "split-crlf",
        "Line ends are CRLF, and every read ends between CR and LF.",
        _everywhere(b"\r\n", 1, b"\r\n"),
    ),
    Fault("split-two-byte-character", "A read ends inside a character of two bytes.", _at("é".encode(), 1)),
    Fault("split-four-byte-character", "A read ends inside a character of four bytes.", _at("😀".encode(), 3)),
    Fault("split-escapes", "Reads end inside an escape of JSON and between the halves of a pair.", _escaped),
    Fault("split-json", "A read ends inside the JSON of an event.", _at(b"{", 9)),
    Fault(
        "split-done",
        "A read ends inside the last event.",
        lambda wire: _cut(wire.stream(_TEXTS), len(wire.stream(_TEXTS)) - 5),
    ),
    Fault(
        "two-and-a-half-events",
        "A read has two events and a half in it, the next the rest.",
        lambda wire: _cut(
            wire.stream(_TEXTS),
            len(wire.opening + wire.delta(_TEXTS[0]) + wire.delta(_TEXTS[1])) + len(wire.delta(_TEXTS[2])) // 2,
        ),
    ),
    Fault("ten-events-in-one-read", "Head, ten texts and the end in one write.", _many(10)),
    Fault("500-events-in-one-read", "Head, 500 texts and the end in one write.", _many(500)),
)
