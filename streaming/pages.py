"""The pages of the admin on which endpoints are asked and watched: the playground and the live streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from access import teams
from access.models import User
from access.privileges import Caller
from endpoints.models import Endpoint
from endpoints.providers import load, names
from streaming import consumers, live_sockets
from streaming.asking import SERVED_STREAMS

_MOST_ENDPOINTS = 5000
_NUMBER = re.compile(r"[0-9]{1,18}")
_encode = msgspec.json.Encoder().encode
Answering = Coroutine[Any, Any, HttpResponseBase]


def playground(request: HttpRequest) -> HttpResponse:
    """`GET /admin/playground/`, with `?endpoint=<id>` to begin with that one."""
    assert isinstance(request.user, User)
    caller = request.user.caller
    context = {
        "endpoints": _streaming(caller),
        "add_address": reverse("admin:endpoints_endpoint_add") if caller.holds("manage_inference") else "",
        "chosen": request.GET.get("endpoint", ""),
        "socket": consumers.PATH,
        "most": consumers.MOST_STREAMS,
        "most_bytes": settings.MAX_BODY_BYTES,
        "address": settings.PUBLIC_URL,
    }
    return _page(request, "streaming/playground.html", "Playground", context)


def live_streams(request: HttpRequest) -> HttpResponse:
    """`GET /admin/live/`."""
    return _page(request, "streaming/live_streams.html", "Live streams", {})


def for_staff(view: Callable[[HttpRequest, Caller], Answering]) -> Callable[[HttpRequest], Answering]:
    """Return `view` for requests of a page's script, with who is signed in; 403 where nobody is."""

    async def answered(request: HttpRequest) -> HttpResponseBase:
        caller = await sync_to_async(_caller)(request)
        if caller is None:
            return JsonResponse({"error": "Nobody is signed in any more. Sign in again."}, status=403)
        return await view(request, caller)

    return answered


@never_cache
@require_GET
@for_staff
async def running(request: HttpRequest, caller: Caller) -> HttpResponse:
    """`GET /admin/live/running`: what runs now and the caller may see."""
    await live_sockets.listen()
    found, silent = await live_sockets.listing(caller)
    return HttpResponse(_encode({"listing": found, "silent": silent}), content_type="application/json")


@never_cache
@require_POST
@for_staff
async def stop(request: HttpRequest, caller: Caller) -> HttpResponse:
    """`POST /admin/live/stop` with `process` and `number`; 404 where the caller sees no such request."""
    given = [request.POST.get(name, "") for name in ("process", "number")]
    if not all(map(_NUMBER.fullmatch, given)):
        return JsonResponse({"error": "process and number have to be numbers of at most 18 digits"}, status=400)
    process, number = map(int, given)
    if not await live_sockets.stop(caller, process, number):
        return JsonResponse({"error": "There is no such request any more."}, status=404)
    return JsonResponse({"stopped": True})


def _caller(request: HttpRequest) -> Caller | None:
    user = request.user
    return user.caller if isinstance(user, User) and user.is_active and user.is_staff else None


def _streaming(caller: Caller) -> list[Endpoint]:
    """Return the endpoints that `caller` could stream from, with their teams."""
    found = Endpoint.objects.filter(teams.reachable(caller), enabled=True, task_type__in=SERVED_STREAMS)
    shown = list(found.select_related("team").only("inference_id", "service", "team__name")[:_MOST_ENDPOINTS])
    # Asked only of services that have endpoints: to load one takes its vendor's library.
    streaming = {service for service in {one.service for one in shown} if _streams(service)}
    return [one for one in shown if one.service in streaming]


def _streams(service: str) -> bool:
    return service in names() and not set(SERVED_STREAMS).isdisjoint(load(service).streaming_task_types)


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **context})
