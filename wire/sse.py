"""Server-Sent Events as the stream inference API frames them.

https://html.spec.whatwg.org/multipage/server-sent-events.html; one `event:` line, one `data:` line, an empty line.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wire.elastic import error_body
from wire.errors import ApiError

_encode = msgspec.json.Encoder().encode
_BOM = b"\xef\xbb\xbf"

# Readers split lines at these characters although JSON and SSE do not: str.splitlines() in Python, for one.
_LINE_ENDS = (("\u2028".encode(), rb"\u2028"), ("\u2029".encode(), rb"\u2029"), ("\x85".encode(), rb"\u0085"))


class Framing:
    """How events are written; `bom` puts a byte order mark before each, as Elasticsearch does."""

    def __init__(self, *, bom: bool = False) -> None:
        mark = _BOM if bom else b""
        self._message = mark + b"event: message\ndata: "
        self._error = mark + b"event: error\ndata: "
        self.done = self._message + b"[DONE]\n\n"
        self.comment = b": keep-alive\n\n"
        """What readers pass over; it tells those between them and us that the connection is in use."""

    def completion(self, texts: Sequence[str]) -> bytes:
        """Return one event with one delta for each text."""
        return self._message + _one_line(_encode({"completion": [{"delta": text} for text in texts]})) + b"\n\n"

    def error(self, error: ApiError) -> bytes:
        return self._error + _one_line(_encode(error_body(error))) + b"\n\n"


def _one_line(json: bytes) -> bytes:
    """Escape the characters that some readers take for line ends; they can only stand inside strings."""
    if json.isascii():
        return json
    for character, escape in _LINE_ENDS:
        json = json.replace(character, escape)
    return json
