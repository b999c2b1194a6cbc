"""A trimmed ASGI handler for the path of inference requests.

Django's own starts a thread for each request, which lives as long as the stream, and leaves its tasks behind where
the server cancels it. Request, middleware, URL resolver, view and response are Django's here too; what is left out
are the thread, the signals around a request (no database connection is opened in it) and the body in a file.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponseBadRequest

from streaming.responses import EventStream
from usage.record import Record


class InferenceHandler(ASGIHandler):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await self._body(receive)
        if body is None:
            return
        request, refusal = self.create_request(scope, BytesIO(body))
        if request is None or refusal is not None:
            await self.send_response(refusal or HttpResponseBadRequest(), send)
            return
        gone = asyncio.ensure_future(receive())
        work = asyncio.create_task(self._answer(request, send))
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
            # A client may leave while Django logs a refusal in a thread; then there is no response to close.
            record: Record | None = getattr(request, "record", None)
            if record is not None:
                record.finish()

    async def _stream(self, response: EventStream, send: Any) -> None:
        try:
            await response.send_to(send)
        finally:
            await response.aclose()
