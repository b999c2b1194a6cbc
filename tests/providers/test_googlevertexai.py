"""The `googlevertexai` service: its settings, what it asks Google, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chat, FunctionCall, Message, Provider, Ranked, ToolCall, Usage, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import Parsed, declared, nested, parse
from tests.fakes import googlevertexai
from tests.fakes.googlevertexai import PROJECT, key_file, pem, private_key
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid, StatusError

VERTEX = load("googlevertexai")
KEY = {"service_account_json": key_file()}
REQUIRED = {**KEY, "project_id": PROJECT, "model_id": "gemini-2.5-flash"}
REQUEST = "for request from inference entity id [my-endpoint]"
TOOL = {
    "type": "function",
    "function": {"name": "get_capital", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_capital", "arguments": '{"country":"UK"}'}}


@pytest.fixture
def google() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=googlevertexai.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(
    google: FakeProvider,
    model: str = "gemini",
    task_type: str = "completion",
    task_settings: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    async with client(service_urls={"googlevertexai": google.url, "googlevertexai.token": google.url}) as http:
        given = {**KEY, **(settings if "provider" in settings else {**REQUIRED, "model_id": model, **settings})}
        provider = bound("googlevertexai", http, task_type, given, task_settings)
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


async def sent(google: FakeProvider, chat: Chat, task_settings: dict[str, Any] | None = None) -> Any:
    """Return the body with which `chat` is asked for."""
    async with endpoint(google, "gemini", "chat_completion", task_settings) as provider:
        await provider.complete(chat)
    return google.last.json()


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(VERTEX.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


def without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


@pytest.mark.parametrize(
    ("task_type", "given", "defaults"),
    [
        ("completion", REQUIRED, {"provider": "google", "rate_limit": {"requests_per_minute": 1000}}),
        ("chat_completion", REQUIRED, {"provider": "google", "rate_limit": {"requests_per_minute": 1000}}),
        (
            "text_embedding",
            REQUIRED,
            {"max_batch_size": 250, "similarity": "dot_product", "rate_limit": {"requests_per_minute": 30000}},
        ),
        ("rerank", without(REQUIRED, "model_id"), {"rate_limit": {"requests_per_minute": 30000}}),
    ],
)
def test_the_least_that_is_needed_gets_its_defaults(
    task_type: str, given: dict[str, Any], defaults: dict[str, Any]
) -> None:
    parsed = service(given, task_type)
    assert texts(parsed) == []
    shown = nested(VERTEX.service_settings, parsed.values, task_type)
    assert shown == {**without(given, "service_account_json"), **defaults}


MODEL_NEEDED = (
    "For Google Vertex AI models, you must provide 'location', 'project_id', and 'model_id'. Provided values: "
)
URLS_REFUSED = (
    "'provider' is either GOOGLE or null. For Google Vertex AI models 'uri' and 'streaming_uri' must not be provided. "
    "Remove 'url' and 'streaming_url' fields. Provided values: "
)
BAD_KEY = "[service_settings] Invalid value received. [service_account_json] must be the JSON key file of a service account, but "


@pytest.mark.parametrize(
    ("task_type", "given", "problem"),
    [
        (
            "completion",
            without(REQUIRED, "service_account_json"),
            "[secret_settings] does not contain the required setting [service_account_json]",
        ),
        (
            "completion",
            {**REQUIRED, "service_account_json": " "},
            "[service_settings] Invalid value empty string. [service_account_json] must be a non-empty string",
        ),
        (
            "completion",
            {**REQUIRED, "service_account_json": "key\x00"},
            "[service_settings] Invalid value received. [service_account_json] must be printable ASCII without line ends",
        ),
        ("completion", {**REQUIRED, "service_account_json": "k"}, BAD_KEY + "it is not a JSON object"),
        (
            "rerank",
            {**REQUIRED, "service_account_json": '{"type": "service_account", "client_email": "a@b"}'},
            BAD_KEY + "it does not have [private_key]",
        ),
        (
            "completion",
            without(REQUIRED, "project_id"),
            MODEL_NEEDED + "location=null, project_id=null, model_id=gemini-2.5-flash",
        ),
        (
            "chat_completion",
            {**KEY, "location": "us-central1", "provider": "google"},
            MODEL_NEEDED + "location=us-central1, project_id=null, model_id=null",
        ),
        (
            "completion",
            {**REQUIRED, "url": "https://a.example/x"},
            URLS_REFUSED + "uri=https://a.example/x, streaming_uri=null",
        ),
        (
            "completion",
            {**KEY, "provider": "meta"},
            "Google Model Garden provider=meta selected. Either 'uri' or 'streaming_uri' must be provided",
        ),
        (
            "completion",
            {**REQUIRED, "provider": "x"},
            "[service_settings] Invalid value [x] received. "
            "[provider] must be one of [ai21, anthropic, google, hugging_face, meta, mistral]",
        ),
        (
            "text_embedding",
            without(REQUIRED, "project_id"),
            "[service_settings] does not contain the required setting [project_id]",
        ),
        (
            "text_embedding",
            without(REQUIRED, "model_id"),
            "[service_settings] does not contain the required setting [model_id]",
        ),
        ("rerank", KEY, "[service_settings] does not contain the required setting [project_id]"),
        (
            "text_embedding",
            {**REQUIRED, "max_batch_size": 251},
            "[service_settings] Invalid value [251]. [max_batch_size] must be less than or equal to [250]",
        ),
        (
            "completion",
            {**REQUIRED, "location": ""},
            "[service_settings] Invalid value empty string. [location] must be a non-empty string",
        ),
        *(
            (
                "completion",
                {**REQUIRED, "location": location},
                f"[service_settings] Invalid value [{location}] received. [location] must be the name of a region",
            )
            for location in ("evil.example/", "a@b", "x#", "[", "us-central1.evil")
        ),
        *(
            (
                "completion",
                {**REQUIRED, "project_id": project},
                f"[service_settings] Invalid value [{project}] received. [project_id] must be the id of a project",
            )
            for project in ("..", "a/b", "p?x")
        ),
    ],
)
def test_what_is_wrong_is_named(task_type: str, given: dict[str, Any], problem: str) -> None:
    assert texts(service(given, task_type)) == [problem]


def test_all_problems_are_named_at_once() -> None:
    assert len(texts(service({"service_account_json": "k", "location": "a/b", "url": "no url"}))) == 4


@pytest.mark.parametrize(
    ("task_type", "given", "hosts"),
    [
        ("completion", REQUIRED, "aiplatform.googleapis.com:443"),
        ("completion", {**REQUIRED, "location": "us-central1"}, "us-central1-aiplatform.googleapis.com:443"),
        ("text_embedding", {**REQUIRED, "location": "global"}, "aiplatform.googleapis.com:443"),
        ("text_embedding", {**REQUIRED, "location": "eu"}, "aiplatform.eu.rep.googleapis.com:443"),
        ("rerank", REQUIRED, "discoveryengine.googleapis.com:443"),
        (
            "completion",
            {**KEY, "provider": "meta", "url": "https://b.example/x", "streaming_url": "http://a.example:81/y"},
            "a.example:81 b.example:443",
        ),
        ("completion", {**REQUIRED, "location": "["}, "[-aiplatform.googleapis.com:443"),
    ],
)
def test_the_key_is_bound_to_where_its_tokens_go(task_type: str, given: dict[str, Any], hosts: str) -> None:
    destinations = VERTEX.service_settings.destinations(service(given, task_type).values, task_type)
    assert destinations == {"service_account_json": hosts}


def test_task_settings_are_those_of_the_task_type() -> None:
    given: dict[str, dict[str, Any]] = {
        "completion": {"thinking_config": {"thinking_budget": 0}, "max_tokens": 5},
        "text_embedding": {"auto_truncate": True, "input_type": "search"},
        "rerank": {"top_n": 2},
    }
    for task_type, settings in given.items():
        parsed = parse(VERTEX.task_settings, task_type, settings)
        assert (texts(parsed), parsed.unknown) == ([], {})
        assert nested(VERTEX.task_settings, parsed.values, task_type) == settings
    assert parse(VERTEX.task_settings, "rerank", given["completion"]).unknown == given["completion"]
    problem = "[task_settings] Invalid value [0]. [max_tokens] must be a positive integer"
    assert texts(parse(VERTEX.task_settings, "completion", {"max_tokens": 0})) == [problem]


def test_the_listing_says_what_elasticsearch_says() -> None:
    listed = [(one.key, one.label, one.listed_required) for one in declared(VERTEX.service_settings) if one.listed]
    assert listed == [
        ("service_account_json", "Credentials JSON", True),
        ("project_id", "GCP Project", True),
        ("location", "GCP Region", True),
        ("model_id", "Model ID", True),
        ("provider", "Provider", False),
        ("url", "URL", False),
        ("streaming_url", "Streaming URL", False),
        ("rate_limit.requests_per_minute", "Rate Limit", False),
    ]
    assert not [one.key for one in declared(VERTEX.task_settings) if one.listed]


@pytest.mark.parametrize(
    ("task_type", "more", "url"),
    [
        (
            "completion",
            {"model_id": "a/b c"},
            "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/"
            "publishers/google/models/a%2Fb%20c:streamGenerateContent?alt=sse",
        ),
        (
            "chat_completion",
            {"location": "us-central1"},
            "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/global/"
            "publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        (
            "text_embedding",
            {"location": "us-central1"},
            "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/us-central1/"
            "publishers/google/models/gemini-2.5-flash:predict",
        ),
        (
            "text_embedding",
            {},
            "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/"
            "publishers/google/models/gemini-2.5-flash:predict",
        ),
        (
            "rerank",
            {"project_id": "example.com:p"},
            "https://discoveryengine.googleapis.com/v1/projects/example.com%3Ap/locations/global/"
            "rankingConfigs/default_ranking_config:rank",
        ),
    ],
)
def test_without_another_address_google_itself_is_asked(task_type: str, more: dict[str, Any], url: str) -> None:
    provider = bound("googlevertexai", HttpClient(PrivateHosts()), task_type, {**REQUIRED, **more})
    assert provider.url(stream=True) == url  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "once", "stream"),
    [
        ({"url": "https://a.example/x"}, "https://a.example/x", "https://a.example/x"),
        ({"streaming_url": "https://a.example/y"}, "https://a.example/y", "https://a.example/y"),
        (
            {"url": "https://a.example/x", "streaming_url": "https://a.example/y"},
            "https://a.example/x",
            "https://a.example/y",
        ),
    ],
)
def test_a_model_of_the_garden_has_urls_of_its_own(given: dict[str, Any], once: str, stream: str) -> None:
    provider = bound("googlevertexai", HttpClient(PrivateHosts()), settings={**KEY, "provider": "mistral", **given})
    assert (provider.url(), provider.url(stream=True)) == (once, stream)  # type: ignore[attr-defined]


def test_ranking_may_have_an_address_of_its_own() -> None:
    urls = {"googlevertexai": "http://models.example/p"}
    for rerank_url in ("http://models.example/p", "http://ranking.example"):
        provider = bound("googlevertexai", HttpClient(PrivateHosts(), service_urls=urls), "rerank", REQUIRED)
        assert provider.url().startswith(f"{rerank_url}/v1/projects/")  # type: ignore[attr-defined]
        urls = {**urls, "googlevertexai.rerank": "http://ranking.example"}


async def test_a_completion_is_asked_for_as_elasticsearch_does(google: FakeProvider) -> None:
    async with endpoint(google, location="us-central1") as provider:
        completion = await provider.complete(user_message("hi there"))
        assert text_of(await streamed(provider, "hi there")) == "hi there"
    assert (completion.texts, completion.finish_reason, completion.usage) == (["hi there"], "stop", Usage(6, 2, 8))
    start = "/v1/projects/my-project/locations/global/publishers/google/models/gemini:"
    assert [request.path for request in google.requests] == [
        *("/token", f"{start}generateContent", f"{start}streamGenerateContent?alt=sse")
    ]
    body = b'{"contents":[{"role":"user","parts":[{"text":"hi there"}]}]}'
    assert [request.body for request in google.requests[1:]] == [body, body]


async def test_a_chat_is_asked_for_with_all_its_fields(google: FakeProvider) -> None:
    chat = Chat(
        messages=(
            Message("system", "be brief"),
            Message("user", [{"type": "text", "text": "Capital "}, {"type": "text", "text": "of the UK?"}]),
            Message("assistant", "Wait.", tool_calls=[CALL, {**CALL, "id": "call_2"}]),
            Message("tool", '{"name": "London"}', tool_call_id="call_1"),
            Message("tool", "London", tool_call_id="call_2"),
            Message("system", [{"type": "text", "text": "be polite"}]),
        ),
        max_completion_tokens=100,
        stop=["END"],
        temperature=0,
        top_p=0.5,
        tool_choice={"type": "function", "function": {"name": "get_capital"}},
        tools=[TOOL],
    )
    call = {"functionCall": {"name": "get_capital", "args": {"country": "UK"}}}
    results = ({"name": "London"}, {"result": "London"})
    assert await sent(google, chat, {"thinking_config": {"thinking_budget": 256}}) == {
        "contents": [
            {"role": "user", "parts": [{"text": "Capital "}, {"text": "of the UK?"}]},
            {"role": "model", "parts": [{"text": "Wait."}, call, call]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "get_capital", "response": result}} for result in results],
            },
        ],
        "generationConfig": {
            "stopSequences": ["END"],
            "temperature": 0,
            "maxOutputTokens": 100,
            "topP": 0.5,
            "thinkingConfig": {"thinkingBudget": 256},
        },
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "get_capital", "description": "d", "parameters": {"type": "object"}},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_capital"]}},
        "systemInstruction": {"parts": [{"text": "be brief"}, {"text": "be polite"}]},
    }


@pytest.mark.parametrize(
    ("reasoning", "config"),
    [
        (None, {"thinkingBudget": 5}),
        ({"effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        ({"effort": "low", "exclude": True}, {"thinkingBudget": 1024}),
        ({"effort": "none"}, {"thinkingBudget": 0}),
        ({"enabled": True}, {"thinkingBudget": 5, "includeThoughts": True}),
    ],
)
async def test_reasoning_goes_over_the_thinking_budget(
    google: FakeProvider, reasoning: dict[str, Any] | None, config: dict[str, Any]
) -> None:
    chat = Chat((Message("user", "x"),), reasoning=reasoning)
    body = await sent(google, chat, {"thinking_config": {"thinking_budget": 5}})
    assert body["generationConfig"] == {"thinkingConfig": config}


@pytest.mark.parametrize(
    ("chat", "problem"),
    [
        (
            Chat((Message("critic", "x"),)),
            "Role [critic] not supported by Google VertexAI ChatCompletion. Supported roles: [user, assistant]",
        ),
        (
            Chat((Message("user", [{"type": "image_url", "image_url": {"url": "data:"}}]),)),
            "Type [image_url] not supported by Google VertexAI ChatCompletion. Supported types: [text]",
        ),
        (
            Chat((Message("system", ""), Message("user", "x"))),
            "A system message must not be empty for Google VertexAI ChatCompletion",
        ),
        (
            Chat((Message("user", "x"),), tools=[{"type": "search"}]),
            "Tool type [search] not supported by Google VertexAI ChatCompletion. Supported tool types: [function]",
        ),
        (
            Chat((Message("user", "x"),), tool_choice="required"),
            "Tool choice [required] not supported by Google VertexAI ChatCompletion. "
            "Supported tool choices: [auto] and the name of a function",
        ),
        (
            Chat((Message("tool", "x", tool_call_id="call_9"),)),
            "No tool call before the tool message has its tool_call_id [call_9]",
        ),
        (
            Chat((Message("assistant", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{"}}]),)),
            "The arguments of the tool call [f] are not a JSON object",
        ),
    ],
)
async def test_what_gemini_cannot_do_is_said(google: FakeProvider, chat: Chat, problem: str) -> None:
    async with endpoint(google, "gemini", "chat_completion") as provider:
        with pytest.raises(StatusError) as error:
            await anext(provider.stream(chat))
    assert (error.value.reason, error.value.status) == (problem, 400)
    assert google.requests == []


async def test_messages_without_content_are_left_out(google: FakeProvider) -> None:
    chat = Chat((Message("assistant", ""), Message("user", "x")), tool_choice="auto")
    assert await sent(google, chat) == {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}


async def test_a_call_comes_whole_and_its_signature_goes_back_with_it(google: FakeProvider) -> None:
    question = Message("user", "Capital of the UK?")
    async with endpoint(google, "tool", "chat_completion") as provider:
        batches = [batch async for batch in provider.stream(Chat((question,), tools=[TOOL]))]
        choices = [choice for batch in batches for chunk in batch for choice in chunk.choices]
        calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
        call_id = "call_8e97asPMLaS4qtsP7oGv4Ag_0~EpwICpkI+XLI2nxl/g=="
        assert calls == [ToolCall(0, call_id, "function", FunctionCall("get_capital", '{"country":"UK"}'))]
        assert choices[-1].finish_reason == "tool_calls"
        answer = Message("assistant", tool_calls=[{**CALL, "id": call_id}])
        result = Message("tool", "London", tool_call_id=call_id)
        completion = await provider.complete(Chat((question, answer, result), tools=[TOOL]))
    assert (completion.tool_calls, completion.finish_reason) == (calls, "tool_calls")
    said, told = google.last.json()["contents"][1:]
    assert said["parts"] == [
        {
            "functionCall": {"name": "get_capital", "args": {"country": "UK"}},
            "thoughtSignature": "EpwICpkI+XLI2nxl/g==",
        }
    ]
    assert told["parts"] == [{"functionResponse": {"name": "get_capital", "response": {"result": "London"}}}]


@pytest.mark.parametrize(("task_type", "status"), [("completion", 400), ("chat_completion", 500)])
async def test_an_error_midway_has_the_status_of_its_task_type(
    google: FakeProvider, task_type: str, status: int
) -> None:
    async with endpoint(google, "fails-plainly", task_type) as provider:
        with pytest.raises(ProviderError, match=f"{REQUEST[:20]}.*The model is overloaded") as error:
            await streamed(provider)
    assert (error.value.status, error.value.code, error.value.provider_type) == (status, "503", "UNAVAILABLE")


@pytest.mark.parametrize("model", ["cut", "drop"])
async def test_an_answer_that_is_cut_off_is_an_error(google: FakeProvider, model: str) -> None:
    async with endpoint(google, model) as provider:
        with pytest.raises(ProviderError, match=r"chat completion answer .* was cut off"):
            await streamed(provider)


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (403, 403, "Received a permission denied error status code"),
        (429, 429, "Received a rate limit status code"),
        (500, 400, "Received a server error status code"),
        (503, 400, "The Google Vertex AI service may be temporarily overloaded or down"),
    ],
)
async def test_each_status_has_its_words_and_the_token_is_in_none(
    google: FakeProvider, status: int, shown: int, prefix: str
) -> None:
    async with endpoint(google, f"error-{status}") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    assert error.value.reason.startswith(
        f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***"
    )
    assert error.value.status == shown


async def test_claude_is_asked_as_anthropic_wants_it(google: FakeProvider) -> None:
    url = f"{google.url}/v1/anthropic:rawPredict"
    async with endpoint(google, provider="anthropic", url=url) as provider:
        assert text_of(await streamed(provider, "hello")) == "hello"
        assert google.last.json() == {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 1024,
            "anthropic_version": "vertex-2023-10-16",
            "stream": True,
        }
        completion = await provider.with_task_settings({"max_tokens": 7}).complete(user_message("hello"))
    assert (completion.texts, completion.finish_reason) == (["hello"], "stop")
    assert google.last.path == "/v1/anthropic:rawPredict"
    assert google.last.json() == {
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 7,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert google.last.headers["authorization"].removeprefix("Bearer ") in google.tokens
    assert not {"x-api-key", "anthropic-version"} & set(google.last.headers)


@pytest.mark.parametrize(
    ("maker", "model", "options"),
    [
        ("meta", "llama-4", {"include_usage": True}),
        ("hugging_face", None, {"include_usage": True}),
        ("mistral", "mistral-medium", None),
        ("ai21", "jamba", None),
    ],
)
async def test_other_makers_are_asked_as_openai_would_be(
    google: FakeProvider, maker: str, model: str | None, options: dict[str, Any] | None
) -> None:
    settings: dict[str, Any] = {"provider": maker, "streaming_url": f"{google.url}/v1/openapi/chat/completions"}
    settings |= {"model_id": model} if model else {}
    async with endpoint(google, "", "chat_completion", **settings) as provider:
        chat = Chat((Message("user", "hello"),), max_completion_tokens=9)
        batches = [batch async for batch in provider.stream(chat)]
        assert text_of([chunk for batch in batches for chunk in batch]) == "hello"
        expected = {
            "messages": [{"content": "hello", "role": "user"}],
            "model": model,
            "n": 1,
            "stream": True,
            "stream_options": options,
            "max_tokens": 9,
        }
        assert google.last.json() == {name: value for name, value in expected.items() if value is not None}
        assert (await provider.complete(chat)).texts == ["hello"]


@pytest.mark.parametrize(
    ("maker", "path", "reason"),
    [
        (
            "anthropic",
            "anthropic-error-429",
            r"Received a rate limit status code. Token limit \[unknown\].*Retry after",
        ),
        ("anthropic", "anthropic-error-529", "Received an Anthropic server is temporarily overloaded status code"),
        ("meta", "error-429/chat/completions", r"Received a rate limit status code. Token limit \[unknown\]"),
        ("meta", "error-503/chat/completions", "Received a server busy error status code"),
    ],
)
async def test_refusals_of_the_garden_are_read_as_those_of_its_makers(
    google: FakeProvider, maker: str, path: str, reason: str
) -> None:
    async with endpoint(google, provider=maker, url=f"{google.url}/{path}") as provider:
        with pytest.raises(ProviderError, match=f"{reason}.*fake failure"):
            await streamed(provider)


async def test_an_embedding_is_asked_for_with_what_was_set(google: FakeProvider) -> None:
    settings = {"location": "us-central1", "dimensions": 4, "max_input_tokens": 1}
    task_settings = {"auto_truncate": False, "input_type": "ingest"}
    async with endpoint(google, "gemini-embedding-001", "text_embedding", task_settings, **settings) as provider:
        embeddings = await provider.embed(["a", "much too long"])
        assert google.last.json() == {
            "instances": [{"content": text, "task_type": "RETRIEVAL_DOCUMENT"} for text in ("a", "muc")],
            "parameters": {"autoTruncate": False, "outputDimensionality": 4},
        }
        await provider.embed(["a"], "search")
    assert embeddings.vectors == [[1.0, 0.5, 0.5, 0.5], [3.0, 0.5, 0.5, 0.5]]
    assert embeddings.usage == Usage(prompt_tokens=4, total_tokens=4)
    assert google.last.json()["instances"] == [{"content": "a", "task_type": "RETRIEVAL_QUERY"}]
    path = "/v1/projects/my-project/locations/us-central1/publishers/google/models/gemini-embedding-001:predict"
    assert google.last.path == path


async def test_what_was_not_set_is_not_sent(google: FakeProvider) -> None:
    async with endpoint(google, "text-embedding-005", "text_embedding") as provider:
        await provider.embed(["a"])
    assert google.last.body == b'{"instances":[{"content":"a"}]}'


async def test_inputs_are_sent_in_batches_of_the_size_that_was_set(google: FakeProvider) -> None:
    async with endpoint(google, "text-embedding-005", "text_embedding", max_batch_size=2) as provider:
        embeddings = await provider.embed(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [vector[0] for vector in embeddings.vectors] == [1, 2, 3, 4, 5]
    assert [len(request.json()["instances"]) for request in google.requests[1:]] == [2, 2, 1]


async def test_documents_are_ranked(google: FakeProvider) -> None:
    async with endpoint(google, "semantic-ranker", "rerank", {"top_n": 2}) as provider:
        ranked = await provider.rerank("q", ["a", "ccc", "bb"], top_n=None, return_documents=None)
        assert ranked == [Ranked(1, 0.03, "ccc"), Ranked(2, 0.02, "bb")]
        assert google.last.json() == {
            "model": "semantic-ranker",
            "query": "q",
            "records": [{"id": "0", "content": "a"}, {"id": "1", "content": "ccc"}, {"id": "2", "content": "bb"}],
            "topN": 2,
        }
        ranked = await provider.rerank("q", ["a", "ccc"], top_n=1, return_documents=False)
    assert ranked == [Ranked(1, 0.03)]
    assert google.last.path == "/v1/projects/my-project/locations/global/rankingConfigs/default_ranking_config:rank"
    assert google.last.json()["topN"] == 1
    assert google.last.json()["ignoreRecordDetailsInResponse"] is True


@pytest.mark.parametrize(
    ("model", "cause"),
    [("empty", r"Required \[records\]"), ("bad-ids", "an id in the answer is not that of a document")],
)
async def test_a_ranking_that_cannot_be_read_is_an_error(google: FakeProvider, model: str, cause: str) -> None:
    async with endpoint(google, model, "rerank") as provider:
        with pytest.raises(ProviderError, match=f"Google Vertex AI rerank request .*{cause}"):
            await provider.rerank("q", ["a"], top_n=None, return_documents=None)


async def test_an_answer_without_vectors_is_an_error(google: FakeProvider) -> None:
    async with endpoint(google, "empty", "text_embedding") as provider:
        with pytest.raises(ProviderError, match=r"Google Vertex AI embeddings request .*Required \[predictions\]"):
            await provider.embed(["a"])


def test_task_settings_of_a_request_are_checked() -> None:
    provider = bound("googlevertexai", HttpClient(PrivateHosts()), settings=REQUIRED)
    with pytest.raises(SettingsInvalid, match="must be a positive integer"):
        provider.with_task_settings({"max_tokens": 0})
    given = provider.with_task_settings({"thinking_config": {"thinking_budget": 9}})
    assert (given.tasks.thinking_budget, provider.tasks.thinking_budget) == (9, None)


def test_the_key_is_in_no_text_of_a_provider() -> None:
    provider = bound("googlevertexai", HttpClient(PrivateHosts()), settings=REQUIRED)
    for shown in (repr(provider), repr(provider.binding), repr(provider.settings), repr(vars(provider))):
        assert "PRIVATE KEY" not in shown
    assert pem(private_key()) in provider.secrets()  # type: ignore[attr-defined]
