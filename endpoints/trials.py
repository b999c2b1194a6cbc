"""What an endpoint answers to something short: for the admin, where a person wants to see it work, or why not.

As in `validation` the provider is asked with a client of its own, past rate limits and metrics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from asgiref.sync import async_to_sync

from access.database import give_back_connection
from endpoints import catalog, time_limits
from endpoints.configuration import Configuration
from endpoints.faults import fault
from endpoints.hints import hint
from endpoints.models import Endpoint
from endpoints.providers._base import VALIDATION_INPUT, Batch, Provider, Usage, user_message
from endpoints.providers._http import HttpClient
from endpoints.time_limits import TimeLimits
from wire import times
from wire.errors import ApiError, StatusError

SECONDS = 30.0
"""How long one trial may take, and several together."""
MOST = 20
"""How many endpoints are tried at once."""
_LONGEST_TEXT = 2000


@dataclass(slots=True)
class Trial:
    """What came of it. Times are seconds from the request on; `text` is the provider's, `hint` says what may help.

    `status` is 200, or that which a caller of the endpoint would get. `error` has the reason and its causes.
    """

    inference_id: str
    task_type: str
    status: int = 200
    first_delta: float | None = None
    seconds: float = 0.0
    deltas: int = 0
    text: str = field(default="", repr=False)
    usage: Usage | None = None
    error: list[str] = field(default_factory=list)
    hint: str = ""

    @property
    def works(self) -> bool:
        return not self.error

    def fail(self, error: ApiError) -> None:
        self.status = error.status
        cause: ApiError | None = error
        while cause is not None:
            self.error.append(cause.reason)
            cause = cause.caused_by
        self.hint = hint(self.status, " ".join(self.error))


def run(endpoints: Iterable[Endpoint]) -> list[Trial]:
    """Ask all of `endpoints` (MOST at most) side by side. To be called outside a transaction.

    Meanwhile the calling thread has no database connection. What goes wrong is in the trials; nothing is raised.
    """
    found = [(Trial(one.inference_id, one.task_type), time_limits.of(one), *_opened(one)) for one in endpoints]
    give_back_connection()
    async_to_sync(_ask_all)(found)
    return [trial for trial, *_ in found]


def _opened(endpoint: Endpoint) -> tuple[Configuration | None, str]:
    """Return the settings with their secrets, or why there are none that can be used."""
    reason = fault(endpoint)
    return (None, reason) if reason else (catalog.opened(endpoint)[0], "")


async def _ask_all(found: Iterable[tuple[Trial, TimeLimits, Configuration | None, str]]) -> None:
    http = catalog.new_http_client()
    try:
        await asyncio.gather(*(_try(*one, http) for one in found))
    finally:
        await http.aclose()


async def _try(trial: Trial, limits: TimeLimits, chosen: Configuration | None, reason: str, http: HttpClient) -> None:
    began = time.monotonic()
    try:
        if chosen is None:
            raise StatusError(reason, status=500)
        async with asyncio.timeout(SECONDS):
            await _ask(trial, catalog.bind(trial.inference_id, chosen, http, limits), began)
    except TimeoutError:
        trial.fail(StatusError(f"Request timed out after [{times.elastic(SECONDS)}]", status=408))
    except ApiError as error:
        trial.fail(error)
    trial.seconds = time.monotonic() - began


async def _ask(trial: Trial, provider: Provider, began: float) -> None:
    if trial.task_type in provider.streaming_task_types:
        await _stream(trial, provider, began)
    elif trial.task_type in ("text_embedding", "embedding"):
        embeddings = await provider.embed([VALIDATION_INPUT])
        trial.usage = embeddings.usage
        trial.text = f"A vector of {len(embeddings.vectors[0])} numbers of the kind {embeddings.kind}"
    elif trial.task_type == "sparse_embedding":
        weights: Mapping[str, float] = (await provider.embed_sparse([VALIDATION_INPUT]))[0]
        trial.text = f"{len(weights)} tokens with weights"
    elif trial.task_type == "rerank":
        ranked = await provider.rerank("test query", [VALIDATION_INPUT], top_n=None, return_documents=None)
        trial.text = f"A relevance of {ranked[0].relevance_score:g}" if ranked else "No relevance"
    else:
        answer = await provider.complete(user_message(VALIDATION_INPUT))
        trial.text, trial.usage = "".join(answer.texts)[:_LONGEST_TEXT], answer.usage


async def _stream(trial: Trial, provider: Provider, began: float) -> None:
    """Read until the end, or until there is more than anyone wants to see."""
    async with aclosing(provider.stream(user_message(VALIDATION_INPUT))) as batches:
        async for batch in batches:
            _take(trial, batch, began)
            if len(trial.text) >= _LONGEST_TEXT:
                return


def _take(trial: Trial, batch: Batch, began: float) -> None:
    for chunk in batch:
        trial.usage = chunk.usage or trial.usage
        for choice in chunk.choices:
            if choice.delta.content:
                if trial.first_delta is None:
                    trial.first_delta = time.monotonic() - began
                trial.deltas += 1
                trial.text = (trial.text + choice.delta.content)[:_LONGEST_TEXT]
