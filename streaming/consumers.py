"""The WebSocket of the playground: streams for who is signed in to the admin, with that user's own rights.

A browser sends `{"type": "start", "id": 1, "inference_id": "…", "input": "…"}`, with `task_settings` if it likes, and
`{"type": "stop", "id": 1}`; the ids are its own. It is sent `{"type": "event", "id": 1, "event": "…"}` with each
event as an HTTP client would get it, an error among them, and one `{"type": "end", "id": 1, …}` with what is known of
the stream. A message that is none of these is answered by `{"type": "refused", "reason": "…"}`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import Annotated, Any, ClassVar

import msgspec
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from access import websockets
from endpoints.models import LONGEST_ID
from endpoints.providers._progress import progress
from streaming import asking
from usage.record import Record
from wire.errors import ApiError
from wire.sse import Framing

logger = logging.getLogger(__name__)

PATH = "/admin/playground/stream"
MOST_STREAMS = 3
"""Of one browser page, side by side."""
MOST_SOCKETS = 200
"""Of this process. More administrators than this do not try something at once."""
MOST_OF_USER = 20
"""Of these, so that nobody shuts the others out."""
# Of an application's own; daphne sends no others.
_TOO_MANY = 4429
_TASK_TYPE = "completion"
_framing = Framing()
_encode = msgspec.json.Encoder().encode
_signed_in = database_sync_to_async(websockets.signed_in)


InferenceId = Annotated[str, msgspec.Meta(max_length=LONGEST_ID)]
# JavaScript has no larger ones.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Start(msgspec.Struct, tag="start", forbid_unknown_fields=True):
    id: Number
    inference_id: InferenceId
    input: str
    task_settings: dict[str, Any] = {}

    def body(self) -> bytes:
        """Return the body of the same request over HTTP."""
        given = {"input": self.input, "task_settings": self.task_settings}
        return _encode({name: value for name, value in given.items() if value != {}})


class Stop(msgspec.Struct, tag="stop", forbid_unknown_fields=True):
    id: Number


class End(msgspec.Struct, tag="end"):
    """How a stream ended; times are in seconds since it was started."""

    id: int
    outcome: str
    status: int
    deltas: int
    first_delta: float | None
    duration: float
    input_tokens: int | None
    output_tokens: int | None


_decode = msgspec.json.Decoder(Start | Stop).decode


class PlaygroundConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One page. Its streams run in tasks of their own; with the page they end, and their providers are left."""

    # Each with the id of its user.
    _open: ClassVar[dict[PlaygroundConsumer, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._gone = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._session_key = websockets.session_key(scope)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._open.pop(self, None)
            self._gone = True
            await self._leave()

    async def connect(self) -> None:
        try:
            caller = await _signed_in(self._session_key)
        except ApiError:
            await self.close()
            return
        await self.accept()
        own = sum(user_id == caller.user_id for user_id in self._open.values())
        if own >= MOST_OF_USER:
            await self.close(_TOO_MANY, f"You have [{own}] pages of the playground open, which are the most")
        elif len(self._open) >= MOST_SOCKETS:
            await self.close(_TOO_MANY, f"[{MOST_SOCKETS}] pages of the playground are open, which are the most")
        else:
            self._open[self] = caller.user_id

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Start or stop a stream. Waits for nothing, since meanwhile no message is heard, that of leaving neither."""
        if self not in self._open:
            # It was refused, and goes on all the same.
            return
        try:
            asked = _read(text_data)
        except ValueError as error:
            await self._say({"type": "refused", "reason": str(error)})
            return
        if isinstance(asked, Stop):
            if task := self._tasks.get(asked.id):
                task.cancel()
        elif asked.id in self._tasks or len(self._tasks) >= MOST_STREAMS:
            reason = f"[{len(self._tasks)}] streams run, of the most [{MOST_STREAMS}], and each has an id of its own"
            await self._say({"type": "refused", "id": asked.id, "reason": reason})
        else:
            self._tasks[asked.id] = asyncio.create_task(self._run(asked))

    async def _run(self, asked: Start) -> None:
        """Stream one answer and say how it ended, also where it was stopped."""
        record = Record(stream=True)
        progress.set(record.progress)
        try:
            await self._stream(asked, record)
        except asyncio.CancelledError:
            if self._gone:
                raise
        except OSError:
            # The page is gone; its server tells the consumer.
            return
        except Exception as error:
            logger.exception("The playground failed by a mistake of the gateway")
            record.fail(error)
            with suppress(OSError):
                await self._say_event(asked.id, _framing.error(ApiError("internal error of the gateway")))
        finally:
            record.finish()
            # What is over cannot be stopped: the end has to be said.
            del self._tasks[asked.id]
        with suppress(OSError):
            await self._say(_end(asked.id, record))

    async def _stream(self, asked: Start, record: Record) -> None:
        try:
            caller = record.caller = await _signed_in(self._session_key)
            question = await asking.resolve(record, caller, asked.inference_id, _TASK_TYPE, asked.body())
            relay = asking.stream(record, caller, question, _TASK_TYPE, _framing)
        except ApiError as error:
            record.fail(error)
            await self._say_event(asked.id, _framing.error(error))
            return
        try:
            await asking.opening(relay, question, question.entry.limits.first_delta_seconds)
            async with aclosing(relay.events()) as events:
                async for event in events:
                    await self._say_event(asked.id, event)
        except ApiError as error:
            await self._say_event(asked.id, _framing.error(error))
        finally:
            await relay.aclose()

    async def _say_event(self, number: int, event: bytes) -> None:
        await self._say({"type": "event", "id": number, "event": event.decode()})

    async def _say(self, message: Any) -> None:
        await self.send(text_data=_encode(message).decode())

    async def _leave(self) -> None:
        """End all streams; over when their connections to providers are closed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(text: str | None) -> Start | Stop:
    """Return what the page asks. Raise ValueError where it cannot be read."""
    limit = settings.MAX_BODY_BYTES
    if text is None or len(text) > limit:
        raise ValueError(f"a message is JSON, a text of at most [{limit}] characters")
    try:
        asked: Start | Stop = _decode(text)
        return asked
    except RecursionError:
        raise ValueError("JSON nests too deep") from None


def _end(number: int, record: Record) -> End:
    first = record.first_delta_at
    return End(
        id=number,
        outcome=record.outcome,
        status=record.status,
        deltas=record.deltas,
        first_delta=None if first is None else first - record.began,
        duration=record.ended - record.began,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
    )
