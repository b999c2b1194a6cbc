"""What we send to Azure OpenAI is what OpenAI's own client for Azure sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from endpoints.providers._base import Chat, Message
from tests.fakes import azureopenai
from tests.fakes.http import Request
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client

PLACE = {"resource_name": "my-resource", "deployment_id": "my-deployment", "api_version": "2024-10-21"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CHAT = Chat(
    messages=(
        Message("system", "be brief"),
        Message("user", [{"type": "text", "text": "hi"}]),
        Message("assistant", None, tool_calls=[CALL]),
        Message("tool", "4", tool_call_id="call_1"),
        Message("user", "go on"),
    ),
    max_completion_tokens=100,
    stop=["END"],
    temperature=0.5,
    top_p=0.5,
    tool_choice={"type": "function", "function": {"name": "f"}},
    tools=[TOOL],
    reasoning={"effort": "low"},
)


@pytest.fixture
def azure() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=azureopenai.respond) as running:
        yield running


def sdk(azure: FakeProvider, **given: Any) -> openai.AzureOpenAI:
    given = given or {"api_key": azure.api_key}
    return openai.AzureOpenAI(azure_endpoint=azure.url, api_version=PLACE["api_version"], max_retries=0, **given)


async def ours(azure: FakeProvider, task_type: str, chat: Chat | None, *, stream: bool, **secrets: Any) -> Request:
    """Return the request that the gateway sends."""
    settings = {**PLACE, **(secrets or {"api_key": azure.api_key})}
    settings |= {"dimensions": 2} if task_type == "text_embedding" else {}
    async with client(service_urls={"azureopenai": azure.url}) as http:
        provider = bound("azureopenai", http, task_type, settings, {"user": "u-1"})
        if chat is None:
            await provider.embed(["a", "b"])
        elif stream:
            [None async for _ in provider.stream(chat)]
        else:
            await provider.complete(chat)
    return azure.last


def told(request: Request) -> tuple[Any, ...]:
    """Return what makes the request, but for two fields that the client cannot leave out: the model, which the URL
    names too and Azure does not read, and the format of vectors."""
    headers = {name: request.headers.get(name) for name in ("api-key", "authorization", "content-type")}
    body = {name: value for name, value in request.json().items() if name not in ("model", "encoding_format")}
    return request.method, request.path, headers, body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat(azure: FakeProvider, stream: bool) -> None:
    sent = told(await ours(azure, "chat_completion", CHAT, stream=stream))
    with sdk(azure) as theirs:
        answer = theirs.chat.completions.create(model="my-deployment", **sent[-1])
        texts = [chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices] if stream else []
    assert told(azure.last) == sent
    assert "".join(texts) == ("go on" if stream else "")


async def test_an_entra_token(azure: FakeProvider) -> None:
    azure.tokens.add("eyJ0")
    sent = told(await ours(azure, "completion", Chat((Message("user", "hi"),)), stream=False, entra_id="eyJ0"))
    with sdk(azure, azure_ad_token="eyJ0") as theirs:
        theirs.chat.completions.create(model="my-deployment", **sent[-1])
    assert told(azure.last) == sent


async def test_embeddings(azure: FakeProvider) -> None:
    sent = told(await ours(azure, "text_embedding", None, stream=False))
    with sdk(azure) as theirs:
        # Where it is told no format, the client asks for base64, to have less to read.
        theirs.embeddings.create(model="my-deployment", encoding_format="float", **sent[-1])
    assert told(azure.last) == sent
