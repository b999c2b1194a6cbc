"""What an endpoint answers when nothing is streamed; one shape for each task type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from endpoints.providers._base import Provider, Ranked, user_message
from streaming.bodies import InferenceRequest
from usage.record import Record
from wire.errors import StatusError

_SUFFIXES = {"float": "", "byte": "_bytes", "bit": "_bits"}


async def infer(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    """Ask the provider and return the body of the answer; note the tokens in `record`. Raise ApiError."""
    ask = _ASK.get(provider.task_type)
    if ask is None:
        offered = ", ".join(name for name in provider.task_types if name in _ASK)
        raise StatusError(
            f"Inference entity [{provider.inference_id}] does not support task type [{provider.task_type}] "
            f"for inference, the task type must be one of [{offered}]."
        )
    return await ask(provider, request, record)


def single_input(provider: Provider, request: InferenceRequest) -> str:
    """Return the one input of a completion. Raise StatusError where there are more."""
    if len(request.input) != 1:
        raise StatusError(f"{provider.completion_name} only accepts 1 input")
    return request.input[0]


async def _completion(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    completion = await provider.complete(user_message(single_input(provider, request)))
    record.usage = completion.usage
    return {"completion": [{"result": text} for text in completion.texts]}


async def _text_embedding(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    return await _vectors(provider, request, record, "text_embedding")


async def _embedding(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    return await _vectors(provider, request, record, "embeddings")


async def _vectors(provider: Provider, request: InferenceRequest, record: Record, key: str) -> dict[str, Any]:
    embeddings = await provider.embed(request.input, request.input_type)
    record.usage = embeddings.usage
    return {key + _SUFFIXES[embeddings.kind]: [{"embedding": vector} for vector in embeddings.vectors]}


async def _sparse_embedding(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    weights = await provider.embed_sparse(request.input)
    return {"sparse_embedding": [{"is_truncated": False, "embedding": one} for one in weights]}


async def _rerank(provider: Provider, request: InferenceRequest, record: Record) -> dict[str, Any]:
    ranked = await provider.rerank(
        request.query or "", request.input, top_n=request.top_n, return_documents=request.return_documents
    )
    return {"rerank": [_ranked(one) for one in ranked]}


def _ranked(one: Ranked) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": one.index, "relevance_score": one.relevance_score}
    return shown if one.text is None else shown | {"text": one.text}


_ASK: dict[str, Callable[[Provider, InferenceRequest, Record], Awaitable[dict[str, Any]]]] = {
    "completion": _completion,
    "text_embedding": _text_embedding,
    "sparse_embedding": _sparse_embedding,
    "embedding": _embedding,
    "rerank": _rerank,
}
