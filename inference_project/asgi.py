"""The application that a server runs; outermost first: proxies, life of the process, body limit, and, for all but
inference, static files."""

from __future__ import annotations

import asyncio
import gc
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

from access import database, last_use, websockets
from access.cache import version
from endpoints import catalog
from streaming import consumers, drain, live_sockets
from streaming.handler import InferenceHandler
from usage import limits
from wire.body_limit import BodyLimit

_OBJECTS_BETWEEN_COLLECTIONS = 20_000
Application = Callable[[Any, Any, Any], Awaitable[None]]
_inference = InferenceHandler()
_playground: Application = consumers.PlaygroundConsumer.as_asgi()
# Import the views now: the first request must not wait for it.
_urls = get_resolver().url_patterns


async def _http(scope: Any, receive: Any, send: Any) -> None:
    asked = scope["method"] == "POST" and scope["path"].startswith("/_inference/")
    await (_inference if asked else _others)(scope, receive, send)


async def _websocket(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == consumers.PATH and websockets.is_own_page(scope):
        await _playground(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.close"})


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    _drain_on_signals()
    _collect_garbage_seldom()
    database.give_up_soon()
    version.watch()
    last_use.writer.start()
    await live_sockets.listen()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await live_sockets.close()
    await catalog.close()
    await limits.close()
    await asyncio.to_thread(last_use.writer.close)
    await send({"type": "lifespan.shutdown.complete"})


def _collect_garbage_seldom() -> None:
    """Look at what was made since the start only, and less often.

    A request makes some hundred objects and no cycles among them; looking through them would take a tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])


def _drain_on_signals() -> None:
    """Drain at SIGTERM and SIGINT, and let the server's own handlers stop it only then.

    A second SIGINT, as by an impatient hand, ends the drain. A second SIGTERM does not: systemd sends one to each
    process, and the parent of several workers passes on its own.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: Any, before: Any = before) -> None:
            act = drain.end if number == signal.SIGINT and drain.draining() else drain.begin
            loop.call_soon_threadsafe(act, lambda: before(number, frame) if callable(before) else None)

        signal.signal(number, handle)


def _with_static_files(http: Application) -> Application:
    if not settings.STATIC_ROOT.is_dir():
        return http
    served: Application = ServeStaticASGI(http, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL)
    return served


def _assemble() -> Application:
    http: Application = BodyLimit(_http, settings.MAX_BODY_BYTES)
    websocket: Application = _websocket
    if proxies := [str(network) for network in settings.TRUSTED_PROXIES]:
        http, websocket = ProxyHeadersMiddleware(http, proxies), ProxyHeadersMiddleware(websocket, proxies)
    router: Application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": _lifespan})
    return router


_others = _with_static_files(_django)
application = _assemble()
