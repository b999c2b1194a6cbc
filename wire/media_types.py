"""Media types of requests and responses, with Elasticsearch's `compatible-with` versions 8 and 9."""

from __future__ import annotations

import re
from functools import lru_cache

from wire.errors import BadRequest, MediaTypeInvalid, NotAcceptable, StatusError

LONGEST = 500
"""Headers are cut at this length before they are looked at, since what is remembered of them must be small."""
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_ACCEPTED = frozenset(
    {JSON, "application/x-ndjson", "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson"}
)
_VENDOR = "application/vnd.elasticsearch+"
_VERSION = re.compile(r";\s*compatible-with\s*=\s*\"?([^\s;,\"]*)", re.IGNORECASE)
_VERSIONS = ("8", "9")


@lru_cache(maxsize=256)
def check_content_type(header: str) -> None:
    """Raise NotAcceptable unless `header`, the Content-Type of a request with a body, is JSON."""
    if not header:
        raise NotAcceptable("Content-Type header is missing")
    if _bare(header) not in _ACCEPTED:
        raise NotAcceptable(f"Content-Type header [{header[:200]}] is not supported")


@lru_cache(maxsize=256)
def check_versions(accept: str, content_type: str) -> None:
    """Raise MediaTypeInvalid where a header asks for another major version than 8 or 9.

    `content_type` is "" for a request without a body, whose Content-Type does not count. More lenient than
    Elasticsearch in one thing: the two headers may disagree.
    """
    for name, value in (("Accept", accept), ("Content-Type", content_type)):
        version = _VERSION.search(value)
        if version and value.lower().startswith(_VENDOR) and version[1] not in _VERSIONS:
            cause = StatusError(
                f"{name} version must be either version 9 or 8, but found {version[1][:20]}. {name}={value[:200]}"
            )
            raise MediaTypeInvalid(f"Invalid media-type value on headers [{name}]", caused_by=cause)


@lru_cache(maxsize=256)
def response_type(accept: str, content_type: str) -> str:
    """Return the Content-Type of a JSON answer: what was asked for where it is one known JSON type.

    Parameters of a single Accept are echoed without blanks; a list in it loses them.
    """
    first, _, rest = accept.partition(",")
    if _bare(first) in _ACCEPTED:
        return _bare(first) if rest else _compact(first)
    return _bare(content_type) if _bare(content_type) in _ACCEPTED else JSON


def check_format(value: str) -> None:
    """Raise where the `format` parameter asks for another encoding than JSON."""
    if value in ("yaml", "cbor", "smile"):
        raise NotAcceptable(f"format [{value}] is not supported, use [json]")
    if value not in ("", "json"):
        raise BadRequest(f"Failed to parse value [{value[:40]}] of parameter [format], use [json]")


def _bare(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _compact(header: str) -> str:
    return ";".join(part.strip() for part in header.lower().split(";"))
