"""Google AI Studio: Gemini models through the Generative Language API.

https://ai.google.dev/api
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from endpoints.providers import _gemini, _gemini_answers, _shared_settings
from endpoints.providers._base import Chat, Completion, Embeddings
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._gemini_answers import GeminiReader
from endpoints.providers._http_provider import NO_AUTHORIZATION, Headers, HttpProvider
from endpoints.providers._settings import Settings, host_of, rate_limit, setting
from wire.errors import SettingsInvalid

_PUBLIC_URL = "https://generativelanguage.googleapis.com"
_WITH_INPUT_TYPE = "embedding-001"
# The client below would write these plainly; a key has to be known in the form in which it is sent.
_PLAIN_IN_QUERIES = "!$'()*,/:?@"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting("API Key", "Key of the Gemini API.", required=True, secret=True)
    model_id: str = setting("Model ID", "Name of the model, as in `gemini-2.5-flash`.", required=True)
    dimensions: int | None = _shared_settings.dimensions()
    similarity: str | None = _shared_settings.similarity()
    max_input_tokens: int | None = _shared_settings.max_input_tokens()
    requests_per_minute: int = rate_limit(360)

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"api_key": host_of(_PUBLIC_URL)}


class _Vector(msgspec.Struct):
    values: list[float]


class _Vectors(msgspec.Struct):
    embeddings: list[_Vector] | None = None
    error: Any = None


_decode_vectors = msgspec.json.Decoder(_Vectors).decode


class Provider(HttpProvider):
    label = "Google AI Studio"
    description = "Google's Gemini models, with a key of the Gemini API."
    task_types = ("text_embedding", "completion")
    streaming_task_types = ("completion",)
    service_settings = ServiceSettings
    rate_limit_group = ("model_id",)
    completion_name = "Google AI Studio completion"
    embeddings_name = "Google AI Studio embeddings"
    inputs_per_request = 100

    def url(self, *, stream: bool = False) -> str:
        return f"{self._model_url()}:{self._method(stream)}?key={self._quoted_key()}{'&alt=sse' if stream else ''}"

    async def headers(self) -> Headers:
        return NO_AUTHORIZATION

    def secrets(self) -> Sequence[str]:
        return (self.settings.api_key, self._quoted_key())

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        return _gemini.chat_body(chat, "Google AI Studio completion", {"candidateCount": 1})

    def event_reader(self, failures: Failures) -> EventReader:
        return GeminiReader(failures)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        return _gemini_answers.read_completion(body, failures)

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        model = self.settings.model_id
        if input_type is not None and model != _WITH_INPUT_TYPE:
            shown = f"Invalid value [{input_type}] received"
            raise SettingsInvalid(f"{shown}. [input_type] is not allowed for model [{model}]")
        return await super().embed(texts, input_type)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        purpose = {} if input_type is None else {"taskType": _gemini.TASK_TYPES[input_type]}
        model = f"models/{self.settings.model_id}"
        return {
            "requests": [
                {"model": model, "content": {"parts": [{"text": text}]}, **purpose} for text in self.truncated(texts)
            ]
        }

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        try:
            answer = _decode_vectors(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise failures.not_answered("the answer is not a list of embeddings") from None
        if answer.error:
            raise failures.refused("Received an error response", 200, failures.read_message(body))
        if answer.embeddings is None:
            raise failures.not_answered("Required [embeddings]")
        return Embeddings([vector.values for vector in answer.embeddings])

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        return _gemini.refusal_prefix(status, self.label) or super().refusal_prefix(status, headers, message)

    def _model_url(self) -> str:
        return f"{self.address(_PUBLIC_URL)}/v1/models/{quote(self.settings.model_id, safe='')}"

    def _method(self, stream: bool) -> str:
        if self.task_type == "text_embedding":
            return "batchEmbedContents"
        return "streamGenerateContent" if stream else "generateContent"

    def _quoted_key(self) -> str:
        return quote(self.settings.api_key, safe=_PLAIN_IN_QUERIES)
