"""Compressed request bodies; unpacked once it is known who asks."""

from __future__ import annotations

import zlib

from django.conf import settings
from django.http import HttpRequest

from wire.errors import BadRequest, TooLarge


def unpack(request: HttpRequest) -> None:
    """Replace a gzip body by what is in it, at most as large as a body may be. Raise BadRequest or TooLarge."""
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in ("", "identity") or not request.body:
        return
    if encoding not in ("gzip", "x-gzip"):
        raise BadRequest(f"Content-Encoding [{encoding[:40]}] is not supported, use [gzip] or none")
    limit: int = settings.MAX_BODY_BYTES
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        # One byte more than allowed is enough to know that there is too much.
        body = unpacker.decompress(request.body, limit + 1)
    except zlib.error:
        raise BadRequest("the body is not valid gzip, although Content-Encoding says so") from None
    if len(body) > limit:
        raise TooLarge(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("the body is not valid gzip: it is cut off, or something stands behind its end")
    request._body = body
    request.META["CONTENT_LENGTH"] = str(len(body))
