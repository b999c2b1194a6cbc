"""Bodies that are compressed although that was not asked for; unpacked in pieces, however much is in them."""

from __future__ import annotations

import zlib

from aiohttp.http_exceptions import ContentEncodingError

_GZIP = zlib.MAX_WBITS | 16
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
KNOWN = frozenset({"identity", *_WINDOWS})
_DEFLATE_METHOD = 8


class Decoder:
    """Unpacks one body. Raises ContentEncodingError where it is not what it says."""

    def __init__(self, encoding: str) -> None:
        self._window = _WINDOWS[encoding]
        self._begun = False
        self._packed = b""
        self._unpacker = zlib.decompressobj(wbits=self._window)

    def decode(self, data: bytes, most: int) -> bytes:
        """Take `data` and return up to `most` bytes; b"" where more is needed."""
        data = self._packed + data
        if not data:
            return b""
        if not self._begun:
            self._begin(data)
        if self._unpacker.eof:
            # gzip files may stand one behind the other.
            self._unpacker = zlib.decompressobj(wbits=self._window)
        try:
            unpacked = self._unpacker.decompress(data, most)
        except zlib.error as error:
            raise ContentEncodingError(str(error)) from None
        self._packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        return unpacked or (self.decode(b"", most) if self._unpacker.eof else b"")

    def check_end(self) -> None:
        """Raise where the end of the body is not the end of what was packed."""
        if self._begun and not self._unpacker.eof:
            raise ContentEncodingError("cut off")

    def _begin(self, data: bytes) -> None:
        self._begun = True
        # Some servers leave out zlib's head, which says the method.
        if self._window == zlib.MAX_WBITS and data[0] & 0x0F != _DEFLATE_METHOD:
            self._window = -zlib.MAX_WBITS
            self._unpacker = zlib.decompressobj(wbits=self._window)


def decoder(encoding: str) -> Decoder | None:
    """Return what unpacks a body with this Content-Encoding; None where it is not packed, or nobody knows how."""
    encoding = encoding.strip().lower()
    return Decoder(encoding) if encoding in _WINDOWS else None
