"""OpenAI, and any server that speaks its API where `url` says so.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from endpoints.providers import _oauth, _shared_settings, _tokens
from endpoints.providers._base import Binding, Embeddings
from endpoints.providers._headers import value_problems
from endpoints.providers._http_provider import REQUEST_URL, Headers
from endpoints.providers._openai_compatible import OpenAICompatible, TaskSettings, refuse_input_type
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting

_CHAT_URL = "https://api.openai.com/v1/chat/completions"
_EMBEDDINGS_URL = "https://api.openai.com/v1/embeddings"
_EMBEDDING_TASKS = ("text_embedding", "embedding")
_URLS = {
    "completion": _CHAT_URL,
    "chat_completion": _CHAT_URL,
    "text_embedding": _EMBEDDINGS_URL,
    "embedding": _EMBEDDINGS_URL,
}
_OAUTH = ("client_id", "scopes", "token_url", "client_secret")


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str | None = setting(
        "API Key",
        "Key of the OpenAI account. Either this or the four settings of OAuth 2.0 are required.",
        secret=True,
    )
    model_id: str = setting("Model ID", "Name of the model, as the provider calls it.", required=True)
    url: str | None = setting("URL", "Full URL to use instead of OpenAI's, with its path.", url=True)
    organization_id: str | None = setting(
        "Organization ID",
        "Organization that is charged, for accounts that belong to several.",
        updatable=True,
        listed_updatable=False,
    )
    dimensions: int | None = _shared_settings.dimensions(task_types=_EMBEDDING_TASKS, listed=True)
    similarity: str | None = _shared_settings.similarity(task_types=_EMBEDDING_TASKS)
    max_input_tokens: int | None = _shared_settings.max_input_tokens(task_types=(), updatable=True)
    client_id: str | None = setting("Client ID", "OAuth 2.0 client, for servers that take its tokens.", updatable=True)
    client_secret: str | None = setting("Client Secret", "Secret of the OAuth 2.0 client.", secret=True)
    scopes: tuple[str, ...] | None = setting("Scopes", "OAuth 2.0 scopes to ask for.", updatable=True)
    token_url: str | None = setting("Token URL", "Where OAuth 2.0 tokens are fetched.", url=True, updatable=True)
    requests_per_minute: int = rate_limit(
        {"text_embedding": 3000, "embedding": 3000, "completion": 500, "chat_completion": 500}
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        yield from value_problems(cls.scope, "organization_id", values.get("organization_id"))
        given = _oauth.given(_OAUTH, values)
        if values.get("api_key") is not None and given:
            text = "[service_settings] must have exactly one of [api_key] or [client_secret] field set"
            yield Problem("api_key", f"{text}; OAuth2 fields given: [{', '.join(given)}]")
        elif not given and values.get("api_key") is None:
            yield Problem("api_key", "[secret_settings] does not contain the required setting [api_key]")
        else:
            yield from _oauth.incomplete("OpenAI", _OAUTH, values)

    @classmethod
    def check_update(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Problem]:
        yield from _oauth.added_later(_OAUTH, before, after)

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        host = host_of(values.get("url") or _URLS[task_type])
        token_url = values.get("token_url")
        hosts = {"api_key": host, "headers": host}
        return {**hosts, "client_secret": host_of(token_url)} if token_url else hosts


class Provider(OpenAICompatible):
    label = "OpenAI"
    description = "OpenAI's models, and those of any server that speaks OpenAI's API."
    task_types = ("text_embedding", "completion", "chat_completion", "embedding")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = (REQUEST_URL, "organization_id", "api_key", "model_id")
    completion_name = "OpenAI chat completions"
    embeddings_name = "OpenAI embeddings"

    def __init__(self, binding: Binding) -> None:
        self._tokens = _tokens_of(binding)
        super().__init__(binding)

    @classmethod
    def migrate(
        cls, service_settings: dict[str, Any], task_settings: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The model once was a task setting, `model` or `model_id`."""
        if "model_id" not in service_settings:
            old = "model" if task_settings.get("model") is not None else "model_id"
            if old in task_settings:
                service_settings["model_id"] = task_settings.pop(old)
        return service_settings, task_settings

    def url(self, *, stream: bool = False) -> str:
        return self.settings.url or _URLS[self.task_type]

    async def headers(self) -> Headers:
        key = self.settings.api_key if self._tokens is None else await self._tokens.get()
        headers = {"Authorization": f"Bearer {key}"}
        organization = self.settings.organization_id
        return {**headers, "OpenAI-Organization": organization} if organization else headers

    def secrets(self) -> Sequence[str]:
        token = None if self._tokens is None else self._tokens.current()
        return tuple(filter(None, (self.settings.api_key, self.settings.client_secret, token)))

    def on_authentication_failure(self, authorization: str) -> None:
        if self._tokens is not None:
            self._tokens.drop(authorization.removeprefix("Bearer "))

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        refuse_input_type(input_type)
        return await super().embed(texts)


def _tokens_of(binding: Binding) -> _tokens.Tokens | None:
    settings = binding.settings
    if settings.client_secret is None:
        return None
    credentials = _tokens.ClientCredentials(
        settings.token_url, settings.client_id, settings.client_secret, settings.scopes
    )
    return _tokens.shared(binding.http, credentials)
