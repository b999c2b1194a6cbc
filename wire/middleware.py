"""Middleware of both doors: what Elasticsearch's clients expect, and Django's own stack for browser pages only.

All of it is async-native. One synchronous middleware would put a thread hop on the path of every stream.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from wire.errors import DatabaseUnavailable
from wire.responses import error_response

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
BROWSER_PREFIX = "/admin"
_NO_DATABASE = (
    "<!doctype html><title>No database</title><h1>The database does not answer</h1><p>Try again in a moment.</p>"
)


def is_browser(request: HttpRequest) -> bool:
    """Whether `request` is for a page; everything else is the API, where no session and no cookie counts."""
    path = request.path_info
    return path.startswith(BROWSER_PREFIX) and path[len(BROWSER_PREFIX) :][:1] in ("", "/")


class Elastic:
    """Send the headers that Elasticsearch sends with every answer of its API."""

    sync_capable, async_capable = False, True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_browser(request):
            return await self.get_response(request)
        response = await self.get_response(request)
        headers = response.headers
        headers["X-Elastic-Product"] = "Elasticsearch"
        opaque_id = request.META.get("HTTP_X_OPAQUE_ID")
        if opaque_id and opaque_id.isascii() and opaque_id.isprintable():
            headers["X-Opaque-Id"] = opaque_id
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for views that leave it to others that the database does not answer: those of the admin."""
        if not isinstance(exception, (InterfaceError, OperationalError)):
            return None
        if not is_browser(request):
            return error_response(request, DatabaseUnavailable())
        logger.error("The database did not answer for a page: %s", type(exception).__name__)
        return HttpResponse(_NO_DATABASE, status=503, headers={"Retry-After": "1"})


def for_browsers(dotted: str) -> type[Any]:
    """Return the stock middleware at `dotted`, which lets requests of the API pass without a thread hop."""
    base = import_string(dotted)

    async def call(self: Any, request: HttpRequest) -> HttpResponseBase:
        if not is_browser(request):
            response: HttpResponseBase = await self.get_response(request)
            return response
        page: HttpResponseBase = await base.__acall__(self, request)
        return page

    def call_sync(self: Any, request: HttpRequest) -> Any:
        if self.async_mode:
            return self.__acall__(request)
        return base.__call__(self, request) if is_browser(request) else self.get_response(request)

    namespace: dict[str, Any] = {"__acall__": call, "__call__": call_sync}
    if hasattr(base, "process_view"):

        async def process_view(self: Any, request: HttpRequest, *arguments: Any) -> Any:
            if not is_browser(request):
                return None
            return await sync_to_async(base.process_view)(self, request, *arguments)

        namespace["process_view"] = process_view
    return type(f"Browser{base.__name__}", (base,), namespace)


BrowserSecurity = for_browsers("django.middleware.security.SecurityMiddleware")
BrowserSession = for_browsers("django.contrib.sessions.middleware.SessionMiddleware")
BrowserCommon = for_browsers("django.middleware.common.CommonMiddleware")
BrowserCsrf = for_browsers("django.middleware.csrf.CsrfViewMiddleware")
BrowserAuthentication = for_browsers("django.contrib.auth.middleware.AuthenticationMiddleware")
BrowserMessages = for_browsers("django.contrib.messages.middleware.MessageMiddleware")
BrowserPolicy = for_browsers("wire.page_policy.PagePolicy")
