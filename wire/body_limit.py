"""A bound on request bodies, enforced while they arrive and before anything keeps them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from wire import json
from wire.elastic import error_body
from wire.errors import ApiError, StatusError, TooLarge

# A client that is still sending often misses an answer that comes with a closed connection. So what it sends is
# thrown away for a while; one that goes on for longer is cut off.
_DISCARD_BYTES = 64 * 2**20
_DISCARD_SECONDS = 5
# Bodies of this process that are still arriving; whoever sends them has not said yet who it is.
_MOST_ARRIVING_BYTES = 256 * 2**20
# For the whole body; a connection that sends half of one must not be kept for ever.
_BODY_SECONDS = 60


class _BodyRefused(Exception):
    """`more` says whether the client is still sending."""

    def __init__(self, error: ApiError, *, more: bool) -> None:
        self.error = error
        self.more = more


class BodyLimit:
    """An ASGI application that refuses bodies of more than `limit` bytes with 413, and those that dawdle with 408."""

    def __init__(self, app: Any, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._arriving = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        # Longer than any number worth reading; int() would refuse thousands of digits by an error of its own.
        if len(length) > 18 or (length.isdigit() and int(length) > self._limit):
            await _discard(receive)
            await _refuse(send, TooLarge(self._limit))
            return
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Any, receive: Any, send: Any) -> None:
        seen, arriving, whole, started = 0, 0, False, False
        deadline = asyncio.get_running_loop().time() + _BODY_SECONDS

        async def counting() -> Any:
            nonlocal seen, arriving, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                text = f"the body of the request did not arrive within [{_BODY_SECONDS}s]"
                raise _BodyRefused(StatusError(text, status=408), more=False) from None
            whole = not message.get("more_body", False)
            if message["type"] == "http.request":
                read = len(message.get("body", b""))
                seen += read
                left = -arriving if whole else read
                arriving += left
                self._arriving += left
                if self._arriving > _MOST_ARRIVING_BYTES and not whole:
                    raise _BodyRefused(_too_many(), more=True)
                if seen > self._limit:
                    raise _BodyRefused(TooLarge(self._limit), more=message.get("more_body", False))
            return message

        async def noting(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counting, noting)
        except _BodyRefused as refused:
            if started:
                return
            if refused.more:
                await _discard(receive)
            await _refuse(send, refused.error)
        finally:
            self._arriving -= arriving


def _too_many() -> StatusError:
    return StatusError("too many large bodies arrive at once, try again", status=503, headers={"Retry-After": "1"})


async def _refuse(send: Any, error: ApiError) -> None:
    body = json.encode(error_body(error))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-elastic-product", b"Elasticsearch"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _discard(receive: Any) -> None:
    left = _DISCARD_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
