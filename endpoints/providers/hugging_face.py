"""Hugging Face: Inference Endpoints, with whatever server runs in them, and the router to other providers.

https://huggingface.co/docs/inference-endpoints, https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from endpoints.providers import _shared_settings, _tei
from endpoints.providers._base import Chat, Completion, Embeddings, Ranked
from endpoints.providers._dialects import DialectReader, read_dialect
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http_provider import Headers, HttpProvider
from endpoints.providers._openai_compatible import OpenAICompatible, refuse_input_type
from endpoints.providers._settings import Settings, host_of, rate_limit, setting

_CHAT = ("completion", "chat_completion")
# An endpoint that is just starting answers 502 or 503.
_RATE_LIMITED = (429, 502, 503)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting("API Key", "Access token of Hugging Face.", required=True, secret=True)
    url: str = setting(
        "URL",
        "Full URL of the inference endpoint or of the router; for chats with its `/v1/chat/completions`.",
        required=True,
        url=True,
    )
    model_id: str | None = setting(
        "Model ID",
        "Name of the model, where the URL does not decide that.",
        task_types=_CHAT,
        listed=False,
    )
    similarity: str | None = _shared_settings.similarity("cosine")
    dimensions: int | None = _shared_settings.dimensions()
    max_input_tokens: int | None = _shared_settings.max_input_tokens(updatable=True)
    requests_per_minute: int = rate_limit(3000)

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"api_key": host_of(values["url"])} if values.get("url") else {}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    return_documents: bool | None = _shared_settings.return_documents()
    top_n: int | None = _shared_settings.top_n()


class Provider(OpenAICompatible):
    label = "Hugging Face"
    description = "Models in Hugging Face's Inference Endpoints, and those that its router leads to."
    task_types = ("text_embedding", "rerank", *_CHAT)
    streaming_task_types = _CHAT
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = ("url", "api_key")
    completion_name = "Hugging Face chat completions"
    embeddings_name = "Hugging Face embeddings"
    rerank_name = "Hugging Face rerank"
    error_type = "hugging_face_error"
    # Text Embeddings Inference takes no more at once, unless it is told to.
    inputs_per_request = 32

    def url(self, *, stream: bool = False) -> str:
        url: str = self.settings.url
        return url

    async def headers(self) -> Headers:
        return {"Authorization": f"Bearer {self.settings.api_key}"}

    def secrets(self) -> Sequence[str]:
        return (self.settings.api_key,)

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        body = super().chat_body(chat, stream=stream)
        names = {"max_completion_tokens": "max_tokens"}
        return {names.get(name, name): value for name, value in body.items()}

    def event_reader(self, failures: Failures) -> EventReader:
        return DialectReader(failures, error_status=500 if self.task_type == "chat_completion" else 400)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        return read_dialect(body, failures)

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        refuse_input_type(input_type)
        return await super().embed(texts)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        return {"inputs": self.truncated(texts)}

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        return _tei.read_embeddings(body, failures)

    async def rerank(
        self, query: str, texts: Sequence[str], *, top_n: int | None, return_documents: bool | None
    ) -> Sequence[Ranked]:
        ranked = await super().rerank(query, texts, top_n=top_n, return_documents=return_documents)
        # Text Embeddings Inference knows no `top_n` and ranks all.
        return ranked[: top_n or self.tasks.top_n]

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        return {
            "texts": texts,
            "query": query,
            "return_text": self.tasks.return_documents if return_documents is None else return_documents,
            "top_n": top_n or self.tasks.top_n,
        }

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        return _tei.read_ranked(body, failures)

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if self.task_type in _CHAT:
            return super().refusal_prefix(status, headers, message)
        if status in _RATE_LIMITED:
            return "Received a rate limit status code"
        if status in (401, 413) or 300 <= status < 400 or status >= 500:
            return HttpProvider.refusal_prefix(self, status, headers, message)
        return "Received an unsuccessful status code"
