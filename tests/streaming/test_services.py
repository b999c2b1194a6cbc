"""Every service through the running gateway, from a fake of its provider, over real sockets.

A new service is one row, and its fake: `respond` in `tests/fakes/<service>.py`. All fakes repeat the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from endpoints.providers import load, names
from tests.fakes.behaviours import answer
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway, deltas

PROMPT = "päivää one two 🎉"
CHAT, EMBED = "{url}/v1/chat/completions", "{url}/v1/embeddings"
KEY = {"api_key": API_KEY}
OAUTH = {"client_id": "client", "client_secret": "oauth-secret", "scopes": ["scope/.default"]}
AZURE = {"resource_name": "my-resource", "deployment_id": "gpt-5", "api_version": "2024-10-21"}


@dataclass(frozen=True)
class Row:
    """`tasks` has, for each task type that is asked, the service settings that only it has; `{url}` is where the fake
    listens. Services without such a setting find it by GATEWAY_SERVICE_URLS."""

    service: str
    settings: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    task_settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        return f"{self.service}{self.note and f'-{self.note}'}"


ROWS = (
    Row(
        "openai",
        {**KEY, "model_id": "gpt-5"},
        {"completion": {"url": CHAT}, "text_embedding": {"url": EMBED}, "embedding": {"url": EMBED}},
    ),
    Row(
        "openai",
        {**OAUTH, "model_id": "gpt-5", "token_url": "{url}/token"},
        {"completion": {"url": CHAT}},
        note="oauth",
    ),
    Row("azureopenai", {**KEY, **AZURE}, {"completion": {}, "text_embedding": {}}),
    Row("azureopenai", {"entra_id": API_KEY, **AZURE}, {"completion": {}}, note="entra-id"),
    Row("azureopenai", {**OAUTH, **AZURE, "tenant_id": "my-tenant"}, {"completion": {}}, note="oauth"),
    Row(
        "azureaistudio",
        {**KEY, "target": "{url}/token", "provider": "cohere", "endpoint_type": "token"},
        {"completion": {}, "text_embedding": {}, "rerank": {}},
    ),
    Row(
        "azureaistudio",
        {**KEY, "target": "{url}/realtime", "provider": "mistral", "endpoint_type": "realtime"},
        {"completion": {}},
        note="realtime",
    ),
    Row(
        "cohere",
        {**KEY, "model_id": "command-r"},
        {"completion": {}, "text_embedding": {}, "rerank": {}},
    ),
    Row(
        "anthropic",
        {**KEY, "model_id": "claude-sonnet", "url": "{url}/v1/messages"},
        {"completion": {}},
        task_settings={"max_tokens": 100},
    ),
)
NOT_RUN = ("elasticsearch", "elser")

each = pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in ROWS])


@dataclass(frozen=True)
class World:
    """A gateway and what it reaches: a fake for each service."""

    gateway: Gateway
    fakes: Mapping[str, FakeProvider]

    def put(self, row: Row, task_type: str) -> str:
        """Create the endpoint of a row, which asks its provider once, and return its path."""
        url = self.fakes[row.service].url
        given = {**row.settings, **row.tasks[task_type]}
        settings = {
            key: value.replace("{url}", url) if isinstance(value, str) else value for key, value in given.items()
        }
        body = {"service": row.service, "service_settings": settings, "task_settings": row.task_settings}
        path = f"/_inference/{task_type}/{row}-{task_type}".replace("_embedding", "-embedding")
        put = self.gateway.call("PUT", f"/_inference/{task_type}/{str(row).lower()}", body)
        assert put.status == 200, put.body
        return path


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        fakes = {name: stack.enter_context(_fake(name)) for name in dict.fromkeys(row.service for row in ROWS)}
        urls = ",".join(f"{name}={fake.url},{name}.token={fake.url}" for name, fake in fakes.items())
        yield World(stack.enter_context(Gateway.started(GATEWAY_SERVICE_URLS=urls)), fakes)


def _fake(service: str) -> Any:
    respond = answer if service == "openai" else import_module(f"tests.fakes.{service}").respond
    return FakeProvider.running(respond=respond)
