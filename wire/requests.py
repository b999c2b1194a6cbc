"""What every door asks of a request before a handler sees it, in Elasticsearch's order."""

from __future__ import annotations

import difflib
from collections.abc import Set
from typing import Literal

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest

from wire.compression import unpack
from wire.errors import BadRequest, BodyMissing
from wire.media_types import LONGEST, check_content_type, check_format, check_versions

COMMON_PARAMETERS = frozenset({"pretty", "human", "error_trace", "filter_path", "format"})
NO_PARAMETERS: frozenset[str] = frozenset()

BodyRule = Literal["required", "optional", "refused"]


def uri(request: HttpRequest) -> str:
    """Return path and query as they stand in messages."""
    return request.get_full_path()


def check(request: HttpRequest, *, parameters: Set[str], body: BodyRule) -> None:
    """Unpack the body, check media types, the query's parameters and whether there is a body.

    Raise NotAcceptable, MediaTypeInvalid, BodyMissing, TooLarge or BadRequest.
    """
    unpack(request)
    headers = request.META
    content_type = headers.get("CONTENT_TYPE", "")[:LONGEST] if request.body else ""
    if request.body:
        check_content_type(content_type)
    check_versions(headers.get("HTTP_ACCEPT", "")[:LONGEST], content_type)
    if headers.get("QUERY_STRING"):
        try:
            _check_parameters(request, parameters)
        except TooManyFieldsSent:
            raise BadRequest(f"request [{request.path}] contains too many parameters") from None
    if body == "required" and not request.body:
        raise BodyMissing
    if body == "refused" and request.body:
        raise BadRequest(f"request [{request.method} {request.path}] does not support having a body")


def flag(request: HttpRequest, name: str) -> bool:
    """Return a boolean parameter; present without a value means true."""
    value = request.GET.get(name, "false")
    if value not in ("", "true", "false"):
        raise BadRequest(f"Failed to parse value [{value[:40]}] as only [true] or [false] are allowed.")
    return value != "false"


def _check_parameters(request: HttpRequest, known: Set[str]) -> None:
    unknown = sorted(name for name in request.GET if name not in known and name not in COMMON_PARAMETERS)
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        names = ", ".join(_with_suggestion(name[:80], known | COMMON_PARAMETERS) for name in unknown[:20])
        raise BadRequest(f"request [{request.path}] contains unrecognized parameter{plural}: {names}")
    for name in ("pretty", "human", "error_trace"):
        flag(request, name)
    check_format(request.GET.get("format", ""))


def _with_suggestion(name: str, known: Set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known))
    if not near:
        return f"[{name}]"
    if len(near) == 1:
        return f"[{name}] -> did you mean [{near[0]}]?"
    return f"[{name}] -> did you mean any of [{', '.join(near)}]?"
