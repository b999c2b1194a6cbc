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
from access.privileges import Caller, require
from endpoints import catalog
from endpoints.catalog import Entry
from endpoints.lifecycle import not_found, parse_task_type
from endpoints.providers._base import Provider, user_message
from endpoints.providers._progress import progress
from streaming import bodies, drain
from streaming.bodies import InferenceRequest
from streaming.relay import Relay
from streaming.responses import EventStream, error_event
from streaming.results import infer, single_input
from streaming.watch import Watch
from usage import limits
from usage.record import Record
from wire import times
from wire.errors import ApiError, MethodNotAllowed, StatusError
from wire.requests import check, uri
from wire.responses import error_response, json_response
from wire.sse import Framing

ACTION = "cluster:monitor/xpack/inference/post"
_PARAMETERS = frozenset({"timeout"})
_LARGE_BODY = 262_144
_SERVED_STREAMS = ("completion",)
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
        entry, provider, asked = await _resolve(request, record, caller, inference_id, requested)
        _check_streams(provider, requested)
        source = provider.stream(user_message(single_input(provider, asked)))
        _admit(record, caller)
    except ApiError as error:
        record.fail(error)
        return error_event(error, _framing)
    relay = Relay(source, _framing, Watch(entry.limits, _environment.heartbeat_seconds), record)
    _limit_write(request, entry.limits.write_seconds)
    return await _opened(relay, provider, _seconds(timeout, entry))


async def _inference(
    request: HttpRequest, record: Record, inference_id: str, task_type: str | None
) -> HttpResponseBase:
    try:
        caller = record.caller = await authenticate(request)
        requested, timeout = _prepare(request, task_type)
        entry, provider, asked = await _resolve(request, record, caller, inference_id, requested)
        _admit(record, caller)
        _limit_write(request, entry.limits.write_seconds)
        limit = min(_seconds(timeout, entry), entry.limits.total_seconds)
        return json_response(request, await _asked(record, provider, asked, limit))
    except ApiError as error:
        record.fail(error)
        return error_response(request, error)


async def _asked(record: Record, provider: Provider, asked: InferenceRequest, limit: float) -> dict[str, Any]:
    """Return the body of an answer without a stream, which may take `limit` seconds. Raise ApiError."""
    _set_deadline(record, limit)
    try:
        async with drain.interruptible():
            # It has the same deadline, and an error of its own.
            await _turn(record, provider)
            async with asyncio.timeout_at(record.progress.deadline):
                answer = await infer(provider, asked, record)
    except TimeoutError:
        raise StatusError(f"Request timed out after [{times.elastic(limit)}]", status=408) from None
    record.outcome = "complete"
    return answer


async def _opened(relay: Relay, provider: Provider, timeout: float) -> HttpResponseBase:
    """Return the stream once its first deltas are there; until then a failure has a status of its own.

    With early heartbeats the stream is returned sooner, and its first event may be the failure.
    """
    _set_deadline(relay.record, timeout)
    try:
        opening = relay.open(timeout, _turn(relay.record, provider))
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
    """Finish the record when the request is over; that of a stream is finished by its relay."""
    try:
        response = await answering
    except BaseException as error:
        if isinstance(error, Exception):
            record.fail(error)
        record.finish()
        raise
    if not isinstance(response, EventStream):
        record.finish()
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
    return record


def _admit(record: Record, caller: Caller) -> None:
    """Give the request a place among those that are open. Raise ApiError."""
    drain.check()
    record.slot = limits.slots.take(caller.api_key_id or f"user {caller.user_id}")


async def _turn(record: Record, provider: Provider) -> None:
    """Wait for the request's turn under the endpoint's rate limit. Raise ApiError."""
    record.waited = await limits.turn(provider, record.progress.deadline)


def _limit_write(request: HttpRequest, seconds: float) -> None:
    # Our server's own extension; under another one a reader that stands still is only left alone.
    extension = getattr(request, "scope", {}).get("extensions", {}).get("write_limit")
    if extension is not None and seconds != _environment.write_seconds:
        extension["set"](seconds)


def _prepare(request: HttpRequest, task_type: str | None) -> tuple[str, str | None]:
    """Check what can be checked before anyone's rights are; return the requested task type and `timeout`."""
    requested = "any" if task_type is None else parse_task_type(task_type)
    check(request, parameters=_PARAMETERS, body="required")
    timeout = request.GET.get("timeout") if request.META.get("QUERY_STRING") else None
    if timeout is not None:
        times.seconds("timeout", timeout)
    return requested, timeout


async def _resolve(
    request: HttpRequest, record: Record, caller: Caller, inference_id: str, requested: str
) -> tuple[Entry, Provider, InferenceRequest]:
    """Return the endpoint, its provider with the task settings of the request, and what to ask. Raise ApiError."""
    require(caller, ACTION)
    if requested != "any":
        asked = await _parse(request.body, requested)
    entry = await catalog.get(inference_id)
    if entry is None or not caller.reaches(entry):
        raise not_found(inference_id)
    record.inference_id, record.service, record.task_type = inference_id, entry.service, entry.task_type
    if requested == "any":
        asked = await _parse(request.body, entry.task_type)
    elif requested != entry.task_type:
        raise _incompatible(inference_id, requested, entry.task_type)
    return entry, entry.ready().with_task_settings(asked.task_settings), asked


async def _parse(body: bytes, task_type: str) -> InferenceRequest:
    """Read the body; a large one in a thread, since the event loop would stand still meanwhile."""
    if len(body) < _LARGE_BODY:
        return bodies.parse(body, task_type)
    return await asyncio.to_thread(bodies.parse, body, task_type)


def _incompatible(inference_id: str, requested: str, task_type: str) -> StatusError:
    """Return the error for an endpoint of another task type; some task types have words of their own."""
    if requested == "rerank":
        return StatusError(
            f"Incompatible task_type for rerank API, the inference endpoint [{inference_id}] "
            f"has task type [{task_type}], expected [rerank]"
        )
    if requested == "embedding":
        return StatusError(
            f"Incompatible task_type for embedding API, the requested type [{task_type}] must be one of [embedding]"
        )
    return StatusError(
        f"Incompatible task_type, the requested type [{requested}] does not match the model type [{task_type}]"
    )


def _check_streams(provider: Provider, requested: str) -> None:
    """Raise StatusError (405) where the service, or the endpoint's task type, cannot be streamed."""
    if not provider.streaming_task_types:
        raise StatusError(f"Streaming is not allowed for service [{provider.service()}].", status=405)
    supported = [name for name in provider.streaming_task_types if name in _SERVED_STREAMS]
    if provider.task_type not in supported:
        raise StatusError(
            f"Streaming is not allowed for service [{provider.service()}] and task [{requested}]. "
            f"Supported tasks: [{','.join(supported)}]",
            status=405,
        )


def _set_deadline(record: Record, seconds: float) -> None:
    """Tell the provider until when another attempt makes sense."""
    record.progress.deadline = asyncio.get_running_loop().time() + seconds


def _seconds(timeout: str | None, entry: Entry) -> float:
    """Return the seconds that a request may wait for its answer to begin; -1 stands for no limit but the total one."""
    if timeout is None:
        return entry.limits.first_delta_seconds
    given = times.seconds("timeout", timeout)
    return entry.limits.total_seconds if given is None else given
