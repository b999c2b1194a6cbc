"""What we send to a Mistral model, in Vertex AI's Model Garden, is what Mistral's own client sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral

from endpoints.providers._base import Chat, Message
from endpoints.providers._http_provider import HttpProvider
from tests.fakes.googlevertexai import key_file
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "The capital?"},
]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_capital", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
SAMPLING: dict[str, Any] = {"stop": ["\n"], "temperature": 0.5, "top_p": 0.9}
# The client spells these out where nobody asked for them.
ITS_DEFAULTS = {"safe_prompt": False, "strict": False}


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


async def ours(fake: FakeProvider, *, stream: bool) -> dict[str, Any]:
    """Return the body that the gateway sends; who asks is Google's matter, not Mistral's."""
    chat = Chat(
        [Message(one["role"], one["content"]) for one in MESSAGES],
        tools=[TOOL],
        tool_choice="auto",
        max_completion_tokens=64,
        **SAMPLING,
    )
    settings = {
        "service_account_json": key_file(),
        "provider": "mistral",
        "model_id": "mistral-medium",
        "url": f"{fake.url}/v1/chat/completions",
    }
    async with client() as http:
        provider = bound("googlevertexai", http, "chat_completion", settings)
        assert isinstance(provider, HttpProvider)
        return {name: value for name, value in provider.chat_body(chat, stream=stream).items() if value is not None}


def theirs(fake: FakeProvider, *, stream: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": "mistral-medium",
        "messages": MESSAGES,
        "tools": [TOOL],
        "tool_choice": "auto",
        "max_tokens": 64,
        "n": 1,
        **SAMPLING,
    }
    with Mistral(api_key=fake.api_key, server_url=fake.url) as mistral:
        if stream:
            with mistral.chat.stream(**arguments) as events:
                list(events)
        else:
            mistral.chat.complete(**arguments)
    body: dict[str, Any] = fake.last.json()
    return body


def without_defaults(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_defaults(item)
            for name, item in value.items()
            if name not in ITS_DEFAULTS or item != ITS_DEFAULTS[name]
        }
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat(fake: FakeProvider, stream: bool) -> None:
    assert await ours(fake, stream=stream) == without_defaults(theirs(fake, stream=stream))
