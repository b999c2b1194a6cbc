"""Google's own client sends what `googleaistudio` and `googlevertexai` send; Anthropic's client for Vertex AI, too.

The client of Google has no call that ranks. It writes some names inside of `generationConfig` and `toolConfig` as
`snake_case`, which Google reads like the `camelCase` of its documentation; and it sends the key as a header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from anthropic import AnthropicVertex
from google.genai import Client, types
from google.oauth2.credentials import Credentials

from endpoints.providers._base import Chat, Message, user_message
from tests.fakes import googleaistudio, googlevertexai
from tests.fakes.googlevertexai import PROJECT, key_file
from tests.fakes.http import Exchange, Request
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client

API_KEY = "AIza-0123456789"
COMPLETION = types.GenerateContentConfig(candidate_count=1)
SCHEMA = {"type": "OBJECT", "properties": {"country": {"type": "STRING"}}}
SIGNATURE = b"abc"
CALL = {
    "id": "call_1~YWJj",
    "type": "function",
    "function": {"name": "get_capital", "arguments": '{"country":"UK"}'},
}
CHAT = Chat(
    messages=(
        Message("system", "Be brief."),
        Message("user", "Capital of the UK?"),
        Message("assistant", "One moment.", tool_calls=[CALL]),
        Message("tool", "London", tool_call_id="call_1~YWJj"),
    ),
    max_completion_tokens=100,
    stop=["END"],
    temperature=0.5,
    top_p=0.5,
    tool_choice={"type": "function", "function": {"name": "get_capital"}},
    tools=[{"type": "function", "function": {"name": "get_capital", "description": "d", "parameters": SCHEMA}}],
    reasoning={"effort": "low"},
)
CONTENTS: list[types.Content] = [
    types.Content(role="user", parts=[types.Part(text="Capital of the UK?")]),
    types.Content(
        role="model",
        parts=[
            types.Part(text="One moment."),
            types.Part(
                function_call=types.FunctionCall(name="get_capital", args={"country": "UK"}),
                thought_signature=SIGNATURE,
            ),
        ],
    ),
    types.Content(
        role="user",
        parts=[types.Part(function_response=types.FunctionResponse(name="get_capital", response={"result": "London"}))],
    ),
]
CONFIG = types.GenerateContentConfig(
    system_instruction=types.Content(parts=[types.Part(text="Be brief.")]),
    max_output_tokens=100,
    stop_sequences=["END"],
    temperature=0.5,
    top_p=0.5,
    thinking_config=types.ThinkingConfig(thinking_budget=1024, include_thoughts=True),
    tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["get_capital"]
        )
    ),
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(
                    name="get_capital", description="d", parameters=types.Schema.model_validate(SCHEMA)
                )
            ]
        )
    ],
)


async def respond(exchange: Exchange) -> None:
    """The fake knows the documented names only."""
    request = exchange.request
    if "genai" in request.headers.get("user-agent", "") and "predict" not in request.path:
        exchange.request = replace(request, body=json.dumps(camel(request.json())).encode())
    await googlevertexai.respond(exchange)


@pytest.fixture
def studio() -> Iterator[FakeProvider]:
    with FakeProvider.running(API_KEY, respond=googleaistudio.respond) as running:
        yield running


@pytest.fixture
def vertex() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=respond) as running:
        running.tokens.add("token-of-the-client")
        yield running


def studio_client(studio: FakeProvider) -> Client:
    return Client(api_key=API_KEY, http_options=types.HttpOptions(base_url=studio.url, api_version="v1"))


def vertex_client(vertex: FakeProvider, location: str = "global") -> Client:
    return Client(
        vertexai=True,
        project=PROJECT,
        location=location,
        credentials=Credentials("token-of-the-client"),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=vertex.url, api_version="v1"),
    )


def ask(google: Client, contents: Any, config: types.GenerateContentConfig, *, stream: bool) -> None:
    if stream:
        assert list(google.models.generate_content_stream(model="gemini", contents=contents, config=config))
    else:
        assert google.models.generate_content(model="gemini", contents=contents, config=config).candidates


async def ours(
    fake: FakeProvider, service: str, task_type: str, ask: Chat | list[str], *, stream: bool = False, **settings: Any
) -> Request:
    """Return the request that the gateway sends: a chat, or texts to embed."""
    task_settings = settings.pop("task_settings", None)
    async with client(service_urls={service: fake.url, f"{service}.token": fake.url}) as http:
        provider = bound(service, http, task_type, {"model_id": "gemini", **settings}, task_settings)
        if isinstance(ask, list):
            await provider.embed(ask, "search")
        elif stream:
            [None async for _ in provider.stream(ask)]
        else:
            await provider.complete(ask)
    return fake.last


def path_of(request: Request) -> str:
    """Return the path without the key, which the client sends as a header."""
    return request.path.replace(f"key={API_KEY}&", "").removesuffix(f"?key={API_KEY}")


def camel(value: Any) -> Any:
    """Write the names of Google's fields as its documentation does; the values of `args` and such have none here."""
    if isinstance(value, Mapping):
        return {_camel(name): camel(item) for name, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_of_ai_studio(studio: FakeProvider, stream: bool) -> None:
    sent = await ours(studio, "googleaistudio", "completion", user_message("hi"), stream=stream, api_key=API_KEY)
    with studio_client(studio) as google:
        ask(google, "hi", COMPLETION, stream=stream)
    assert sent.json() == studio.last.json()
    assert (sent.method, path_of(sent)) == (studio.last.method, studio.last.path)
    assert sent.headers["content-type"] == studio.last.headers["content-type"]


async def test_embeddings_of_ai_studio(studio: FakeProvider) -> None:
    model, texts = "embedding-001", ["a", "b"]
    sent = await ours(studio, "googleaistudio", "text_embedding", texts, api_key=API_KEY, model_id=model)
    contents: Any = [types.Content(parts=[types.Part(text=text)]) for text in texts]
    with studio_client(studio) as google:
        config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY")
        assert google.models.embed_content(model=model, contents=contents, config=config).embeddings
    assert sent.json() == studio.last.json()
    assert (sent.method, path_of(sent)) == (studio.last.method, studio.last.path)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_of_vertex_ai(vertex: FakeProvider, stream: bool) -> None:
    settings: dict[str, Any] = {"service_account_json": key_file(), "project_id": PROJECT}
    sent = await ours(vertex, "googlevertexai", "chat_completion", CHAT, stream=stream, **settings)
    token = sent.headers["authorization"].removeprefix("Bearer ")
    with vertex_client(vertex) as google:
        ask(google, CONTENTS, CONFIG, stream=stream)
    assert sent.json() == camel(vertex.last.json())
    assert (sent.method, sent.path) == (vertex.last.method, vertex.last.path)
    assert token in vertex.tokens


async def test_embeddings_of_vertex_ai(vertex: FakeProvider) -> None:
    settings: dict[str, Any] = {
        "service_account_json": key_file(),
        "project_id": PROJECT,
        "model_id": "text-embedding-005",
    }
    settings |= {"location": "us-central1", "task_settings": {"auto_truncate": False}}
    sent = await ours(vertex, "googlevertexai", "text_embedding", ["a", "b"], dimensions=3, **settings)
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=3, auto_truncate=False)
    with vertex_client(vertex, "us-central1") as google:
        answer = google.models.embed_content(model="text-embedding-005", contents=["a", "b"], config=config)
    assert len(answer.embeddings or ()) == 2
    assert sent.json() == vertex.last.json()
    assert (sent.method, sent.path) == (vertex.last.method, vertex.last.path)


@pytest.mark.parametrize("stream", [False, True])
async def test_claude_on_vertex_ai(vertex: FakeProvider, stream: bool) -> None:
    """The client names a newer version of the API by itself."""
    method = "streamRawPredict" if stream else "rawPredict"
    url = f"{vertex.url}/v1/projects/{PROJECT}/locations/us-east5/publishers/anthropic/models/claude:{method}"
    settings: dict[str, Any] = {"service_account_json": key_file(), "provider": "anthropic", "url": url}
    chat = Chat((Message("system", "Be brief."), Message("user", "hi")), max_completion_tokens=9)
    sent = await ours(vertex, "googlevertexai", "chat_completion", chat, stream=stream, **settings)
    with AnthropicVertex(
        region="us-east5",
        project_id=PROJECT,
        access_token="token-of-the-client",
        base_url=f"{vertex.url}/v1",
        max_retries=0,
    ) as anthropic:
        answer = anthropic.messages.create(
            model="claude",
            max_tokens=9,
            system="Be brief.",
            messages=[{"role": "user", "content": "hi"}],
            stream=stream,
            extra_body={"anthropic_version": "vertex-2023-10-16"},
        )
        if stream:
            assert list(answer)
    expected = {name: value for name, value in vertex.last.json().items() if value is not False}
    assert sent.json() == expected
    assert (sent.method, sent.path) == (vertex.last.method, vertex.last.path)
