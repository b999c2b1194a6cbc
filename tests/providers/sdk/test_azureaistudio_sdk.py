"""What we send to deployments of Azure AI Studio is what Azure's own client could send.

Realtime deployments (`input_data`) and rerank are not in that client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.ai.inference import ChatCompletionsClient, EmbeddingsClient
from azure.core.credentials import AzureKeyCredential

from endpoints.providers._base import user_message
from tests.fakes import azureaistudio
from tests.fakes.http import Exchange, Request
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client


async def respond(exchange: Exchange) -> None:
    """The client has another path and another header for the key; only what it sends is of interest."""
    path = exchange.request.path.partition("?")[0]
    azureaistudio.answer(exchange, "embeddings" if path.endswith("/embeddings") else "chat/completions")


@pytest.fixture
def studio() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=respond) as running:
        yield running


async def ours(studio: FakeProvider, task_type: str, task_settings: dict[str, Any], *, stream: bool = False) -> Request:
    """Return the request that the gateway sends."""
    settings: dict[str, Any] = {
        "api_key": studio.api_key,
        "target": studio.url,
        "provider": "cohere",
        "endpoint_type": "token",
    }
    settings |= {"dimensions": 2} if task_type == "text_embedding" else {}
    async with client() as http:
        provider = bound("azureaistudio", http, task_type, settings, task_settings)
        if task_type == "text_embedding":
            await provider.embed(["a", "b"])
        elif stream:
            [None async for _ in provider.stream(user_message("hello there"))]
        else:
            await provider.complete(user_message("hello there"))
    return studio.last


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion(studio: FakeProvider, stream: bool) -> None:
    """The `parameters` are not fields of the client, which passes them on as a model's own."""
    sampling = {"temperature": 0.5, "top_p": 0.9, "do_sample": True, "max_new_tokens": 10}
    sent = await ours(studio, "completion", sampling, stream=stream)
    given = sent.json()
    with closing(ChatCompletionsClient(studio.url, AzureKeyCredential(studio.api_key))) as theirs:
        parameters = {"parameters": given.pop("parameters")}
        answer = theirs.complete(**given, model_extras=parameters)
        texts = [one.choices[0].delta.content for one in answer] if stream else [answer.choices[0].message.content]
    assert "".join(texts) == "hello there"
    assert studio.last.json() == sent.json()
    assert studio.last.headers["content-type"] == sent.headers["content-type"]


async def test_embeddings(studio: FakeProvider) -> None:
    sent = await ours(studio, "text_embedding", {"user": "u-1"})
    given = sent.json()
    with closing(EmbeddingsClient(studio.url, AzureKeyCredential(studio.api_key))) as theirs:
        answer = theirs.embed(model_extras={"user": given.pop("user")}, **given)
    assert len(answer.data) == 2
    assert studio.last.json() == sent.json()
