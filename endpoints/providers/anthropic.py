"""Anthropic's Claude models, and any server that speaks the Messages API where `url` says so.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from endpoints.providers._anthropic_events import MessageReader, read_completion
from endpoints.providers._anthropic_messages import messages_body
from endpoints.providers._base import Chat, Completion
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http_provider import NO_AUTHORIZATION, REQUEST_URL, Headers, HttpProvider
from endpoints.providers._settings import Settings, host_of, rate_limit, setting

_HOST = "https://api.anthropic.com"
_PATH = "/v1/messages"
_VERSION = "2023-06-01"
_LIMITS = (
    "Token limit [{tokens-limit}], remaining tokens [{tokens-remaining}], tokens reset [{tokens-reset}]. "
    "Request limit [{requests-limit}], remaining requests [{requests-remaining}], request reset [{requests-reset}]"
)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting("API Key", "Key of the Anthropic account.", secret=True, required=True)
    model_id: str = setting("Model ID", "Name of the model, as Anthropic calls it.", required=True)
    url: str | None = setting("URL", "Full URL to use instead of Anthropic's, with its path.", url=True, listed=False)
    requests_per_minute: int = rate_limit(50)

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"api_key": host_of(values.get("url") or _HOST)}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    max_tokens: int = setting(
        "Max Tokens",
        "How many tokens an answer may have at most, thoughts among them.",
        required=True,
        updatable=True,
        listed_updatable=False,
        minimum=1,
    )
    temperature: float | None = setting(
        "Temperature", "How much chance there is in an answer.", updatable=True, listed=False
    )
    top_k: int | None = setting("Top K", "Choose among so many of the likeliest tokens.", updatable=True, listed=False)
    top_p: float | None = setting(
        "Top P", "Choose among the likeliest tokens that together have this probability.", updatable=True, listed=False
    )


class Provider(HttpProvider):
    label = "Anthropic"
    description = "Anthropic's Claude models."
    task_types = ("completion", "chat_completion")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    task_settings = TaskSettings
    rate_limit_group = (REQUEST_URL, "api_key", "model_id")
    completion_name = "Anthropic chat completions"

    def url(self, *, stream: bool = False) -> str:
        return self.settings.url or self.address(_HOST) + _PATH

    async def headers(self) -> Headers:
        return {**NO_AUTHORIZATION, "x-api-key": self.settings.api_key, "anthropic-version": _VERSION}

    def secrets(self) -> Sequence[str]:
        return (self.settings.api_key,)

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        tasks, limit = self.tasks, chat.max_completion_tokens
        return {
            **messages_body(chat, tasks.max_tokens if limit is None else limit),
            "model": chat.model or self.settings.model_id,
            "temperature": tasks.temperature if chat.temperature is None else chat.temperature,
            "top_p": tasks.top_p if chat.top_p is None else chat.top_p,
            "top_k": tasks.top_k,
            "stream": True if stream else None,
        }

    def event_reader(self, failures: Failures) -> EventReader:
        return MessageReader(failures)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        completion = read_completion(body, failures)
        # Elasticsearch lists the blocks of a completion one by one; a chat has one message.
        return completion if self.task_type == "completion" else replace(completion, texts=["".join(completion.texts)])

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if status == 429:
            return f"Received a rate limit status code. {_limits(headers)}"
        if status == 529:
            return "Received an Anthropic server is temporarily overloaded status code"
        if status >= 500:
            return "Received a server error status code"
        if status in (401, 403) or status < 400:
            return super().refusal_prefix(status, headers, message)
        return "Received an unsuccessful status code"


def _limits(headers: Mapping[str, str]) -> str:
    known = {
        f"{kind}-{fact}": headers.get(f"anthropic-ratelimit-{kind}-{fact}", "unknown")[:50]
        for kind in ("tokens", "requests")
        for fact in ("limit", "remaining", "reset")
    }
    return f"{_LIMITS.format_map(known)}. Retry after [{headers.get('retry-after', 'unknown')[:50]}]"
