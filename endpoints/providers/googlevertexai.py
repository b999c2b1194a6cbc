"""Google Vertex AI: Gemini and embedding models, ranking, and the models of others in the Model Garden.

https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from endpoints.providers import _gemini, _gemini_answers, _google_credentials, _tokens, _vertex_answers
from endpoints.providers._anthropic_messages import messages_body
from endpoints.providers._base import Binding, Chat, Completion, Embeddings, Ranked
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._google_credentials import ServiceAccount
from endpoints.providers._http_provider import Headers, HttpProvider
from endpoints.providers._openai_compatible import OpenAICompatible
from endpoints.providers._vertex_settings import (
    ANTHROPIC,
    GOOGLE,
    RERANK_URL,
    ServiceSettings,
    TaskSettings,
    public_url,
)
from endpoints.providers.anthropic import Provider as Anthropic
from wire.errors import ProviderError

_RANKING = "rankingConfigs/default_ranking_config:rank"
_ANTHROPIC_VERSION = "vertex-2023-10-16"
_MAX_TOKENS = 1024
# These know nothing of `stream_options`.
_WITHOUT_STREAM_OPTIONS = ("mistral", "ai21")


class Provider(OpenAICompatible):
    """What most makers of the Model Garden speak is OpenAI's API; Google and Anthropic have their own."""

    label = "Google Vertex AI"
    description = "Google's models on Google Cloud, and those of other makers in its Model Garden."
    task_types = ("text_embedding", "rerank", "completion", "chat_completion")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    task_settings = TaskSettings
    # Of the models in the Model Garden, only the URLs need be known.
    rate_limit_group = ("project_id", "location", "model_id", "url", "streaming_url")
    completion_name = "Google Vertex AI chat completion"
    embeddings_name = "Google Vertex AI embeddings"
    rerank_name = "Google Vertex AI rerank"

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self.inputs_per_request = binding.settings.max_batch_size
        token_url = self.address(_google_credentials.PUBLIC_URL, "token") + _google_credentials.TOKEN_PATH
        self._account = ServiceAccount(token_url, binding.settings.service_account_json)
        self._tokens = _tokens.shared(binding.http, self._account)

    def url(self, *, stream: bool = False) -> str:
        settings = self.settings
        if settings.provider != GOOGLE:
            url: str = (stream and settings.streaming_url) or settings.url or settings.streaming_url
            return url
        if self.task_type == "rerank":
            return f"{self._rerank_address()}/v1/{self._parent('global')}/{_RANKING}"
        # Elasticsearch asks for chats everywhere, whatever region the host is of.
        location = settings.location if self.task_type == "text_embedding" else None
        address, parent = self.address(public_url(settings.location)), self._parent(location or "global")
        model = f"publishers/google/models/{quote(settings.model_id, safe='')}"
        return f"{address}/v1/{parent}/{model}:{_method(self.task_type, stream)}"

    async def headers(self) -> Headers:
        try:
            token = await self._tokens.get()
        except ProviderError as error:
            raise ProviderError(error.reason, status=403) from None
        return {"Authorization": f"Bearer {token}"}

    def secrets(self) -> Sequence[str]:
        return tuple(filter(None, (*self._account.secrets(), self._tokens.current())))

    def on_authentication_failure(self, authorization: str) -> None:
        self._tokens.drop(authorization.removeprefix("Bearer "))

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        maker = self.settings.provider
        if maker == GOOGLE:
            thinking = _gemini.thinking(chat.reasoning, self.tasks.thinking_budget)
            return _gemini.chat_body(chat, "Google VertexAI ChatCompletion", {"thinkingConfig": thinking})
        if maker == ANTHROPIC:
            longest = chat.max_completion_tokens or self.tasks.max_tokens or _MAX_TOKENS
            return {**messages_body(chat, longest), "anthropic_version": _ANTHROPIC_VERSION, "stream": stream or None}
        body = {**super().chat_body(chat, stream=stream), "max_tokens": chat.max_completion_tokens}
        left_out = ("max_completion_tokens", *(("stream_options",) if maker in _WITHOUT_STREAM_OPTIONS else ()))
        return {name: value for name, value in body.items() if name not in left_out}

    def event_reader(self, failures: Failures) -> EventReader:
        if self.settings.provider == GOOGLE:
            status = 500 if self.task_type == "chat_completion" else 400
            return _gemini_answers.GeminiReader(failures, error_status=status)
        if self.settings.provider == ANTHROPIC:
            return Anthropic(self.binding).event_reader(failures)
        return super().event_reader(failures)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        if self.settings.provider == GOOGLE:
            return _gemini_answers.read_completion(body, failures)
        if self.settings.provider == ANTHROPIC:
            return Anthropic(self.binding).read_completion(body, failures)
        return super().read_completion(body, failures)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        purpose = _gemini.TASK_TYPES.get(input_type or self.tasks.input_type)
        instance = {} if purpose is None else {"task_type": purpose}
        options = {"autoTruncate": self.tasks.auto_truncate, "outputDimensionality": self.settings.dimensions}
        return {
            "instances": [{"content": text, **instance} for text in self.truncated(texts)],
            "parameters": {name: value for name, value in options.items() if value is not None} or None,
        }

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        return _vertex_answers.read_predictions(body, failures)

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        return {
            "model": self.settings.model_id,
            "query": query,
            "records": [{"id": str(index), "content": text} for index, text in enumerate(texts)],
            "topN": self.tasks.top_n if top_n is None else top_n,
            "ignoreRecordDetailsInResponse": True if return_documents is False else None,
        }

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        return _vertex_answers.read_records(body, failures)

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if self.settings.provider == GOOGLE:
            special = _gemini.refusal_prefix(status, self.label)
            return special or HttpProvider.refusal_prefix(self, status, headers, message)
        if self.settings.provider == ANTHROPIC:
            return Anthropic(self.binding).refusal_prefix(status, headers, message)
        return super().refusal_prefix(status, headers, message)

    def _parent(self, location: str) -> str:
        return f"projects/{quote(self.settings.project_id, safe='')}/locations/{location}"

    def _rerank_address(self) -> str:
        """Ranking has a host of its own; what stands for the models' host stands for it too."""
        return self.address(self.address(RERANK_URL), "rerank")


def _method(task_type: str, stream: bool) -> str:
    if task_type == "text_embedding":
        return "predict"
    return "streamGenerateContent?alt=sse" if stream else "generateContent"
