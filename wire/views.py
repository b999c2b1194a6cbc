"""The base of all management views: the same checks, the same errors, JSON in and out."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from wire import json
from wire.errors import ApiError, DatabaseUnavailable, MethodNotAllowed, TooLarge
from wire.requests import NO_PARAMETERS, BodyRule, check, uri
from wire.responses import error_response, json_response

logger = logging.getLogger(__name__)


class ApiView(APIView):
    """A view of the API.

    `parameters` are the query parameters of each method beside the common ones; `bodies` says for each method
    whether it wants a body (not named: refuses one). Handlers raise ApiError and return `self.json(...)`.
    """

    parameters: ClassVar[dict[str, frozenset[str]]] = {}
    bodies: ClassVar[dict[str, BodyRule]] = {}
    parser_classes = ()
    renderer_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, then check method, media types, parameters and body, in this order."""
        self.perform_authentication(request)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in (*self.allowed_methods, "OPTIONS") or not hasattr(self, method.lower()):
            raise MethodNotAllowed(uri(self.plain), str(request.method), self.allowed_methods)
        parameters = self.parameters.get(method, NO_PARAMETERS)
        check(self.plain, parameters=parameters, body=self.bodies.get(method, "refused"))
        self.authorize(method)

    def authorize(self, method: str) -> None:
        """Raise Forbidden where the caller may not use `method` here. Rooms above give it a meaning."""

    @property
    def plain(self) -> HttpRequest:
        """Django's own request; REST framework's wraps it."""
        request: HttpRequest = self.request._request
        return request

    @property
    def allowed_methods(self) -> list[str]:
        """HEAD is GET without a body, and works where GET does."""
        hidden = ("options", "head")
        return [method.upper() for method in self.http_method_names if hasattr(self, method) and method not in hidden]

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def object(self, parser: str) -> dict[str, Any]:
        """Return the object in the body; `parser` is the name that Elasticsearch's errors call it by."""
        return json.decode_object(self.plain.body, parser)

    def json(self, data: Any, status: int = 200) -> HttpResponse:
        return json_response(self.plain, data, status)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(headers={"Allow": ", ".join(self.allowed_methods)})

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        if isinstance(exc, ApiError):
            return error_response(self.plain, exc)
        if isinstance(exc, RequestDataTooBig):
            return error_response(self.plain, TooLarge(settings.MAX_BODY_BYTES))
        if isinstance(exc, Error):
            logger.error("The database did not answer a management request: %s", type(exc).__name__)
            return error_response(self.plain, DatabaseUnavailable())
        raise exc
