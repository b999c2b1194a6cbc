"""What all services share that speak OpenAI's API: how they are asked, how their answers and refusals are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from endpoints.providers._base import Chat, Completion, Embeddings, Message
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._headers import header_problems
from endpoints.providers._http_provider import HttpProvider
from endpoints.providers._openai_chunks import ChunkReader, read_completion, read_embeddings
from endpoints.providers._settings import Problem, Settings, setting
from wire.errors import SettingsInvalid, StatusError


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    """What the services take that are OpenAI, at itself or at Azure."""

    scope = "task_settings"

    user: str | None = setting(
        "User", "Identifier of the end user, passed on to the provider.", updatable=True, listed=False
    )
    headers: Mapping[str, str] | None = setting(
        "Custom Headers", "HTTP headers that are added to requests.", updatable=True, masked=True
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        yield from header_problems(cls.scope, "headers", values.get("headers"))


class OpenAICompatible(HttpProvider):
    @property
    def model_id(self) -> str | None:
        """The model to ask for; None where the URL decides."""
        model_id: str | None = self.settings.model_id
        return model_id

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        return {
            "messages": [_message(message) for message in chat.messages],
            "stop": chat.stop or None,
            "temperature": chat.temperature,
            "tool_choice": chat.tool_choice,
            "tools": chat.tools or None,
            "top_p": chat.top_p,
            "max_completion_tokens": chat.max_completion_tokens,
            "model": chat.model or self.model_id,
            "n": 1,
            "stream": stream,
            "stream_options": {"include_usage": True} if stream else None,
            "user": getattr(self.tasks, "user", None),
            "reasoning_effort": self._reasoning_effort(chat.reasoning),
        }

    def event_reader(self, failures: Failures) -> EventReader:
        return ChunkReader(failures, error_status=500 if self.task_type == "chat_completion" else 400)

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        return read_completion(body, failures)

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        return {
            "input": self.truncated(texts),
            "model": self.model_id,
            "user": getattr(self.tasks, "user", None),
            "dimensions": self.settings.dimensions,
        }

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        return read_embeddings(body, count, failures)

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        if status == 429:
            return _rate_limit_prefix(headers)
        if status == 400 and _is_too_large(message):
            return super().refusal_prefix(413, headers, message)
        return super().refusal_prefix(status, headers, message)

    def _reasoning_effort(self, reasoning: Mapping[str, Any] | None) -> Any:
        if reasoning is None:
            return None
        effort = reasoning.get("effort")
        if effort is None:
            raise StatusError(f"{self.label} chat completion requires [reasoning.effort] to map to [reasoning_effort]")
        return effort


def refuse_input_type(input_type: str | None) -> None:
    """For services whose embeddings know none. Raise SettingsInvalid."""
    if input_type not in (None, "unspecified"):
        text = f"Invalid input_type [{input_type}]. The input_type option is not supported by this service"
        raise SettingsInvalid(text)


def _message(message: Message) -> dict[str, Any]:
    fields = {
        "content": message.content,
        "role": message.role,
        "tool_call_id": message.tool_call_id,
        "tool_calls": message.tool_calls,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _rate_limit_prefix(headers: Mapping[str, str]) -> str:
    token_limit, tokens, request_limit, requests = (
        headers.get(f"x-ratelimit-{name}", "unknown")[:50]
        for name in ("limit-tokens", "remaining-tokens", "limit-requests", "remaining-requests")
    )
    return (
        f"Received a rate limit status code. Token limit [{token_limit}], remaining tokens [{tokens}]. "
        f"Request limit [{request_limit}], remaining requests [{requests}]"
    )


def _is_too_large(message: ProviderMessage) -> bool:
    return message.code == "context_length_exceeded" or any(
        sign in message.text for sign in ("Please reduce your prompt; or completion length.", "maximum context length")
    )
