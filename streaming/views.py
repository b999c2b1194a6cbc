"""What happens when an endpoint is asked, with and without a stream.

The order of the checks decides which status a caller sees, and whether an error of a stream is JSON or an event.
"""

from __future__ import annotations

import asyncio

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from access.authentication import authenticate
from access.privileges import Caller, require
from endpoints import catalog
from endpoints.lifecycle import not_found, parse_task_type
from endpoints.providers._base import Provider, user_message
from endpoints.providers._progress import Progress, progress
from streaming import bodies, drain
from streaming.bodies import InferenceRequest
from streaming.relay import Relay
from streaming.responses import EventStream, error_event
from streaming.results import infer, single_input
from wire import times
from wire.errors import ApiError, MethodNotAllowed, StatusError
from wire.requests import check, uri
from wire.responses import error_response, json_response
from wire.sse import Framing

ACTION = "cluster:monitor/xpack/inference/post"
_PARAMETERS = frozenset({"timeout"})
_LARGE_BODY = 262_144
_SERVED_STREAMS = ("completion",)
_DEFAULT_SECONDS = {"completion": 120.0, "chat_completion": 120.0}
# Bound once: each look through Django's settings costs more than the rest of the line.
_environment = settings.ENVIRONMENT
_framing = Framing(bom=_environment.stream_bom)


async def stream(request: HttpRequest, inference_id: str, task_type: str | None = None) -> HttpResponseBase:
    """`POST /_inference/[<task_type>/]<inference_id>/_stream`."""
    try:
        caller = await authenticate(request)
        if request.method == "OPTIONS":
            return HttpResponse(headers={"Allow": "POST"})
        requested, timeout = _prepare(request, task_type)
    except ApiError as error:
        return error_response(request, error)
    try:
        provider, asked = await _resolve(request, caller, inference_id, requested)
        _check_streams(provider, requested)
        drain.check()
        relay = _relay(request, provider, asked)
    except ApiError as error:
        return error_event(error, _framing)
    return await _opened(relay, _seconds(timeout, provider))


async def inference(request: HttpRequest, inference_id: str, task_type: str | None = None) -> HttpResponseBase:
    """`POST /_inference/[<task_type>/]<inference_id>`."""
    try:
        caller = await authenticate(request)
        requested, timeout = _prepare(request, task_type)
        provider, asked = await _resolve(request, caller, inference_id, requested)
        drain.check()
        limit = _seconds(timeout, provider)
        _set_deadline(limit)
        try:
            async with drain.interruptible(), asyncio.timeout(limit):
                return json_response(request, await infer(provider, asked))
        except TimeoutError:
            raise StatusError(f"Request timed out after [{times.elastic(limit or 0)}]", status=408) from None
    except ApiError as error:
        return error_response(request, error)


def _prepare(request: HttpRequest, task_type: str | None) -> tuple[str, str | None]:
    """Check what can be checked before anyone's rights are; return the requested task type and `timeout`."""
    if request.method != "POST":
        raise MethodNotAllowed(uri(request), str(request.method), ["POST"])
    requested = "any" if task_type is None else parse_task_type(task_type)
    check(request, parameters=_PARAMETERS, body="required")
    timeout = request.GET.get("timeout") if request.META.get("QUERY_STRING") else None
    if timeout is not None:
        times.seconds("timeout", timeout)
    return requested, timeout


async def _resolve(
    request: HttpRequest, caller: Caller, inference_id: str, requested: str
) -> tuple[Provider, InferenceRequest]:
    """Return the provider to ask and what to ask it. Raise ApiError."""
    require(caller, ACTION)
    if requested != "any":
        asked = await _parse(request.body, requested)
    entry = await catalog.get(inference_id)
    if entry is None or not caller.reaches(entry):
        raise not_found(inference_id)
    if requested == "any":
        asked = await _parse(request.body, entry.task_type)
    elif requested != entry.task_type:
        raise _incompatible(inference_id, requested, entry.task_type)
    return entry.ready().with_task_settings(asked.task_settings), asked


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


def _relay(request: HttpRequest, provider: Provider, asked: InferenceRequest) -> Relay:
    # Our server's own extension; under another one a reader that stands still is only left alone.
    abort = getattr(request, "scope", {}).get("extensions", {}).get("abort", {}).get("now")
    return Relay(
        provider.stream(user_message(single_input(provider, asked))),
        _framing,
        total_seconds=_environment.total_seconds,
        write_seconds=_environment.write_seconds,
        abort=abort,
    )


async def _opened(relay: Relay, timeout: float | None) -> HttpResponseBase:
    """Return the stream once its first deltas are there; until then a failure has a status of its own."""
    _set_deadline(timeout)
    try:
        await relay.open(timeout)
    except ApiError as error:
        await relay.aclose()
        return error_event(error, _framing)
    except BaseException:
        # The caller left, or the process is going down.
        await relay.aclose()
        raise
    return EventStream(relay)


def _set_deadline(seconds: float | None) -> None:
    """Tell the provider until when another attempt makes sense."""
    progress.set(Progress(None if seconds is None else asyncio.get_running_loop().time() + seconds))


def _seconds(timeout: str | None, provider: Provider) -> float | None:
    if timeout is not None:
        return times.seconds("timeout", timeout)
    return _DEFAULT_SECONDS.get(provider.task_type, 30.0)
