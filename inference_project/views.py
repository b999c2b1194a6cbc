"""What belongs to no room: who the gateway is, whether it lives, and answers for what nobody else answers."""

from __future__ import annotations

import uuid
from functools import lru_cache

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views import defaults
from rest_framework.request import Request

from access.authentication import SecuredView, authenticate
from access.cache import read_version
from streaming import drain
from wire.errors import ApiError, BadRequest, Forbidden, NoHandler
from wire.middleware import is_browser
from wire.requests import uri
from wire.responses import error_response

MAIN = "cluster:monitor/main"
# What official clients look at: the major version they were made for, and the flavour.
VERSION = {
    "number": "9.5.0",
    "build_flavor": "default",
    "build_type": "docker",
    "build_hash": "0" * 40,
    "build_date": "2026-07-01T00:00:00.000000000Z",
    "build_snapshot": False,
    "lucene_version": "10.3.1",
    "minimum_wire_compatibility_version": "8.19.0",
    "minimum_index_compatibility_version": "8.0.0",
}


class InfoView(SecuredView):
    """`GET /` and `HEAD /`."""

    actions = {"GET": MAIN}

    def get(self, request: Request) -> HttpResponse:
        return self.json(
            {
                "name": "inference-gateway",
                "cluster_name": "inference-gateway",
                "cluster_uuid": _cluster_uuid(),
                "version": VERSION,
                "tagline": "You Know, for Search",
            }
        )


async def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it at every page, and would be asked to log in."""
    return HttpResponse(status=204)


async def livez(request: HttpRequest) -> HttpResponse:
    """Whether the process answers at all; asks nothing of anything else, and nothing of the request."""
    return JsonResponse({"status": "ok"})


async def readyz(request: HttpRequest) -> HttpResponse:
    """Whether requests should come here: not while leaving, and not without a database."""
    if drain.draining():
        return JsonResponse({"status": "draining"}, status=503)
    try:
        await sync_to_async(read_version)()
    except Error:
        return JsonResponse({"status": "database not available"}, status=503)
    return JsonResponse({"status": "ok"})


async def no_handler(request: HttpRequest) -> HttpResponseBase:
    """Answer for unknown paths; who calls is asked first, as everywhere."""
    try:
        await authenticate(request)
    except ApiError as error:
        return error_response(request, error)
    return error_response(request, NoHandler(uri(request), str(request.method)))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_browser(request):
        return defaults.bad_request(request, exception)
    return error_response(request, BadRequest("the request is malformed"))


def refused(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_browser(request):
        return defaults.permission_denied(request, exception)
    return error_response(request, Forbidden("access to this is denied"))


def missing(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_browser(request):
        return defaults.page_not_found(request, exception)
    return error_response(request, NoHandler(uri(request), str(request.method)))


def failed(request: HttpRequest) -> HttpResponseBase:
    """A mistake of ours; the log has the traceback, the caller does not."""
    if is_browser(request):
        return defaults.server_error(request)
    return error_response(request, ApiError("internal error of the gateway"))


@lru_cache
def _cluster_uuid() -> str:
    """Return an id that all processes of one installation share; clients only show it."""
    return uuid.uuid5(uuid.NAMESPACE_URL, settings.API_KEY_PEPPER.hex()).hex
