"""The first question to a provider, before an endpoint is stored: do its settings work, how long are its vectors?"""

from __future__ import annotations

import asyncio
from typing import Literal

from asgiref.sync import async_to_sync
from django.conf import settings

from access.database import give_back_connection
from endpoints import catalog
from endpoints.configuration import Configuration
from endpoints.providers._base import VALIDATION_INPUT, Provider, user_message
from wire import times
from wire.errors import ApiError, StatusError

Step = Literal["creation", "update"]


def validate(inference_id: str, chosen: Configuration, step: Step, timeout: float | None) -> int | None:
    """Ask the provider; return the length of its vectors, None where it makes none or is not to be asked.

    `timeout` is in seconds; meanwhile the calling thread has no database connection. Raise StatusError, caused by what
    the provider answered.
    """
    if settings.ENVIRONMENT.skip_validation or not chosen.provider.needs_validation:
        return None
    give_back_connection()
    try:
        length = async_to_sync(_ask)(inference_id, chosen, timeout)
    except ApiError as error:
        raise StatusError(
            f"Could not complete inference endpoint {step} as validation call to service threw an exception.",
            caused_by=error,
        ) from error
    wanted = chosen.service_values.get("dimensions")
    if length is not None and wanted not in (None, length):
        raise StatusError(
            f"The retrieved embeddings size [{length}] does not match the size specified in the settings [{wanted}]. "
            f"Please recreate the [{inference_id}] configuration with the correct dimensions"
        )
    return length


async def _ask(inference_id: str, chosen: Configuration, timeout: float | None) -> int | None:
    http = catalog.new_http_client()
    try:
        async with asyncio.timeout(timeout):
            return await _first_answer(catalog.bind(inference_id, chosen, http))
    except TimeoutError:
        raise StatusError(f"Request timed out after [{times.elastic(timeout or 0)}]", status=408) from None
    finally:
        await http.aclose()


async def _first_answer(provider: Provider) -> int | None:
    if provider.task_type in ("text_embedding", "embedding"):
        embeddings = await provider.embed([VALIDATION_INPUT])
        return len(embeddings.vectors[0]) * (8 if embeddings.kind == "bit" else 1)
    if provider.task_type == "rerank":
        await provider.rerank("test query", [VALIDATION_INPUT], top_n=None, return_documents=None)
    else:
        await provider.complete(user_message(VALIDATION_INPUT))
    return None
