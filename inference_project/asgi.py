"""The application that a server runs; outermost first: proxies, life of the process, body limit, static files."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "inference_project.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.urls import get_resolver
from servestatic import ServeStaticASGI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from access.cache import version
from endpoints import catalog
from streaming import drain
from streaming.handler import InferenceHandler
from wire.body_limit import BodyLimit

Application = Callable[[Any, Any, Any], Awaitable[None]]
_inference = InferenceHandler()
# Import the views now: the first request must not wait for it.
_urls = get_resolver().url_patterns


async def _http(scope: Any, receive: Any, send: Any) -> None:
    asked = scope["method"] == "POST" and scope["path"].startswith("/_inference/")
    await (_inference if asked else _django)(scope, receive, send)


async def _websocket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    _drain_on_signals()
    version.watch()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await catalog.close()
    await send({"type": "lifespan.shutdown.complete"})


def _drain_on_signals() -> None:
    """Begin to drain at SIGTERM and SIGINT, before the server's own handlers stop it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: Any, before: Any = before) -> None:
            loop.call_soon_threadsafe(drain.begin)
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)


def _assemble() -> Application:
    http: Application = _http
    if settings.STATIC_ROOT.is_dir():
        http = ServeStaticASGI(http, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL)
    http = BodyLimit(http, settings.MAX_BODY_BYTES)
    if settings.TRUSTED_PROXIES:
        http = ProxyHeadersMiddleware(http, [str(network) for network in settings.TRUSTED_PROXIES])
    router: Application = ProtocolTypeRouter({"http": http, "websocket": _websocket, "lifespan": _lifespan})
    return router


application = _assemble()
