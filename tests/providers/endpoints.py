"""Providers that are bound like those of stored endpoints, without a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from endpoints.providers import load
from endpoints.providers._base import Binding, Chunk, Provider, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._retries import Retries
from endpoints.providers._settings import build, parse
from tests.fakes.provider import FakeProvider

QUICK = Retries(first_seconds=0.01, longest_seconds=0.2)


def bound(
    service: str,
    http: HttpClient,
    task_type: str = "completion",
    settings: Mapping[str, Any] | None = None,
    task_settings: Mapping[str, Any] | None = None,
) -> Provider:
    """Return the provider of an endpoint called `my-endpoint`."""
    provider = load(service)
    service_part = parse(provider.service_settings, task_type, settings or {})
    task_part = parse(provider.task_settings, task_type, task_settings or {})
    assert not service_part.problems, service_part.problems
    assert not task_part.problems, task_part.problems
    binding = Binding(
        "my-endpoint",
        task_type,
        build(provider.service_settings, service_part.values),
        build(provider.task_settings, task_part.values),
        http,
    )
    return provider(binding)


@asynccontextmanager
async def client(private_hosts: str = "127.0.0.1", **options: Any) -> AsyncIterator[HttpClient]:
    http = HttpClient(PrivateHosts.parse(private_hosts), **options)
    try:
        yield http
    finally:
        await http.aclose()


@asynccontextmanager
async def openai(
    fake: FakeProvider,
    model: str,
    task_type: str = "completion",
    task_settings: Mapping[str, Any] | None = None,
    http: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    """Yield an `openai` endpoint of the fake provider; its waits before another attempt are short."""
    path = "/v1/embeddings" if task_type == "text_embedding" else "/v1/chat/completions"
    defaults = {"model_id": model, "url": f"{fake.url}{path}"}
    if "client_secret" not in settings:
        defaults["api_key"] = fake.api_key
    async with client(**(http or {})) as used:
        provider = bound("openai", used, task_type, {**defaults, **settings}, task_settings)
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


async def streamed(provider: Provider, text: str = "one two three") -> list[Chunk]:
    return [chunk async for batch in provider.stream(user_message(text)) for chunk in batch]


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
