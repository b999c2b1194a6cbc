"""Anthropic's own client sends the bodies that the `anthropic` service sends.

The client speaks a newer version of the API by itself, in which there are no settings for sampling any more; it is told
to speak the one of the service, 2023-06-01, which still has them. A test says what is different in the client: it has
no arguments for sampling, so that it proves nothing about them, and it sends the key as a token.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic
from anthropic.resources.messages import Messages

from endpoints.providers._base import Chat, Message
from tests.fakes import anthropic
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client

TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
CHAT = Chat(
    messages=(
        Message("system", "be brief"),
        Message(
            "user", [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x.example"}}]
        ),
        Message(
            "assistant",
            "I will",
            tool_calls=[{"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        ),
        Message("tool", "4", tool_call_id="toolu_1"),
    ),
    max_completion_tokens=2048,
    stop=["END"],
    tool_choice="required",
    tools=[
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": TOOL["input_schema"]},
        }
    ],
    reasoning={"effort": "medium", "exclude": True},
)
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://x.example"}}
SDK_CHAT: dict[str, Any] = {
    "max_tokens": 2048,
    "system": "be brief",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]},
        {"role": "assistant", "content": [{"type": "text", "text": "I will"}, USE]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}]},
    ],
    "stop_sequences": ["END"],
    "tool_choice": {"type": "any"},
    "tools": [TOOL],
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
}
SDK_COMPLETION: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
COMPLETION = Chat((Message("user", "hi"),), max_completion_tokens=64)


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=anthropic.respond) as running:
        yield running


def sdk_of(fake: FakeProvider) -> Anthropic:
    version = {"anthropic-version": "2023-06-01"}
    return Anthropic(api_key=fake.api_key, base_url=fake.url, max_retries=0, default_headers=version)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("task_type", "chat", "arguments"),
    [("completion", COMPLETION, SDK_COMPLETION), ("chat_completion", CHAT, SDK_CHAT)],
    ids=["completion", "chat"],
)
async def test_the_body_is_that_of_the_sdk(
    fake: FakeProvider, task_type: str, chat: Chat, arguments: dict[str, Any], stream: bool
) -> None:
    with sdk_of(fake) as sdk:
        answer: Any = sdk.messages.create(model="tool", stream=stream, **arguments)
        if stream:
            assert [event.type for event in answer][-1] == "message_stop"
        else:
            assert answer.stop_reason == "tool_use"
    theirs, path = fake.last.json(), fake.last.path
    async with client(service_urls={"anthropic": fake.url}) as http:
        settings = {"api_key": fake.api_key, "model_id": "tool"}
        provider = bound("anthropic", http, task_type, settings, {"max_tokens": 1})
        if stream:
            async for _ in provider.stream(chat):
                pass
        else:
            await provider.complete(chat)
    # Where nothing is streamed, the client says so; that is what its absence means.
    assert fake.last.json() == {name: value for name, value in theirs.items() if (name, value) != ("stream", False)}
    assert fake.last.path == path


def test_sampling_is_what_the_sdk_has_no_arguments_for() -> None:
    sampling = {"temperature", "top_p", "top_k"}
    assert not sampling & inspect.signature(Messages.create).parameters.keys()


def test_the_key_is_a_token_to_the_sdk(fake: FakeProvider) -> None:
    with sdk_of(fake) as sdk:
        sdk.messages.create(model="claude-x", **SDK_COMPLETION)
    assert fake.last.headers["authorization"] == f"Bearer {fake.api_key}"
    assert "x-api-key" not in fake.last.headers
