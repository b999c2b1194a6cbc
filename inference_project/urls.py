"""All addresses. Streams come first, since they are asked for most; literal words win over ids."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from endpoints.views import EndpointView, ServicesView, UpdateView
from inference_project import views
from inference_project.metrics_view import metrics
from inference_project.openapi.views import DocumentView
from streaming.views import inference, stream

_TYPE = r"(?P<task_type>[^/]+)"
_ID = r"(?P<inference_id>[^/]+)"

_manage = EndpointView.as_view()


async def endpoint(request: HttpRequest, **names: Any) -> HttpResponseBase:
    """Ask an endpoint with POST, manage it with the other methods."""
    if request.method == "POST":
        return await inference(request, **names)
    response: HttpResponseBase = await sync_to_async(_manage)(request, **names)
    return response


urlpatterns = [
    re_path(rf"^_inference/{_ID}/_stream/?$", stream),
    re_path(rf"^_inference/{_TYPE}/{_ID}/_stream/?$", stream),
    re_path(r"^_inference/?$", _manage),
    re_path(r"^_inference/_services/?$", ServicesView.as_view()),
    re_path(rf"^_inference/_services/{_TYPE}/?$", ServicesView.as_view()),
    re_path(r"^_inference/openapi\.json$", DocumentView.as_view()),
    re_path(rf"^_inference/{_ID}/_update/?$", UpdateView.as_view()),
    re_path(rf"^_inference/{_TYPE}/{_ID}/_update/?$", UpdateView.as_view()),
    re_path(rf"^_inference/{_ID}/?$", endpoint),
    re_path(rf"^_inference/{_TYPE}/{_ID}/?$", endpoint),
    path("", include("access.urls")),
    re_path(r"^$", views.InfoView.as_view()),
    path("favicon.ico", views.favicon),
    path("livez", views.livez),
    path("readyz", views.readyz),
    path("metrics", metrics),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", include("streaming.urls")),
    path("admin/", admin.site.urls),
    re_path(r"^", views.no_handler),
]

handler400 = views.bad_request
handler403 = views.refused
handler404 = views.missing
handler500 = views.failed
