"""What happens when an endpoint is asked, with and without a stream.

The order of the checks decides which status a caller sees, and whether an error of a stream is JSON or an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from access.authentication import authenticate
from endpoints.catalog import Entry
from endpoints.lifecycle import parse_task_type
from endpoints.providers._base import Provider
from endpoints.providers._progress import progress
from streaming import asking, drain
from streaming.bodies import InferenceRequest
from streaming.relay import Relay
from streaming.responses import EventStream, error_event
from streaming.results import infer
from streaming.whole_answer import WholeAnswer
from usage.record import Record
from wire import times
from wire.errors import ApiError, MethodNotAllowed, StatusError
from wire.requests import check, uri
from wire.responses import error_response, json_response
from wire.sse import Framing

_PARAMETERS = frozenset({"timeout"})
# Bound once: each look through Django's settings costs more than the rest of the line.
_environment = settings.ENVIRONMENT
_framing = Framing(bom=_environment.stream_bom)
# After so long without a delta a stream begins with a comment; 0 for never.
_early_seconds = _environment.heartbeat_seconds if _environment.early_heartbeat else 0.0


async def stream(request: HttpRequest, inference_id: str, task_type: str | None = None) -> HttpResponseBase:
    """`POST /_inference/[<task_type>/]<inference_id>/_stream`."""
    if request.method != "POST":
        return await _other_method(request)
    record = _record(request, stream=True)
    return await _recorded(record, _stream(request, record, inference_id, task_type))


async def inference(request: HttpRequest, inference_id: str, task_type: str | None = None) -> HttpResponseBase:
    """`POST /_inference/[<task_type>/]<inference_id>`."""
    record = _record(request, stream=False)
    return await _recorded(record, _inference(request, record, inference_id, task_type))


async def _stream(request: HttpRequest, record: Record, inference_id: str, task_type: str | None) -> HttpResponseBase:
    try:
        caller = record.caller = await authenticate(request)
        requested, timeout = _prepare(request, task_type)
    except ApiError as error:
        record.fail(error)
        return error_response(request, error)
    try:
        question = await asking.resolve(record, caller, inference_id, requested, request.body)
        relay = asking.stream(record, caller, question, requested, _framing)
    except ApiError as error:
        record.fail(error)
        return error_event(error, _framing)
    _limit_write(request, question.entry.limits.write_seconds)
    return await _opened(relay, question, _seconds(timeout, question.entry))


async def _inference(
    request: HttpRequest, record: Record, inference_id: str, task_type: str | None
) -> HttpResponseBase:
    try:
        caller = record.caller = await authenticate(request)
        requested, timeout = _prepare(request, task_type)
        entry, provider, asked = await asking.resolve(record, caller, inference_id, requested, request.body)
        asking.admit(record, caller)
        _limit_write(request, entry.limits.write_seconds)
        limit = min(_seconds(timeout, entry), entry.limits.total_seconds)
        return json_response(request, await _asked(record, provider, asked, limit))
    except ApiError as error:
        record.fail(error)
        return error_response(request, error)


async def _asked(record: Record, provider: Provider, asked: InferenceRequest, limit: float) -> dict[str, Any]:
    """Return the body of an answer without a stream, which may take `limit` seconds. Raise ApiError."""
    asking.set_deadline(record, limit)
    try:
        async with drain.interruptible():
            with WholeAnswer(record):
                # It has the same deadline, and an error of its own.
                await asking.turn(record, provider)
                async with asyncio.timeout_at(record.progress.deadline):
                    answer = await infer(provider, asked, record)
    except TimeoutError:
        raise StatusError(f"Request timed out after [{times.elastic(limit)}]", status=408) from None
    record.outcome = "complete"
    return answer


async def _opened(relay: Relay, question: asking.Question, timeout: float) -> HttpResponseBase:
    """Return the stream once its first deltas are there; until then a failure has a status of its own.

    With early heartbeats the stream is returned sooner, and its first event may be the failure.
    """
    try:
        opening = asking.opening(relay, question, timeout)
        if _early_seconds:
            await relay.open_within(_early_seconds, opening)
        else:
            await opening
    except ApiError as error:
        await relay.aclose()
        return error_event(error, _framing)
    except BaseException:
        # The caller left, or the process is going down.
        await relay.aclose()
        raise
    return EventStream(relay, _framing)


async def _recorded(record: Record, answering: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """Finish the record when the answer is sent; that of a stream is finished by its relay."""
    try:
        response = await answering
    except BaseException as error:
        if isinstance(error, Exception):
            record.fail(error)
        record.finish()
        raise
    if not isinstance(response, EventStream):
        # For handlers that close what they sent; ours looks at the request.
        response._resource_closers.append(record.finish)  # type: ignore[attr-defined]
    return response


async def _other_method(request: HttpRequest) -> HttpResponse:
    try:
        await authenticate(request)
        if request.method != "OPTIONS":
            raise MethodNotAllowed(uri(request), str(request.method), ["POST"])
    except ApiError as error:
        return error_response(request, error)
    return HttpResponse(headers={"Allow": "POST"})


def _record(request: HttpRequest, *, stream: bool) -> Record:
    headers = request.META
    record = Record(stream, headers.get("HTTP_X_OPAQUE_ID", ""), headers.get("HTTP_TRACEPARENT", ""))
    progress.set(record.progress)
    request.record = record  # type: ignore[attr-defined]
    return record


def _limit_write(request: HttpRequest, seconds: float) -> None:
    # Our server's own extension; under another one a reader that stands still is only left alone.
    if seconds != _environment.write_seconds and (client := request.scope.get("extensions", {}).get("client")):  # type: ignore[attr-defined]
        client.limit_write(seconds)


def _prepare(request: HttpRequest, task_type: str | None) -> tuple[str, str | None]:
    """Check what can be checked before anyone's rights are; return the requested task type and `timeout`."""
    requested = "any" if task_type is None else parse_task_type(task_type)
    check(request, parameters=_PARAMETERS, body="required")
    timeout = request.GET.get("timeout") if request.META.get("QUERY_STRING") else None
    if timeout is not None:
        times.seconds("timeout", timeout)
    return requested, timeout


def _seconds(timeout: str | None, entry: Entry) -> float:
    """Return the seconds that a request may wait for its answer to begin; -1 stands for no limit but the total one."""
    if timeout is None:
        return entry.limits.first_delta_seconds
    given = times.seconds("timeout", timeout)
    return entry.limits.total_seconds if given is None else given
