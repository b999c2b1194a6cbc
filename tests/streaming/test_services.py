"""Every service through the running gateway, from a fake of its provider, over real sockets.

A new service is one row, and its fake: `respond` in `tests/fakes/<service>.py`. All fakes repeat the prompt.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from endpoints.providers import load, names
from tests.fakes.behaviours import answer
from tests.fakes.googlevertexai import PROJECT, key_file
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
    Row("googleaistudio", {**KEY, "model_id": "gemini-pro"}, {"completion": {}, "text_embedding": {}}),
    Row(
        "googlevertexai",
        {"service_account_json": key_file(), "project_id": PROJECT, "model_id": "gemini-pro"},
        {
            "completion": {"location": "us-central1"},
            "text_embedding": {"location": "us-central1"},
            "rerank": {},
        },
    ),
    Row(
        "googlevertexai",
        {"service_account_json": key_file(), "provider": "anthropic", "url": "{url}/anthropic:rawPredict"},
        {"completion": {"streaming_url": "{url}/anthropic:streamRawPredict"}},
        note="anthropic",
    ),
    Row(
        "googlevertexai",
        {"service_account_json": key_file(), "provider": "meta", "url": "{url}/openai/chat/completions"},
        {"completion": {"model_id": "llama"}},
        note="meta",
    ),
    Row(
        "watsonxai",
        {**KEY, "url": "{url}", "api_version": "2024-05-31", "model_id": "granite", "project_id": "my-project"},
        {"completion": {}, "text_embedding": {}, "rerank": {}},
    ),
    Row(
        "hugging_face",
        KEY,
        {
            "completion": {"url": CHAT},
            "text_embedding": {"url": "{url}/embed"},
            "rerank": {"url": "{url}/rerank"},
        },
    ),
)
# They would run inside the gateway; each with a task type and settings that are accepted.
NOT_RUN = {
    "elasticsearch": ("sparse_embedding", {"model_id": ".elser_model_2", "num_allocations": 1, "num_threads": 1}),
    "elser": ("sparse_embedding", {"num_allocations": 1, "num_threads": 1}),
}
_numbers = itertools.count(1)


def asking(task_type: str) -> pytest.MarkDecorator:
    rows = [pytest.param(row, id=str(row)) for row in ROWS if task_type in row.tasks]
    return pytest.mark.parametrize("row", rows)


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
        path = f"/_inference/{task_type}/{row}-{next(_numbers)}"
        put = self.gateway.call("PUT", path, body)
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


def test_every_service_has_a_row_for_what_can_be_asked_of_it() -> None:
    """But for `echo`, which asks nobody, and chats, which have no route of their own yet."""
    assert {row.service for row in ROWS} | NOT_RUN.keys() == set(names()) - {"echo"}
    for service in {row.service for row in ROWS}:
        asked = {task_type for row in ROWS if row.service == service for task_type in row.tasks}
        assert asked == set(load(service).task_types) - {"chat_completion"}, service


@asking("completion")
def test_a_completion_streams(world: World, row: Row) -> None:
    path = world.put(row, "completion")
    with world.gateway.stream(f"{path}/_stream", {"input": PROMPT}) as stream:
        events = list(stream.events())
    assert (stream.status, events[-1]) == (200, ("message", "[DONE]")), events
    assert "".join(deltas(data) for _, data in events[:-1]) == PROMPT


@asking("completion")
def test_a_completion_comes_whole(world: World, row: Row) -> None:
    answer = world.gateway.call("POST", world.put(row, "completion"), {"input": PROMPT})
    assert (answer.status, answer.json()) == (200, {"completion": [{"result": PROMPT}]})


@asking("text_embedding")
def test_texts_become_vectors_in_their_order(world: World, row: Row) -> None:
    answer = world.gateway.call("POST", world.put(row, "text_embedding"), {"input": ["a", "bbb"]})
    first, second = (one["embedding"] for one in answer.json()["text_embedding"])
    assert first != second
    assert len(first) == len(second) > 1


@asking("embedding")
def test_the_embedding_task_has_a_key_of_its_own(world: World, row: Row) -> None:
    answer = world.gateway.call("POST", world.put(row, "embedding"), {"input": ["a", "bbb"]})
    assert [len(one["embedding"]) for one in answer.json()["embeddings"]] == [3, 3]


@asking("rerank")
def test_texts_are_ranked(world: World, row: Row) -> None:
    """All fakes find longer texts better."""
    body = {"query": "which?", "input": ["short", "a longer one", "mid size"]}
    ranked = world.gateway.call("POST", world.put(row, "rerank"), body).json()["rerank"]
    assert [one["index"] for one in ranked] == [1, 2, 0]
    assert ranked == sorted(ranked, key=lambda one: -one["relevance_score"])


@pytest.mark.parametrize("service", NOT_RUN)
def test_models_inside_the_gateway_are_kept_but_not_asked(world: World, service: str) -> None:
    task_type, settings = NOT_RUN[service]
    path = f"/_inference/{task_type}/{service}-{next(_numbers)}"
    put = world.gateway.call("PUT", path, {"service": service, "service_settings": settings})
    assert (put.status, put.json()["service"]) == (200, "elasticsearch")
    asked = world.gateway.call("POST", path, {"input": "x"})
    assert (asked.status, asked.error["type"]) == (503, "status_exception")
    assert ".elser_model_2" in asked.error["reason"]
    streamed = world.gateway.call("POST", f"{path}/_stream", {"input": "x"})
    assert streamed.status == 405
    assert streamed.error["reason"].startswith("Streaming is not allowed for service [elasticsearch]")


def test_no_secret_is_in_the_log_or_shown(world: World) -> None:
    shown = world.gateway.call("GET", "/_inference/_all").body.decode()
    for text in (world.gateway.read_log(), shown):
        assert API_KEY not in text
        assert "oauth-secret" not in text
        assert "PRIVATE KEY" not in text
