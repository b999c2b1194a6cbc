"""OpenAI's models in deployments of an Azure OpenAI resource.

https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from endpoints.providers import _entra, _oauth, _shared_settings, _tokens
from endpoints.providers._base import Binding, Embeddings
from endpoints.providers._failures import ProviderMessage
from endpoints.providers._http_provider import NO_AUTHORIZATION, Headers
from endpoints.providers._openai_compatible import OpenAICompatible, TaskSettings, refuse_input_type
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting
from wire.errors import ProviderError

_SECRETS = ("api_key", "entra_id", "client_secret")
_OAUTH = ("client_id", "scopes", "tenant_id", "client_secret")
_RESOURCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)
_PATHS = {"completion": "chat/completions", "chat_completion": "chat/completions", "text_embedding": "embeddings"}


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str | None = setting(
        "API Key",
        "Key of the Azure OpenAI resource. Either this, a Microsoft Entra token or a client secret is required.",
        secret=True,
    )
    entra_id: str | None = setting("Entra ID", "Microsoft Entra access token, sent as it is.", secret=True)
    client_secret: str | None = setting(
        "Client Secret", "Secret of the Microsoft Entra application that fetches tokens.", secret=True
    )
    client_id: str | None = setting("Client ID", "Microsoft Entra application (client) ID.", updatable=True)
    scopes: tuple[str, ...] | None = setting(
        "Scopes", "Scopes to ask for, as in `https://cognitiveservices.azure.com/.default`.", updatable=True
    )
    tenant_id: str | None = setting("Tenant ID", "Microsoft Entra tenant that the application is in.", updatable=True)
    resource_name: str = setting(
        "Resource Name", "Name of the Azure OpenAI resource, the first part of its host name.", required=True
    )
    deployment_id: str = setting("Deployment ID", "Name of the deployment of the model.", required=True)
    api_version: str = setting("API Version", "Version of Azure's API, as in `2024-10-21`.", required=True)
    dimensions: int | None = _shared_settings.dimensions(listed=True)
    similarity: str | None = _shared_settings.similarity()
    max_input_tokens: int | None = _shared_settings.max_input_tokens(updatable=True)
    requests_per_minute: int = rate_limit({"text_embedding": 1440, "completion": 120, "chat_completion": 120})

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        resource = values.get("resource_name")
        if resource is not None and not _RESOURCE.fullmatch(resource):
            text = "must be the first part of a host name: letters, digits and hyphens"
            yield Problem("resource_name", f"[{cls.scope}] Invalid value [{resource[:200]}]. [resource_name] {text}")
        for name in ("deployment_id", "tenant_id"):
            if values.get(name) in (".", ".."):
                text = f"Invalid value [{values[name]}]. [{name}] must not be a step in a path"
                yield Problem(name, f"[{cls.scope}] {text}")
        secrets = _oauth.given(_SECRETS, values)
        if len(secrets) != 1:
            text = "must have exactly one of [api_key], [entra_id], or [client_secret] field set"
            received = f", received: [{', '.join(secrets)}]" if secrets else ""
            yield Problem("api_key", f"[secret_settings] {text}{received}")
        yield from _oauth.incomplete("Azure OpenAI", _OAUTH, values)

    @classmethod
    def check_update(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Problem]:
        yield from _oauth.added_later(_OAUTH, before, after)
        stored = _oauth.given(_SECRETS, before)
        others = [name for name in _oauth.given(_SECRETS, after) if name not in stored]
        if stored and others:
            text = f"only [{stored[0]}] can be updated for this secret, received: [{', '.join(others)}]"
            yield Problem("api_key", f"[secret_settings] {text}")

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        host = f"{_host(values['resource_name'])}:443"
        resource = dict.fromkeys(("api_key", "entra_id", "headers"), host)
        return {**resource, "client_secret": host_of(_entra.PUBLIC_URL)}


class Provider(OpenAICompatible):
    label = "Azure OpenAI"
    description = "OpenAI's models, deployed in an Azure OpenAI resource."
    task_types = ("text_embedding", "completion", "chat_completion")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = ("resource_name", "deployment_id")
    completion_name = "Azure OpenAI chat completions"
    embeddings_name = "Azure OpenAI embeddings"
    model_id = None

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._tokens = self._tokens_of()

    def url(self, *, stream: bool = False) -> str:
        settings = self.settings
        base = self.address(f"https://{_host(settings.resource_name)}")
        path = f"/openai/deployments/{quote(settings.deployment_id, safe='')}/{_PATHS[self.task_type]}"
        return f"{base}{path}?api-version={quote(settings.api_version, safe='')}"

    async def headers(self) -> Headers:
        if self.settings.api_key is not None:
            return {**NO_AUTHORIZATION, "api-key": self.settings.api_key}
        token = self.settings.entra_id if self._tokens is None else await self._token(self._tokens)
        return {"Authorization": f"Bearer {token}"}

    def secrets(self) -> Sequence[str]:
        settings, token = self.settings, None if self._tokens is None else self._tokens.current()
        return tuple(filter(None, (settings.api_key, settings.entra_id, settings.client_secret, token)))

    def on_authentication_failure(self, authorization: str) -> None:
        if self._tokens is not None:
            self._tokens.drop(authorization.removeprefix("Bearer "))

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        return remaining(headers) if status == 429 else super().refusal_prefix(status, headers, message)

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        refuse_input_type(input_type)
        return await super().embed(texts)

    async def _token(self, tokens: _tokens.Tokens) -> str:
        try:
            return await tokens.get()
        except ProviderError as error:
            text = "Failed attempting to retrieve access token for Azure OpenAI request for inference id"
            raise ProviderError(f"{text}: [{self.inference_id}]. Cause: {error.reason}", status=500) from None

    def _tokens_of(self) -> _tokens.Tokens | None:
        settings = self.settings
        if settings.client_secret is None:
            return None
        url = self.address(_entra.PUBLIC_URL, "token") + _entra.token_path(settings.tenant_id)
        credentials = _entra.EntraCredentials(
            url, settings.client_id, settings.client_secret, settings.scopes, settings.tenant_id
        )
        return _tokens.shared(self.binding.http, credentials)


def remaining(headers: Mapping[str, str]) -> str:
    """Return how a refusal begins that Azure has a rate limit for; it often says only what is left."""
    tokens, requests = (headers.get(f"x-ratelimit-remaining-{what}", "unknown")[:50] for what in ("tokens", "requests"))
    return f"Received a rate limit status code. Remaining tokens [{tokens}]. Remaining requests [{requests}]."


def _host(resource_name: str) -> str:
    return f"{resource_name}.openai.azure.com".lower()
