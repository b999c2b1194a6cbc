"""IBM watsonx.ai: an API key is exchanged for an access token; the path says whether the answer is streamed.

https://cloud.ibm.com/apidocs/watsonx-ai
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from endpoints.providers import _shared_settings, _tokens, _watsonx_answers
from endpoints.providers._base import Binding, Chat, Completion, Embeddings, Ranked
from endpoints.providers._dialects import DialectReader, read_dialect
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http_provider import Headers, HttpProvider
from endpoints.providers._openai_compatible import OpenAICompatible, refuse_input_type
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting, with_scheme

_IAM = "https://iam.cloud.ibm.com"
_PATHS = {"text_embedding": "embeddings", "rerank": "rerank", "completion": "chat", "chat_completion": "chat"}
# What the body of OpenAI's API has and this one has not, or under another name.
_NOT_SENT = ("model", "max_completion_tokens", "tool_choice", "stream", "stream_options", "user")
_UNSUCCESSFUL = "Received an unsuccessful status code"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting(
        "API Key",
        "Key of IBM Cloud; it is sent only to IBM's token service.",
        required=True,
        secret=True,
        listed=False,
    )
    url: str = setting(
        "URL",
        "Host of the service in your region, as in `us-south.ml.cloud.ibm.com`, or the whole URL before its `/ml`.",
        required=True,
        url=True,
        bare_host=True,
    )
    api_version: str = setting("API Version", "Version of the API, which is a date: `2024-05-31`.", required=True)
    model_id: str = setting("Model ID", "Name of the model, as watsonx.ai calls it.", required=True)
    project_id: str = setting("Project ID", "Project that is charged.", required=True)
    max_input_tokens: int | None = _shared_settings.max_input_tokens(listed=True)
    dimensions: int | None = _shared_settings.dimensions()
    similarity: str | None = _shared_settings.similarity()
    requests_per_minute: int = rate_limit(120, listed=False)

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        if "?" in (values.get("url") or ""):
            yield Problem("url", f"[{cls.scope}] Invalid value received. [url] must not have a query")

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        """The key itself only goes to IBM's token service; what it is exchanged for, and opens as much, goes here."""
        return {"api_key": host_of(with_scheme(values["url"]))} if values.get("url") else {}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    return_documents: bool | None = _shared_settings.return_documents()
    top_n: int | None = _shared_settings.top_n()
    truncate_input_tokens: int | None = setting(
        "Truncate Input Tokens",
        "Longer documents are cut by watsonx.ai.",
        updatable=True,
        task_types=("rerank",),
        minimum=1,
        listed=False,
    )


@dataclass(frozen=True, slots=True)
class _ApiKey(_tokens.Credentials):
    """https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey"""

    api_key: str = field(repr=False)

    def form(self) -> Mapping[str, str]:
        return {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": self.api_key}

    def secrets(self) -> Sequence[str]:
        return (self.api_key,)


class Provider(OpenAICompatible):
    label = "IBM watsonx"
    description = "Models of IBM watsonx.ai: chat, embeddings and ranking."
    task_types = ("text_embedding", "rerank", "completion", "chat_completion")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = ("url",)
    completion_name = "IBM watsonx chat completions"
    embeddings_name = "IBM watsonx embeddings"
    rerank_name = "IBM watsonx rerank"
    error_type = "watsonx_error"
    inputs_per_request = 1000

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        credentials = _ApiKey(f"{self.address(_IAM, 'token')}/identity/token", self.settings.api_key)
        self._tokens = _tokens.shared(binding.http, credentials)

    def url(self, *, stream: bool = False) -> str:
        base = with_scheme(self.settings.url).rstrip("/")
        path = "chat_stream" if stream else _PATHS[self.task_type]
        return f"{base}/ml/v1/text/{path}?version={quote(self.settings.api_version, safe='')}"

    async def headers(self) -> Headers:
        return {"Authorization": f"Bearer {await self._tokens.get()}"}

    def secrets(self) -> Sequence[str]:
        return tuple(filter(None, (self.settings.api_key, self._tokens.current())))

    def on_authentication_failure(self, authorization: str) -> None:
        self._tokens.drop(authorization.removeprefix("Bearer "))

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        body = super().chat_body(chat, stream=stream)
        # A function is named under another key than the words `auto`, `none` and `required`.
        choice = "tool_choice_option" if isinstance(chat.tool_choice, str) else "tool_choice"
        return {
            "project_id": self.settings.project_id,
            **{name: value for name, value in body.items() if name not in _NOT_SENT},
            "model_id": self.settings.model_id,
            "max_tokens": chat.max_completion_tokens,
            choice: chat.tool_choice,
        }

    def event_reader(self, failures: Failures) -> EventReader:
        return DialectReader(failures, error_status=500 if self.task_type == "chat_completion" else 400)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        return read_dialect(body, failures)

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        refuse_input_type(input_type)
        return await super().embed(texts)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        return {
            "inputs": texts,
            "model_id": self.settings.model_id,
            "project_id": self.settings.project_id,
            "parameters": _present(truncate_input_tokens=self.settings.max_input_tokens),
        }

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        return _watsonx_answers.read_embeddings(body, failures)

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        wanted = self.tasks.return_documents if return_documents is None else return_documents
        options = _present(top_n=top_n or self.tasks.top_n, inputs=wanted or None)
        return {
            "model_id": self.settings.model_id,
            "query": query,
            "inputs": [{"text": text} for text in texts],
            "project_id": self.settings.project_id,
            "parameters": _present(truncate_input_tokens=self.tasks.truncate_input_tokens, return_options=options),
        }

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        return _watsonx_answers.read_ranked(body, texts, failures)

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if self.task_type in self.streaming_task_types:
            return super().refusal_prefix(status, headers, message)
        known = status in (400, 401, 403, 404, 500) or 300 <= status < 400
        return HttpProvider.refusal_prefix(self, status, headers, message) if known else _UNSUCCESSFUL


def _present(**values: Any) -> dict[str, Any] | None:
    """Return what is there of `values`, None where nothing is."""
    return {name: value for name, value in values.items() if value is not None} or None
