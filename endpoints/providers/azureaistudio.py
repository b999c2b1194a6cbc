"""Models in deployments of Azure AI Studio (Foundry), paid by token or on a machine of one's own.

https://learn.microsoft.com/azure/ai-foundry/model-inference/reference
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from endpoints.providers._azureaistudio_settings import ServiceSettings, TaskSettings
from endpoints.providers._base import Chat, Completion, Embeddings, Ranked
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http_provider import NO_AUTHORIZATION, Headers
from endpoints.providers._openai_compatible import OpenAICompatible, refuse_input_type
from endpoints.providers.azureopenai import remaining

_PATHS = {"completion": "/v1/chat/completions", "text_embedding": "/v1/embeddings", "rerank": "/v1/rerank"}
_PARAMETERS = ("temperature", "top_p", "do_sample", "max_new_tokens")


class _Realtime(msgspec.Struct):
    output: str


class _Result(msgspec.Struct):
    index: int
    relevance_score: float
    document: str | dict[str, Any] | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Provider(OpenAICompatible):
    label = "Azure AI Studio"
    description = "Models of several makers in deployments of Azure AI Studio, paid by token or by machine."
    task_types = ("text_embedding", "rerank", "completion")
    streaming_task_types = ("completion",)
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = ("target",)
    completion_name = "Azure AI Studio chat completions"
    embeddings_name = "Azure AI Studio embeddings"
    rerank_name = "Azure AI Studio rerank"
    # Cohere's limit; OpenAI's is higher.
    inputs_per_request = 96
    model_id = None

    @property
    def _is_realtime(self) -> bool:
        return bool(self.settings.endpoint_type == "realtime")

    def url(self, *, stream: bool = False) -> str:
        target: str = self.settings.target
        if self.settings.provider == "openai" or self._is_realtime:
            return target
        parts = urlsplit(target)
        return parts._replace(path=parts.path.rstrip("/") + _PATHS[self.task_type]).geturl()

    async def headers(self) -> Headers:
        key = self.settings.api_key
        if self.settings.provider == "openai":
            return {**NO_AUTHORIZATION, "api-key": key}
        return {"Authorization": f"Bearer {key}" if self._is_realtime else key}

    def secrets(self) -> Sequence[str]:
        return (self.settings.api_key,)

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        messages = super().chat_body(chat, stream=stream)["messages"]
        given = {name: getattr(self.tasks, name) for name in _PARAMETERS}
        parameters = {name: value for name, value in given.items() if value is not None}
        more = {"parameters": parameters} if parameters else {}
        streamed = {"stream": True} if stream else {}
        if self._is_realtime:
            return {"input_data": {"input_string": messages, **more}, **streamed}
        return {"messages": messages, **more, **streamed}

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        if self._is_realtime:
            try:
                return Completion((msgspec.json.decode(body, type=_Realtime).output,))
            except _UNREADABLE:
                # A deployment may speak OpenAI's API too, and errors look the same.
                pass
        return super().read_completion(body, failures)

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        refuse_input_type(input_type)
        return await super().embed(texts)

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        return {
            "query": query,
            "documents": texts,
            "return_documents": self.tasks.return_documents if return_documents is None else return_documents,
            "top_n": self.tasks.top_n if top_n is None else top_n,
        }

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        try:
            results = msgspec.json.decode(body, type=_Results).results
        except _UNREADABLE:
            raise failures.not_answered("Required [results]") from None
        return [Ranked(one.index, one.relevance_score, _text(one.document)) for one in results]

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if status == 429 and not headers.keys() & {"x-ratelimit-limit-tokens", "x-ratelimit-limit-requests"}:
            return remaining(headers)
        prefix = super().refusal_prefix(status, headers, message)
        if status in (400, 403, 404, 405, 422) and "too large" not in prefix:
            return "Received an unsuccessful status code"
        return prefix


def _text(document: str | dict[str, Any] | None) -> str | None:
    return document if isinstance(document, str) or document is None else document.get("text")
