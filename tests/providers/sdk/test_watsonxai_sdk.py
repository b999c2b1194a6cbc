"""What we send to watsonx.ai is what IBM's own client sends, bodies and paths; the key for a token too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference, Rerank

from endpoints.providers._base import Chat, Message, Provider
from tests.fakes.http import Request
from tests.fakes.provider import FakeProvider
from tests.fakes.watsonxai import respond
from tests.providers.endpoints import bound, client

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*scope_validation:UserWarning")

API_KEY = "ibm-key-0123456789"
PUBLIC = "https://us-south.ml.cloud.ibm.com"
PROJECT = "63dc4cf1"
CALL = {"id": "call-1", "type": "function", "function": {"name": "get_capital", "arguments": "{}"}}
TOOL = {
    "type": "function",
    "function": {"name": "get_capital", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "The capital?"}]},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "content": "London", "tool_call_id": "call-1"},
    {"role": "user", "content": "And now?"},
]
SAMPLING: dict[str, Any] = {"stop": ["\n"], "temperature": 0.5, "top_p": 0.9}


class ToFake(httpx.HTTPTransport):
    """IBM's client takes only public addresses; this is where they lead."""

    def __init__(self, fake: FakeProvider) -> None:
        super().__init__()
        self._fake = httpx.URL(fake.url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        to = self._fake
        request.url = request.url.copy_with(scheme=to.scheme, host=to.host, port=to.port)
        return super().handle_request(request)


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(API_KEY, respond=respond) as running:
        yield running


@pytest.fixture
def ibm(fake: FakeProvider) -> Iterator[APIClient]:
    with httpx.Client(transport=ToFake(fake)) as http:
        credentials = Credentials(url=PUBLIC, api_key=API_KEY)
        yield APIClient(credentials, project_id=PROJECT, scope_validation=False, httpx_client=http)


def model(ibm: APIClient) -> ModelInference:
    return ModelInference(model_id="granite", api_client=ibm, project_id=PROJECT, validate=False)


async def ours(
    fake: FakeProvider, task_type: str, task_settings: Mapping[str, Any] | None = None, **ask: Any
) -> Request:
    """Return the request that the gateway sends; `ask` has a method of the provider and its arguments."""
    settings = {"api_key": API_KEY, "url": fake.url, "api_version": "2024-05-31", "model_id": "granite"}
    settings |= {"project_id": PROJECT, **ask.pop("settings", {})}
    async with client(service_urls={"watsonxai.token": fake.url}) as http:
        provider = bound("watsonxai", http, task_type, settings, task_settings)
        await _asked(provider, **ask)
    return fake.last


async def _asked(provider: Provider, chat: Chat | None = None, stream: bool = False, **arguments: Any) -> None:
    if "query" in arguments:
        await provider.rerank(**arguments)
    elif chat is None:
        await provider.embed(**arguments)
    elif stream:
        [None async for _ in provider.stream(chat)]
    else:
        await provider.complete(chat)


def assert_same(sent: Request, theirs: Request) -> None:
    assert sent.json() == theirs.json()
    assert sent.method == theirs.method
    assert sent.path.partition("?")[0] == theirs.path.partition("?")[0]
    assert sent.path.partition("=")[0] == theirs.path.partition("=")[0]


CHATS = [
    ({"tool_choice": "required"}, {"tool_choice_option": "required"}),
    ({"tool_choice": {"type": "function", "function": {"name": "get_capital"}}},) * 2,
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("choice", "ibm_choice"), CHATS)
async def test_a_chat(
    fake: FakeProvider, ibm: APIClient, stream: bool, choice: dict[str, Any], ibm_choice: dict[str, Any]
) -> None:
    messages = tuple(
        Message(one["role"], one.get("content"), one.get("tool_call_id"), one.get("tool_calls")) for one in MESSAGES
    )
    reasoning = {"effort": "low"}
    chat = Chat(messages, max_completion_tokens=256, tools=[TOOL], reasoning=reasoning, **SAMPLING, **choice)
    sent = await ours(fake, "chat_completion", chat=chat, stream=stream)
    params = {"max_tokens": 256, "reasoning_effort": "low", "n": 1, **SAMPLING}
    if stream:
        list(model(ibm).chat_stream(messages=MESSAGES, params=params, tools=[TOOL], **ibm_choice))
    else:
        model(ibm).chat(messages=MESSAGES, params=params, tools=[TOOL], **ibm_choice)
    assert_same(sent, fake.last)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion(fake: FakeProvider, ibm: APIClient, stream: bool) -> None:
    sent = await ours(fake, "completion", chat=Chat((Message("user", "hello"),)), stream=stream)
    asking: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "params": {"n": 1}}
    if stream:
        list(model(ibm).chat_stream(**asking))
    else:
        model(ibm).chat(**asking)
    assert_same(sent, fake.last)


@pytest.mark.parametrize(("limit", "params"), [({}, None), ({"max_input_tokens": 9}, {"truncate_input_tokens": 9})])
async def test_embeddings(
    fake: FakeProvider, ibm: APIClient, limit: dict[str, int], params: dict[str, int] | None
) -> None:
    sent = await ours(fake, "text_embedding", settings=limit, texts=["a", "b"])
    Embeddings(model_id="granite", api_client=ibm, project_id=PROJECT, params=params).embed_documents(["a", "b"])
    assert_same(sent, fake.last)


async def test_rerank(fake: FakeProvider, ibm: APIClient) -> None:
    stored = {"truncate_input_tokens": 9, "return_documents": True}
    asking = {"query": "q", "texts": ["a", "b"], "top_n": 1, "return_documents": None}
    sent = await ours(fake, "rerank", stored, **asking)
    params = {"truncate_input_tokens": 9, "return_options": {"top_n": 1, "inputs": True}}
    Rerank(model_id="granite", api_client=ibm, project_id=PROJECT).generate("q", ["a", "b"], params=params)
    assert_same(sent, fake.last)


async def test_the_exchange_of_the_key(fake: FakeProvider, ibm: APIClient) -> None:
    theirs = fake.last
    await ours(fake, "completion", chat=Chat((Message("user", "hello"),)))
    sent = fake.requests[-2]
    assert (sent.method, sent.path, sent.form()) == (theirs.method, theirs.path, theirs.form())
    assert sent.headers["content-type"] == theirs.headers["content-type"]
