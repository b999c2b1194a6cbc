"""The `azureopenai` service: its settings, what it asks Azure, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chat, Chunk, Message, Provider, Usage, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import Parsed, declared, nested, parse
from tests.fakes import azureopenai
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid, StatusError

AZURE = load("azureopenai")
PLACE = {"resource_name": "my-resource", "deployment_id": "gpt-5", "api_version": "2024-10-21"}
KEY = {"api_key": "key-0123456789"}
OAUTH = {"client_id": "app", "client_secret": "s3cret-of-app", "scopes": ["a/.default"], "tenant_id": "my-tenant"}
EXACTLY_ONE = "[secret_settings] must have exactly one of [api_key], [entra_id], or [client_secret] field set"
SAFE = "[service_settings] Invalid value"


@pytest.fixture
def azure() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=azureopenai.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(
    azure: FakeProvider,
    deployment: str = "gpt-5",
    task_type: str = "completion",
    task_settings: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    given = {**PLACE, "deployment_id": deployment, **(settings or {"api_key": azure.api_key})}
    if not {"api_key", "entra_id", "client_secret"} & given.keys():
        given["api_key"] = azure.api_key
    async with client(service_urls={"azureopenai": azure.url}) as http:
        provider = bound("azureopenai", http, task_type, given, task_settings)
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(AZURE.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


@pytest.mark.parametrize("secret", [KEY, {"entra_id": "eyJ0"}, OAUTH])
def test_each_way_to_prove_who_asks_is_enough(secret: dict[str, Any]) -> None:
    parsed = service({**PLACE, **secret})
    assert texts(parsed) == []
    assert parsed.unknown == {}
    shown = {name: value for name, value in secret.items() if name in ("client_id", "scopes", "tenant_id")}
    assert nested(AZURE.service_settings, parsed.values, "completion") == {
        **shown,
        **PLACE,
        "rate_limit": {"requests_per_minute": 120},
    }


def test_embeddings_have_defaults_of_their_own() -> None:
    parsed = service({**PLACE, **KEY, "dimensions": 256, "max_input_tokens": 10}, "text_embedding")
    assert nested(AZURE.service_settings, parsed.values, "text_embedding") == {
        **PLACE,
        "dimensions": 256,
        "similarity": "dot_product",
        "max_input_tokens": 10,
        "rate_limit": {"requests_per_minute": 1440},
    }


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (
            {},
            [
                *(f"[service_settings] does not contain the required setting [{name}]" for name in PLACE),
                EXACTLY_ONE,
            ],
        ),
        (PLACE, [EXACTLY_ONE]),
        ({**PLACE, **KEY, "entra_id": "eyJ0"}, [f"{EXACTLY_ONE}, received: [api_key, entra_id]"]),
        ({**PLACE, **KEY, **OAUTH}, [f"{EXACTLY_ONE}, received: [api_key, client_secret]"]),
        (
            {**PLACE, "client_secret": "s3cret", "client_id": "app"},
            [
                "[service_settings] all Azure OpenAI OAuth2 fields must be provided together; missing: [scopes, tenant_id]"
            ],
        ),
        (
            {**PLACE, **KEY, "client_id": "app", "scopes": ["a"], "tenant_id": "t"},
            ["[service_settings] all Azure OpenAI OAuth2 fields must be provided together; missing: [client_secret]"],
        ),
        (
            {**PLACE, **KEY, "deployment_id": ".."},
            [f"{SAFE} [..]. [deployment_id] must not be a step in a path"],
        ),
        (
            {**PLACE, "api_key": "key\r\nX: y"},
            ["[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends"],
        ),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], problems: list[str]) -> None:
    assert texts(service(given)) == problems


@pytest.mark.parametrize("name", ["evil.example/", "a.b", "user@evil", "a b", "-a", "a-", "ä", "a" * 64, "[", "a:1"])
def test_a_resource_is_one_part_of_a_host_name(name: str) -> None:
    """Anything else would send the key to a host of the caller's choice."""
    assert texts(service({**PLACE, **KEY, "resource_name": name})) == [
        f"{SAFE} [{name}]. [resource_name] must be the first part of a host name: letters, digits and hyphens"
    ]


def test_whether_dimensions_were_set_is_not_the_callers_to_say() -> None:
    assert service({**PLACE, **KEY, "dimensions_set_by_user": True}).unknown == {"dimensions_set_by_user": True}


@pytest.mark.parametrize(
    ("before", "given", "problems"),
    [
        (KEY, {"api_key": "another"}, []),
        (OAUTH, {"client_secret": "another", "tenant_id": "another"}, []),
        (
            KEY,
            {"entra_id": "eyJ0"},
            ["[secret_settings] only [api_key] can be updated for this secret, received: [entra_id]"],
        ),
        (
            {"entra_id": "eyJ0"},
            {"api_key": "key", "entra_id": None},
            ["[secret_settings] only [entra_id] can be updated for this secret, received: [api_key]"],
        ),
        (
            KEY,
            {"client_id": "app"},
            [
                "Cannot update OAuth2 fields as the service was not configured with OAuth2 settings. "
                "Please create a new Inference Endpoint with the OAuth2 settings instead."
            ],
        ),
    ],
)
def test_an_update_keeps_the_way_to_prove_who_asks(
    before: dict[str, Any], given: dict[str, Any], problems: list[str]
) -> None:
    old = service({**PLACE, **before}).values
    found = AZURE.service_settings.check_update(old, {**old, **given})
    assert [problem.text for problem in found] == problems


def test_each_secret_goes_to_one_host() -> None:
    destinations = AZURE.service_settings.destinations
    resource = "my-resource.openai.azure.com:443"
    expected = {"api_key": resource, "entra_id": resource, "headers": resource}
    expected["client_secret"] = "login.microsoftonline.com:443"
    assert destinations(service({**PLACE, **KEY}).values, "completion") == expected
    other = destinations({"resource_name": "Other"}, "completion")
    assert other["api_key"] == "other.openai.azure.com:443"
    # An update may bring anything before it is refused.
    assert destinations({"resource_name": "[/"}, "completion")
    settings = [*declared(AZURE.service_settings), *declared(AZURE.task_settings)]
    assert {one.name for one in settings if one.is_encrypted} == expected.keys()


async def test_a_completion_is_asked_for_without_a_model(azure: FakeProvider) -> None:
    async with endpoint(azure, task_settings={"user": "u-1", "headers": {"X-Team": "search"}}) as provider:
        assert text_of(await streamed(provider, "hi there")) == "hi there"
    assert azure.last.path == "/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21"
    assert azure.last.body == (
        b'{"messages":[{"content":"hi there","role":"user"}],"n":1,"stream":true,'
        b'"stream_options":{"include_usage":true},"user":"u-1"}'
    )
    assert azure.last.headers["api-key"] == azure.api_key
    assert azure.last.headers["x-team"] == "search"
    assert azure.last.headers["accept"] == "text/event-stream"
    assert "authorization" not in azure.last.headers


async def test_the_public_address_is_that_of_the_resource() -> None:
    provider = bound("azureopenai", HttpClient(PrivateHosts()), settings={**PLACE, **KEY, "resource_name": "My-Res"})
    path = "/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21"
    assert provider.url() == f"https://my-res.openai.azure.com{path}"  # type: ignore[attr-defined]


async def test_an_address_of_the_gateway_keeps_its_prefix(azure: FakeProvider) -> None:
    http = HttpClient(PrivateHosts(), service_urls={"azureopenai": "https://proxy.example/azure"})
    provider = bound("azureopenai", http, "text_embedding", {**PLACE, **KEY})
    path = "/azure/openai/deployments/gpt-5/embeddings?api-version=2024-10-21"
    assert provider.url() == f"https://proxy.example{path}"  # type: ignore[attr-defined]


async def test_names_are_percent_encoded(azure: FakeProvider) -> None:
    async with endpoint(azure, "a/../b?c#d ä%", api_version="2024&x=1#") as provider:
        assert text_of(await streamed(provider, "hi")) == "hi"
    path = "/openai/deployments/a%2F..%2Fb%3Fc%23d%20%C3%A4%25/chat/completions?api-version=2024%26x%3D1%23"
    assert azure.last.path == path


async def test_a_chat_is_asked_for_with_all_its_fields(azure: FakeProvider) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = Chat(
        messages=(
            Message("system", "be brief"),
            Message("assistant", None, tool_calls=[call]),
            Message("tool", "4", tool_call_id="call_1"),
        ),
        max_completion_tokens=100,
        stop=["END"],
        temperature=0,
        top_p=0.5,
        tool_choice="auto",
        tools=[{"type": "function", "function": {"name": "f"}}],
        reasoning={"effort": "low"},
    )
    async with endpoint(azure, task_type="chat_completion") as provider:
        async for _ in provider.stream(chat):
            pass
    assert azure.last.json() == {
        "messages": [
            {"content": "be brief", "role": "system"},
            {"role": "assistant", "tool_calls": [call]},
            {"content": "4", "role": "tool", "tool_call_id": "call_1"},
        ],
        "stop": ["END"],
        "temperature": 0,
        "tool_choice": "auto",
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "top_p": 0.5,
        "max_completion_tokens": 100,
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
    }


async def test_an_entra_token_is_sent_as_it_is(azure: FakeProvider) -> None:
    azure.tokens.add("eyJ0-given")
    async with endpoint(azure, entra_id="eyJ0-given") as provider:
        assert text_of(await streamed(provider, "hi")) == "hi"
    assert azure.last.headers["authorization"] == "Bearer eyJ0-given"
    assert "api-key" not in azure.last.headers


async def test_a_whole_answer_is_read(azure: FakeProvider) -> None:
    async with endpoint(azure) as provider:
        answer = await provider.complete(user_message("hello"))
    assert (answer.texts, answer.finish_reason) == (["hello"], "stop")
    assert answer.usage == Usage(13, 11, 24, 4, 2)
    assert azure.last.json()["stream"] is False


async def test_verdicts_of_the_content_filter_are_no_answer(azure: FakeProvider) -> None:
    async with endpoint(azure, "filtered") as provider:
        chunks = await streamed(provider)
    assert text_of(chunks) == "so far"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "content_filter"


async def test_tool_calls_come_in_their_pieces(azure: FakeProvider) -> None:
    async with endpoint(azure, "tool-call", "chat_completion") as provider:
        chunks = await streamed(provider)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.name if call.function else "") for call in calls] == [
        (0, "call_1", "get_capital")
    ]


async def test_embeddings_are_in_the_order_of_the_texts(azure: FakeProvider) -> None:
    async with endpoint(azure, task_type="text_embedding", dimensions=2, max_input_tokens=1) as provider:
        answer = await provider.embed(["a", "bbbbb"])
    assert answer.vectors == [[1.0, 0.5], [3.0, 0.5]]
    assert azure.last.json() == {"input": ["a", "bbb"], "dimensions": 2}
    assert azure.last.path == "/openai/deployments/gpt-5/embeddings?api-version=2024-10-21"


async def test_an_input_type_is_refused(azure: FakeProvider) -> None:
    async with endpoint(azure, task_type="text_embedding") as provider:
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[search\]"):
            await provider.embed(["a"], "search")
    assert azure.requests == []


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (
            429,
            429,
            "Received a rate limit status code. Remaining tokens [17]. Remaining requests [unknown].",
        ),
        (400, 400, "Received a bad request status code"),
        (401, 401, "Received an authentication error status code"),
        (500, 400, "Received a server error status code"),
        (503, 400, "Received a server busy error status code"),
    ],
)
async def test_a_refusal_has_azures_words_and_no_key(azure: FakeProvider, status: int, shown: int, prefix: str) -> None:
    async with endpoint(azure, f"error:{status}") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    request = f"for request from inference entity id [my-endpoint] status [{status}]"
    assert error.value.reason == f"{prefix} {request}. Error message: [refused for ***]"
    assert (error.value.status, error.value.code) == (shown, "RateLimitReached")


async def test_a_deployment_that_is_not_there_is_named_without_the_query(azure: FakeProvider) -> None:
    async with endpoint(azure, "error:404") as provider:
        with pytest.raises(ProviderError, match=r"Resource not found at \[http://[^?]*/chat/completions\] for"):
            await streamed(provider)


@pytest.mark.parametrize(
    ("deployment", "reason"), [("error-midway", r"Error message: \[it broke\]"), ("cut", "was cut off")]
)
async def test_an_answer_that_breaks_off_is_an_error(azure: FakeProvider, deployment: str, reason: str) -> None:
    chunks: list[Chunk] = []

    async def read(provider: Provider) -> None:
        async for batch in provider.stream(user_message("x")):
            chunks.extend(batch)

    async with endpoint(azure, deployment) as provider:
        with pytest.raises(ProviderError, match=reason):
            await read(provider)
    assert text_of(chunks) == "one"


def test_secrets_are_in_no_text_of_a_provider() -> None:
    provider = bound("azureopenai", HttpClient(PrivateHosts()), settings={**PLACE, **OAUTH})
    key = bound("azureopenai", HttpClient(PrivateHosts()), settings={**PLACE, **KEY})
    for shown in (provider, provider.binding, provider.settings, key.binding, vars(provider)):
        assert "s3cret-of-app" not in repr(shown)
        assert "key-0123456789" not in repr(shown)


async def test_reasoning_without_an_effort_is_refused(azure: FakeProvider) -> None:
    async with endpoint(azure, task_type="chat_completion") as provider:
        with pytest.raises(StatusError, match=r"requires \[reasoning.effort\]"):
            await provider.complete(Chat((Message("user", "x"),), reasoning={"enabled": True}))


def test_the_listing_says_what_elasticsearch_says() -> None:
    settings = [*declared(AZURE.service_settings), *declared(AZURE.task_settings)]
    listed = {one.key: (one.label, one.required, one.secret, one.listed_updatable) for one in settings if one.listed}
    assert listed == {
        "api_key": ("API Key", False, True, True),
        "entra_id": ("Entra ID", False, True, True),
        "client_secret": ("Client Secret", False, True, True),
        "client_id": ("Client ID", False, False, True),
        "scopes": ("Scopes", False, False, True),
        "tenant_id": ("Tenant ID", False, False, True),
        "resource_name": ("Resource Name", True, False, False),
        "deployment_id": ("Deployment ID", True, False, False),
        "api_version": ("API Version", True, False, False),
        "dimensions": ("Dimensions", False, False, False),
        "rate_limit.requests_per_minute": ("Rate Limit", False, False, False),
        "headers": ("Custom Headers", False, False, True),
    }
