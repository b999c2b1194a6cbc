"""`GET /metrics`: for Prometheus with a token of its own, or for whoever may monitor the gateway."""

from __future__ import annotations

import asyncio
import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from access.authentication import authenticate
from access.privileges import require
from usage import exposition
from wire.errors import ApiError, MethodNotAllowed
from wire.requests import uri
from wire.responses import error_response

ACTION = "cluster:monitor/prometheus/metrics"
_METHODS = ("GET", "HEAD")
_token = settings.ENVIRONMENT.metrics_token.get_secret_value().encode()
# Those who ask while one is answered wait here, and not each in a thread.
_one_at_a_time = asyncio.Lock()


async def metrics(request: HttpRequest) -> HttpResponseBase:
    """Answer with all metrics; with the token this needs no database, and goes on while the process is leaving."""
    try:
        if not _has_token(request):
            require(await authenticate(request), ACTION)
        if request.method not in _METHODS:
            raise MethodNotAllowed(uri(request), str(request.method), _METHODS)
    except ApiError as error:
        return error_response(request, error)
    async with _one_at_a_time:
        content, content_type = await asyncio.to_thread(exposition.render, request.META.get("HTTP_ACCEPT", ""))
    return HttpResponse(content, content_type=content_type, headers={"Cache-Control": "no-store"})


def _has_token(request: HttpRequest) -> bool:
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    given = value.strip().encode(errors="replace")
    return bool(_token) and scheme.lower() == "bearer" and hmac.compare_digest(given, _token)
