"""What we send to Hugging Face is what its own client sends. The client has no call that ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub import InferenceClient

from endpoints.providers._base import Chat, Message
from tests.fakes.http import Request
from tests.fakes.hugging_face import respond
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client

API_KEY = "hf_0123456789"
CALL = {"id": "call-1", "type": "function", "function": {"name": "get_capital", "arguments": "{}"}}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_capital", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "The capital?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "content": "London", "tool_call_id": "call-1"},
    {"role": "user", "content": "And now?"},
]
SAMPLING: dict[str, Any] = {"stop": ["\n"], "temperature": 0.5, "top_p": 0.9}


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(API_KEY, respond=respond) as running:
        yield running


async def asked(fake: FakeProvider, chat: Chat, *, stream: bool) -> Request:
    """Return the request that the gateway sends."""
    settings = {"api_key": API_KEY, "url": f"{fake.url}/v1/chat/completions", "model_id": "meta-llama/Llama:novita"}
    async with client() as http:
        provider = bound("hugging_face", http, "chat_completion", settings)
        if stream:
            [None async for _ in provider.stream(chat)]
        else:
            await provider.complete(chat)
    return fake.last


def assert_same(sent: Request, theirs: Request) -> None:
    assert (sent.method, sent.path, sent.json()) == (theirs.method, theirs.path, theirs.json())
    assert sent.headers["authorization"] == theirs.headers["authorization"]
    assert sent.headers["content-type"] == theirs.headers["content-type"]


def ask(fake: FakeProvider, **arguments: Any) -> None:
    with InferenceClient(base_url=fake.url, api_key=API_KEY) as hugging_face:
        answer = hugging_face.chat_completion(**arguments)
        assert list(answer) if arguments["stream"] else answer


def streaming(stream: bool) -> dict[str, Any]:
    return {"stream": True, "stream_options": {"include_usage": True}} if stream else {"stream": False}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["auto", {"type": "function", "function": {"name": "get_capital"}}])
async def test_a_chat(fake: FakeProvider, stream: bool, choice: Any) -> None:
    """The client has no argument for reasoning; it passes on what a server knows besides."""
    messages = tuple(
        Message(one["role"], one.get("content"), one.get("tool_call_id"), one.get("tool_calls")) for one in MESSAGES
    )
    more: dict[str, Any] = {"tools": [TOOL], "tool_choice": choice, **SAMPLING}
    chat = Chat(messages, max_completion_tokens=256, reasoning={"effort": "low"}, **more)
    sent = await asked(fake, chat, stream=stream)
    more |= {"model": "meta-llama/Llama:novita", "max_tokens": 256, "n": 1, **streaming(stream)}
    ask(fake, messages=MESSAGES, extra_body={"reasoning_effort": "low"}, **more)
    assert_same(sent, fake.last)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion(fake: FakeProvider, stream: bool) -> None:
    sent = await asked(fake, Chat((Message("user", "hello"),)), stream=stream)
    messages = [{"role": "user", "content": "hello"}]
    ask(fake, messages=messages, model="meta-llama/Llama:novita", n=1, **streaming(stream))
    assert_same(sent, fake.last)


async def test_embeddings(fake: FakeProvider) -> None:
    """The client's types say one text; what it sends is whatever it is given."""
    url = f"{fake.url}/embed"
    async with client() as http:
        settings = {"api_key": API_KEY, "url": url}
        await bound("hugging_face", http, "text_embedding", settings).embed(["a", "b"])
    sent = fake.last
    InferenceClient(model=url, api_key=API_KEY).feature_extraction(["a", "b"])
    assert_same(sent, fake.last)
