"""What an endpoint answers when nothing is streamed; one shape for each task type."""

from __future__ import annotations

from typing import Any

from endpoints.providers._base import Provider, user_message
from streaming.bodies import InferenceRequest
from wire.errors import StatusError

_EMBEDDING_KEYS = {"float": "text_embedding", "byte": "text_embedding_bytes", "bit": "text_embedding_bits"}


async def infer(provider: Provider, request: InferenceRequest) -> dict[str, Any]:
    """Ask the provider and return the body of the answer. Raise ApiError."""
    if provider.task_type == "completion":
        return await _completion(provider, request)
    if provider.task_type == "text_embedding":
        return await _text_embedding(provider, request)
    raise StatusError(
        f"Inference entity [{provider.inference_id}] does not support task type [{provider.task_type}] "
        "for inference, the task type must be one of [completion, text_embedding]."
    )


def single_input(provider: Provider, request: InferenceRequest) -> str:
    """Return the one input of a completion. Raise StatusError where there are more."""
    if len(request.input) != 1:
        raise StatusError(f"{provider.completion_name} only accepts 1 input")
    return request.input[0]


async def _completion(provider: Provider, request: InferenceRequest) -> dict[str, Any]:
    completion = await provider.complete(user_message(single_input(provider, request)))
    return {"completion": [{"result": text} for text in completion.texts]}


async def _text_embedding(provider: Provider, request: InferenceRequest) -> dict[str, Any]:
    embeddings = await provider.embed(request.input, request.input_type)
    return {_EMBEDDING_KEYS[embeddings.kind]: [{"embedding": vector} for vector in embeddings.vectors]}
