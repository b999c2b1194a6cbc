"""Canaries: values that nothing else looks like, and the search for them, however they are written."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

_AWKWARD = " +/=\"\\&<%~'"
_PART = 20


class Canaries:
    """Makes values, and finds them in what must not have them: as they are, in hexadecimal and in base64.

    `mark`, eight letters and digits, is at both ends of each value, so that a part of one is found as well.
    """

    def __init__(self, mark: str = "kAnArIe7") -> None:
        self._mark = mark
        self._parts: dict[bytes, str] = {form: mark for form in _forms(mark.encode())}

    def plain(self) -> str:
        """Return a value of letters and digits."""
        return f"{self._mark}{secrets.token_hex(12)}{self._mark}"

    def awkward(self) -> str:
        """Return a value with visible characters of ASCII that URLs, JSON and HTML write in another way."""
        return f"{self._mark}{secrets.token_hex(12)}{_AWKWARD}{self._mark}"

    def fernet_key(self) -> str:
        return f"{self._mark * 4}{secrets.token_hex(5)}A="

    def add(self, what: str, value: str) -> None:
        """Look for a value that was made elsewhere too, or for its first or last characters."""
        for part in {value[:_PART], value[-_PART:]} if self._mark not in value else ():
            self._parts |= dict.fromkeys(_forms(part.encode()), what)

    def found(self, content: bytes | str) -> list[str]:
        """Return each canary in `content`, with what stands around it."""
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        return [f"{what}: {_around(data, part)!r}" for part, what in self._parts.items() if part in data]


def _forms(text: bytes) -> Iterator[bytes]:
    yield text
    yield text.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + text).rstrip(b"=")
        # The characters at the ends depend on what stands beside the text.
        whole = encoded[-(-shift * 8 // 6) : (shift + len(text)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def _around(data: bytes, part: bytes) -> bytes:
    place = data.index(part)
    return data[max(0, place - 100) : place + 100]
