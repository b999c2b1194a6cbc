"""Cohere, by version 2 of its API: https://docs.cohere.com/reference/about"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from endpoints.providers import _shared_settings
from endpoints.providers._base import Chat, Completion, Embeddings, Ranked
from endpoints.providers._cohere_answers import read_completion, read_embeddings, read_ranked
from endpoints.providers._cohere_events import ChatReader
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http_provider import Headers, HttpProvider
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting

_HOST = "https://api.cohere.ai"
_PATHS = {"completion": "/v2/chat", "text_embedding": "/v2/embed", "rerank": "/v2/rerank"}
# Two names of ours for one kind of vectors are one of Cohere's.
_EMBEDDING_TYPES = {"float": "float", "byte": "int8", "int8": "int8", "bit": "binary", "binary": "binary"}
_SHOWN_TYPES = {"int8": "byte", "binary": "bit"}
_INPUT_TYPES = {"ingest": "search_document", "search": "search_query"}
_TOO_MANY_TEXTS = "invalid request: total number of texts must be at most"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting("API Key", "Key of the Cohere account.", secret=True, required=True)
    model_id: str | None = setting("Model ID", "Name of the model, as Cohere calls it. Version 2 of the API needs it.")
    url: str | None = setting(
        "URL",
        "Base URL to use instead of Cohere's; the path of the API follows.",
        url=True,
        listed=False,
        returned=False,
    )
    embedding_type: str | None = setting(
        "Embedding Type",
        "Kind of the vectors; `int8` is another name for `byte`, `binary` for `bit`.",
        task_types=("text_embedding",),
        allowed=("float", "byte", "int8", "bit", "binary"),
        default="float",
        listed=False,
    )
    similarity: str | None = _shared_settings.similarity()
    dimensions: int | None = _shared_settings.dimensions()
    max_input_tokens: int | None = _shared_settings.max_input_tokens(updatable=True)
    requests_per_minute: int = rate_limit(10000)

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        if values.get("model_id") is None:
            yield Problem("model_id", "The [service_settings.model_id] field is required for the Cohere V2 API.")

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"api_key": host_of(values.get("url") or _HOST)}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    input_type: str | None = setting(
        "Input Type",
        "What the vectors are for, where a request does not say it; `ingest` where nothing does.",
        task_types=("text_embedding",),
        allowed=("classification", "clustering", "ingest", "search"),
        updatable=True,
        listed=False,
    )
    truncate: str | None = setting(
        "Truncate",
        "Which end of texts that are too long for the model Cohere cuts off; with `NONE` it refuses them.",
        task_types=("text_embedding",),
        allowed=("END", "NONE", "START"),
        updatable=True,
        listed=False,
    )
    return_documents: bool | None = _shared_settings.return_documents()
    top_n: int | None = _shared_settings.top_n()
    max_chunks_per_doc: int | None = setting(
        "Maximum Chunks per Document",
        "Taken for the sake of older endpoints; only version 1 of the API knows it.",
        task_types=("rerank",),
        updatable=True,
        minimum=1,
        listed=False,
    )


class Provider(HttpProvider):
    label = "Cohere"
    description = "Cohere's models for chats, embeddings and reranking."
    task_types = ("text_embedding", "rerank", "completion")
    streaming_task_types = ("completion",)
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = ("api_key",)
    completion_name = "Cohere completion"
    embeddings_name = "Cohere embeddings"
    rerank_name = "Cohere rerank"
    inputs_per_request = 96

    @classmethod
    def migrate(
        cls, service_settings: dict[str, Any], task_settings: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The model once was `model`; kinds of vectors are stored under the names that are shown."""
        if service_settings.get("model_id") is None and "model" in service_settings:
            service_settings["model_id"] = service_settings.pop("model")
        kind = service_settings.get("embedding_type")
        if isinstance(kind, str):
            kind = service_settings["embedding_type"] = _SHOWN_TYPES.get(kind.lower(), kind)
            if kind.lower() == "byte" and service_settings.get("similarity") is None:
                service_settings["similarity"] = "cosine"
        return service_settings, task_settings

    def url(self, *, stream: bool = False) -> str:
        base = self.settings.url or self.address(_HOST)
        return base.rstrip("/") + _PATHS[self.task_type]

    async def headers(self) -> Headers:
        return {"Authorization": f"Bearer {self.settings.api_key}", "Request-Source": "unspecified:elasticsearch"}

    def secrets(self) -> Sequence[str]:
        return (self.settings.api_key,)

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        messages = [{"role": message.role, "content": message.content} for message in chat.messages]
        return {"messages": messages, "model": chat.model or self.settings.model_id, "stream": stream}

    def event_reader(self, failures: Failures) -> EventReader:
        return ChatReader(failures)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        return read_completion(body, failures)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        purpose = input_type or self.tasks.input_type or "ingest"
        return {
            "texts": self.truncated(texts),
            "model": self.settings.model_id,
            "input_type": _INPUT_TYPES.get(purpose, purpose),
            "embedding_types": [self._embedding_type],
            "truncate": self.tasks.truncate,
        }

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        return read_embeddings(body, self._embedding_type, failures)

    async def rerank(
        self, query: str, texts: Sequence[str], *, top_n: int | None, return_documents: bool | None
    ) -> Sequence[Ranked]:
        ranked = await super().rerank(query, texts, top_n=top_n, return_documents=return_documents)
        wanted = self.tasks.return_documents if return_documents is None else return_documents
        # Version 2 of the API does not send them back.
        return [replace(one, text=texts[one.index]) for one in ranked] if wanted else ranked

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        return {
            "model": self.settings.model_id,
            "query": query,
            "documents": texts,
            "top_n": top_n or self.tasks.top_n,
        }

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        return read_ranked(body, failures)

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if status == 400 and _TOO_MANY_TEXTS in message.text:
            return "Received a texts array too large response"
        if status >= 500:
            return "Received a server error status code"
        if status in (401, 429) or status < 400:
            return super().refusal_prefix(status, headers, message)
        return "Received an unsuccessful status code"

    @property
    def _embedding_type(self) -> str:
        return _EMBEDDING_TYPES[self.settings.embedding_type]
