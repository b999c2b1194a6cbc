"""How an endpoint is asked, through whichever door: which one it is, whether it may be asked now, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple

from django.conf import settings

from access.privileges import Caller, require
from endpoints import catalog
from endpoints.catalog import Entry
from endpoints.lifecycle import not_found
from endpoints.providers._base import Provider, user_message
from streaming import bodies, drain
from streaming.bodies import InferenceRequest
from streaming.relay import Relay
from streaming.results import single_input
from streaming.watch import Watch
from usage import limits
from usage.record import Record
from wire.errors import StatusError
from wire.sse import Framing

ACTION = "cluster:monitor/xpack/inference/post"
SERVED_STREAMS = ("completion",)
_LARGE_BODY = 262_144
# Bound once: each look through Django's settings costs more than the rest of the line.
_environment = settings.ENVIRONMENT


class Question(NamedTuple):
    """What an endpoint is to be asked; `provider` has the task settings of the request."""

    entry: Entry
    provider: Provider
    asked: InferenceRequest


async def resolve(record: Record, caller: Caller, inference_id: str, requested: str, body: bytes) -> Question:
    """Return what `caller` asks of which endpoint; `requested` is its task type, or `any`. Raise ApiError."""
    require(caller, ACTION)
    if requested != "any":
        asked = await _parse(body, requested)
    entry = await catalog.reached(inference_id, caller)
    if entry is None:
        raise not_found(inference_id)
    record.inference_id, record.service, record.task_type = inference_id, entry.service, entry.task_type
    record.team_id = entry.team_id
    if requested == "any":
        asked = await _parse(body, entry.task_type)
    elif requested != entry.task_type:
        raise _incompatible(inference_id, requested, entry.task_type)
    return Question(entry, entry.ready().with_task_settings(asked.task_settings), asked)


def stream(record: Record, caller: Caller, question: Question, requested: str, framing: Framing) -> Relay:
    """Return the stream that answers, which has a place among the open requests; close it. Raise ApiError."""
    entry, provider, asked = question
    _check_streams(provider, requested)
    source = provider.stream(user_message(single_input(provider, asked)))
    admit(record, caller)
    return Relay(source, framing, Watch(entry.limits, _environment.heartbeat_seconds), record)


def opening(relay: Relay, question: Question, seconds: float) -> Coroutine[Any, Any, None]:
    """Return a call of `relay.open` that waits for the request's turn first, for `seconds` in all."""
    set_deadline(relay.record, min(seconds, question.entry.limits.total_seconds))
    return relay.open(seconds, turn(relay.record, question.provider))


def admit(record: Record, caller: Caller) -> None:
    """Give the request a place among those that are open. Raise ApiError."""
    drain.check()
    record.slot = limits.slots.take(caller.api_key_id or f"user {caller.user_id}")


async def turn(record: Record, provider: Provider) -> None:
    """Wait for the request's turn under the endpoint's rate limit. Raise ApiError."""
    if provider.rate_limit is None:
        return
    record.queued = True
    record.waited = await limits.turn(provider, record.progress.deadline)
    record.queued = False


def set_deadline(record: Record, seconds: float) -> None:
    """Tell the provider until when another attempt makes sense."""
    record.progress.deadline = asyncio.get_running_loop().time() + seconds


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
    supported = [name for name in provider.streaming_task_types if name in SERVED_STREAMS]
    if provider.task_type not in supported:
        raise StatusError(
            f"Streaming is not allowed for service [{provider.service()}] and task [{requested}]. "
            f"Supported tasks: [{','.join(supported)}]",
            status=405,
        )
