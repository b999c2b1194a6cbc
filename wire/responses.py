"""JSON answers, and errors as answers; every door uses these."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse

from wire import filter_path, json
from wire.elastic import error_body
from wire.errors import ApiError
from wire.media_types import LONGEST, response_type

logger = logging.getLogger(__name__)
# How `endpoints.providers` introduces the text of a provider in a reason.
_PROVIDERS_TEXT = " Error message: ["


def json_response(request: HttpRequest, data: Any, status: int = 200) -> HttpResponse:
    """Return `data` as the request wants it: `filter_path`, `pretty`, and the media type it accepts."""
    if request.META.get("QUERY_STRING") and (paths := request.GET.get("filter_path")):
        data = filter_path.apply(data, paths)
    return HttpResponse(_content(request, data), status=status, content_type=_content_type(request))


class ErrorResponse(HttpResponse):
    """An error with its status and its headers, of which one may have several lines; Django's responses have not."""

    def __init__(self, error: ApiError, content: bytes, content_type: str) -> None:
        super().__init__(content, status=error.status, content_type=content_type)
        if error.status >= 500:
            # What a provider wrote is left out: it may quote a prompt.
            reason = error.reason.partition(_PROVIDERS_TEXT)[0]
            logger.error("Answered %d %s: %s", error.status, error.type, ascii(reason))
        self._more_lines: list[tuple[str, str]] = []
        for name, value in error.headers.items():
            first, *more = [value] if isinstance(value, str) else value
            self[name] = first
            self._more_lines += [(name, one) for one in more]

    def items(self) -> Any:
        """What the handler sends."""
        return [*super().items(), *self._more_lines]


def error_response(request: HttpRequest, error: ApiError) -> HttpResponse:
    return ErrorResponse(error, _content(request, error_body(error)), _content_type(request))


def _content(request: HttpRequest, data: Any) -> bytes:
    return json.encode(data, pretty=bool(request.META.get("QUERY_STRING")) and _is_pretty(request))


def _is_pretty(request: HttpRequest) -> bool:
    try:
        return request.GET.get("pretty", "false") != "false"
    except TooManyFieldsSent:
        # The error that says so has to be written too.
        return False


def _content_type(request: HttpRequest) -> str:
    return response_type(request.META.get("HTTP_ACCEPT", "")[:LONGEST], request.META.get("CONTENT_TYPE", "")[:LONGEST])
