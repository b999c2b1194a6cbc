"""A trimmed ASGI handler for the path of inference requests.

Django's own starts a thread and two tasks for each request, and leaves the tasks behind where the server cancels it.
Request, URL resolver, view and response are Django's here too. What is left out are the thread, the signals around a
request (no database connection is opened in it), the middleware that is for pages, and the body in a file.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from functools import lru_cache
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, get_resolver

from streaming.responses import EventStream
from usage.record import Record
from wire.middleware import Elastic

# Longer paths are looked up each time, so that what is remembered of them stays small.
_LONGEST = 200


def _resolved(path: str) -> ResolverMatch:
    return get_resolver().resolve(path)


_known = lru_cache(1024)(_resolved)


class InferenceHandler(ASGIHandler):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await self._body(receive)
        if body is None:
            return
        request, refusal = self.create_request(scope, BytesIO())
        if request is None or refusal is not None:
            await self.send_response(refusal or HttpResponseBadRequest(), send)
            return
        request._body = body
        client = scope.get("extensions", {}).get("client")
        answering = self._answer(request, send)
        await (_unless_told(answering, receive) if client is None else _unless_left(answering, client))

    def load_middleware(self, is_async: bool = False) -> None:
        answer: Any = convert_exception_to_response(self._get_response_async)
        self._elastic = Elastic(answer)
        self._middleware_chain = convert_exception_to_response(self._elastic)
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = [self._elastic.process_exception]

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answering: Any = self._middleware_chain(request)
        response: HttpResponseBase = await answering
        return response

    async def _get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        view, arguments, names = request.resolver_match = (_known if len(path) <= _LONGEST else _resolved)(path)
        try:
            if not inspect.iscoroutinefunction(view):
                view = sync_to_async(view)
            response: HttpResponseBase = await view(request, *arguments, **names)
        except Exception as error:
            answer = self._elastic.process_exception(request, error)
            if answer is None:
                raise
            return answer
        return response

    async def _body(self, receive: Any) -> bytes | None:
        """Return the body, None where the client left before its end."""
        message = await receive()
        parts = []
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)
            message = await receive()
        return None

    async def _answer(self, request: HttpRequest, send: Any) -> None:
        try:
            response = await self.get_response_async(request)
            if isinstance(response, EventStream):
                await self._stream(response, send)
            else:
                await self.send_response(response, send)
        finally:
            # A client may leave before there is a response to close.
            record: Record | None = getattr(request, "record", None)
            if record is not None:
                record.finish()

    async def _stream(self, response: EventStream, send: Any) -> None:
        try:
            await response.send_to(send)
        finally:
            await response.aclose()


async def _unless_left(answering: Coroutine[Any, Any, None], client: Any) -> None:
    """Answer in this task, which our own server (`client` is its extension) interrupts when the client leaves."""
    task = asyncio.current_task()
    assert task is not None
    client.on_leave = task.cancel
    try:
        await answering
    except asyncio.CancelledError:
        # By a client that left, by a stream whose last event nobody takes, or by a server that stops: it is over.
        task.uncancel()
    finally:
        client.on_leave = None


async def _unless_told(answering: Coroutine[Any, Any, None], receive: Any) -> None:
    """Answer in a task of its own, while this one waits for the message that the client has left."""
    gone = asyncio.ensure_future(receive())
    work = asyncio.create_task(answering)
    try:
        await asyncio.wait((gone, work), return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Reached by the end of the answer, by a client that left, and by a server that stops: whichever it is,
        # the work is over when this returns.
        gone.cancel()
        work.cancel()
        await asyncio.wait((gone, work))
    if not work.cancelled() and (failure := work.exception()):
        raise failure
