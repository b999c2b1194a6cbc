"""The `azureaistudio` service: deployments paid by token and realtime ones, each maker's models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chunk, Provider, Ranked, Usage, user_message
from endpoints.providers._failures import ProviderMessage
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import Parsed, declared, nested, parse
from tests.fakes import azureaistudio
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid

STUDIO = load("azureaistudio")
REQUIRED = {"api_key": "key-0123456789", "target": "https://t.example", "provider": "cohere", "endpoint_type": "token"}
AVAILABLE = {
    *(("completion", "token", provider) for provider in ("openai", "meta", "cohere")),
    *(("completion", "realtime", provider) for provider in ("mistral", "meta", "microsoft_phi", "databricks")),
    *(("text_embedding", "token", provider) for provider in ("openai", "cohere")),
    ("rerank", "token", "cohere"),
}
MAKERS = ("cohere", "databricks", "meta", "microsoft_phi", "mistral", "openai")


@pytest.fixture
def studio() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=azureaistudio.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(
    studio: FakeProvider,
    kind: str = "token",
    task_type: str = "completion",
    task_settings: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    maker, endpoint_type = {
        "token": ("cohere", "token"),
        "realtime": ("mistral", "realtime"),
        "openai": ("openai", "token"),
    }[kind]
    given = {"api_key": studio.api_key, "target": f"{studio.url}/{kind}", "provider": maker}
    async with client() as http:
        provider = bound(
            "azureaistudio", http, task_type, {**given, "endpoint_type": endpoint_type} | settings, task_settings
        )
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(STUDIO.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


def test_the_least_that_is_needed_gets_its_defaults() -> None:
    parsed = service(REQUIRED)
    assert texts(parsed) == []
    shown = {name: value for name, value in REQUIRED.items() if name != "api_key"}
    rate = {"rate_limit": {"requests_per_minute": 240}}
    assert nested(STUDIO.service_settings, parsed.values, "completion") == {**shown, **rate}
    parsed = service(REQUIRED, "text_embedding")
    embedding = {**shown, "similarity": "dot_product", **rate}
    assert nested(STUDIO.service_settings, parsed.values, "text_embedding") == embedding


def test_an_answer_has_sixty_four_tokens_unless_the_endpoint_says_otherwise() -> None:
    values = parse(STUDIO.task_settings, "completion", {}).values
    assert nested(STUDIO.task_settings, values, "completion") == {"max_new_tokens": 64}
    assert nested(STUDIO.task_settings, parse(STUDIO.task_settings, "rerank", {}).values, "rerank") == {}


def test_what_is_missing_is_named_at_once() -> None:
    assert sorted(texts(service({}))) == [
        "[secret_settings] does not contain the required setting [api_key]",
        *(
            f"[service_settings] does not contain the required setting [{name}]"
            for name in ("endpoint_type", "provider", "target")
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"provider": "nobody"},
            "[service_settings] Invalid value [nobody] received. "
            "[provider] must be one of [cohere, databricks, meta, microsoft_phi, mistral, openai]",
        ),
        (
            {"endpoint_type": "free"},
            "[service_settings] Invalid value [free] received. [endpoint_type] must be one of [realtime, token]",
        ),
        (
            {"target": "nowhere"},
            "[service_settings] Invalid url [nowhere] received for field [target]. "
            "Error: unable to parse url [nowhere]. Reason: expected http(s)://host[:port]/path",
        ),
        (
            {"api_key": "key\n"},
            "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], problem: str) -> None:
    assert texts(service({**REQUIRED, **changes})) == [problem]


@pytest.mark.parametrize("task_type", ["completion", "text_embedding", "rerank"])
@pytest.mark.parametrize(("maker", "endpoint_type"), list(product(MAKERS, ("token", "realtime"))))
def test_only_what_a_maker_offers_can_be_asked_for(task_type: str, maker: str, endpoint_type: str) -> None:
    problems = texts(service({**REQUIRED, "provider": maker, "endpoint_type": endpoint_type}, task_type))
    if (task_type, endpoint_type, maker) in AVAILABLE:
        assert problems == []
    elif any((task_type, kind, maker) in AVAILABLE for kind in ("token", "realtime")):
        text = f"The [{endpoint_type}] endpoint type with [{task_type}] task type for provider [{maker}]"
        assert problems == [f"{text} is not available"]
    else:
        assert problems == [f"The [{task_type}] task type for provider [{maker}] is not available"]


def test_the_key_goes_to_the_host_of_the_target() -> None:
    destinations = STUDIO.service_settings.destinations
    assert destinations(service({**REQUIRED, "target": "https://a.example:8443/x"}).values, "completion") == {
        "api_key": "a.example:8443"
    }
    # An update may take the target away before it is refused.
    assert destinations({"target": None}, "completion")
    assert [one.name for one in declared(STUDIO.service_settings) if one.is_encrypted] == ["api_key"]


@pytest.mark.parametrize(
    ("changes", "task_type", "url"),
    [
        ({}, "completion", "https://t.example/v1/chat/completions"),
        ({}, "text_embedding", "https://t.example/v1/embeddings"),
        ({}, "rerank", "https://t.example/v1/rerank"),
        ({"target": "https://t.example/a/?v=1"}, "completion", "https://t.example/a/v1/chat/completions?v=1"),
        ({"provider": "openai", "target": "https://t.example/x?v=1"}, "completion", "https://t.example/x?v=1"),
        ({"provider": "openai", "target": "https://t.example/x"}, "text_embedding", "https://t.example/x"),
        ({"provider": "meta", "endpoint_type": "realtime"}, "completion", "https://t.example"),
    ],
)
def test_each_kind_of_deployment_has_its_address(changes: dict[str, Any], task_type: str, url: str) -> None:
    provider = bound("azureaistudio", HttpClient(PrivateHosts()), task_type, {**REQUIRED, **changes})
    assert provider.url() == url  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("token", "authorization", "KEY"),
        ("realtime", "authorization", "Bearer KEY"),
        ("openai", "api-key", "KEY"),
    ],
)
async def test_each_kind_of_deployment_takes_the_key_elsewhere(
    studio: FakeProvider, kind: str, header: str, value: str
) -> None:
    async with endpoint(studio, kind) as provider:
        assert text_of(await streamed(provider, "hi there")) == "hi there"
    assert studio.last.headers[header] == value.replace("KEY", studio.api_key)


async def test_sampling_is_an_object_of_its_own(studio: FakeProvider) -> None:
    sampling = {"temperature": 1, "top_p": 0.5, "do_sample": True, "max_new_tokens": 10}
    async with endpoint(studio, task_settings=sampling) as provider:
        await streamed(provider, "hi")
    assert studio.last.body == (
        b'{"messages":[{"content":"hi","role":"user"}],'
        b'"parameters":{"temperature":1.0,"top_p":0.5,"do_sample":true,"max_new_tokens":10},"stream":true}'
    )


async def test_stream_is_said_only_where_it_is_wanted(studio: FakeProvider) -> None:
    async with endpoint(studio) as provider:
        answer = await provider.complete(user_message("hi"))
    assert studio.last.body == b'{"messages":[{"content":"hi","role":"user"}],"parameters":{"max_new_tokens":64}}'
    assert (answer.texts, answer.finish_reason, answer.usage) == (["hi"], "stop", Usage(12, 2, 14))


async def test_a_realtime_deployment_has_a_body_and_an_answer_of_its_own(studio: FakeProvider) -> None:
    async with endpoint(studio, "realtime") as provider:
        answer = await provider.complete(user_message("hi"))
        assert text_of(await streamed(provider, "own-events")) == "own-events"
    messages = b'{"input_string":[{"content":"hi","role":"user"}],"parameters":{"max_new_tokens":64}}'
    assert studio.requests[0].body == b'{"input_data":' + messages + b"}"
    assert studio.last.json()["stream"] is True
    assert answer.texts == ("hi",)


async def test_embeddings_are_asked_for(studio: FakeProvider) -> None:
    settings = {"dimensions": 2, "max_input_tokens": 1}
    async with endpoint(studio, "token", "text_embedding", {"user": "u-1"}, **settings) as provider:
        answer = await provider.embed(["a", "bbbbb"])
    assert answer.vectors == [[1.0, 0.5], [3.0, 0.5]]
    assert studio.last.body == b'{"input":["a","bbb"],"user":"u-1","dimensions":2}'


async def test_many_texts_are_embedded_in_several_requests(studio: FakeProvider) -> None:
    async with endpoint(studio, "openai", "text_embedding") as provider:
        answer = await provider.embed(["x" * (place % 7 + 1) for place in range(200)])
    assert [len(request.json()["input"]) for request in studio.requests] == [96, 96, 8]
    assert [vector[0] for vector in answer.vectors] == [place % 7 + 1 for place in range(200)]


async def test_an_input_type_is_refused(studio: FakeProvider) -> None:
    async with endpoint(studio, "token", "text_embedding") as provider:
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[search\]"):
            await provider.embed(["a"], "search")


async def test_texts_are_ranked(studio: FakeProvider) -> None:
    async with endpoint(studio, "token", "rerank") as provider:
        ranked = await provider.rerank("q", ["a", "bbb", "cc"], top_n=None, return_documents=None)
    assert studio.last.body == b'{"query":"q","documents":["a","bbb","cc"]}'
    assert ranked == [Ranked(1, 0.03), Ranked(2, 0.02), Ranked(0, 0.01)]


async def test_what_a_request_says_goes_over_what_the_endpoint_says(studio: FakeProvider) -> None:
    stored = {"top_n": 1, "return_documents": True}
    async with endpoint(studio, "token", "rerank", stored) as provider:
        assert await provider.rerank("q", ["a", "bbb"], top_n=None, return_documents=None) == [Ranked(1, 0.03, "bbb")]
        assert len(await provider.rerank("q", ["a", "bbb"], top_n=2, return_documents=False)) == 2
    assert studio.last.json() == {"query": "q", "documents": ["a", "bbb"], "return_documents": False, "top_n": 2}


@pytest.mark.parametrize("kind", ["token", "realtime", "openai"])
async def test_a_refusal_has_no_key_in_it(studio: FakeProvider, kind: str) -> None:
    async with endpoint(studio, kind) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider, "error:429")
    request = "for request from inference entity id [my-endpoint] status [429]"
    shown = "Bearer ***" if kind == "realtime" else "***"
    assert error.value.reason == (
        "Received a rate limit status code. Remaining tokens [unknown]. Remaining requests [unknown]. "
        f"{request}. Error message: [refused for {shown}]"
    )
    assert error.value.status == 429


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (401, 401, "Received an authentication error status code"),
        (403, 403, "Received an unsuccessful status code"),
        (404, 404, "Received an unsuccessful status code"),
        (413, 413, "Received a content too large status code"),
        (422, 422, "Received an unsuccessful status code"),
        (500, 400, "Received a server error status code"),
        (503, 400, "Received a server busy error status code"),
    ],
)
async def test_each_status_has_its_words(studio: FakeProvider, status: int, shown: int, prefix: str) -> None:
    async with endpoint(studio) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider, f"error:{status}")
    assert error.value.reason.startswith(f"{prefix} for request")
    assert error.value.status == shown


def test_a_prompt_that_is_too_long_is_told_by_its_message() -> None:
    provider: Any = bound("azureaistudio", HttpClient(PrivateHosts()), settings=REQUIRED)
    message = ProviderMessage("Please reduce your prompt; or completion length.")
    assert provider.refusal_prefix(400, {}, message) == "Received a content too large status code"


def test_a_rate_limit_is_told_where_azure_tells_it() -> None:
    provider: Any = bound("azureaistudio", HttpClient(PrivateHosts()), settings=REQUIRED)
    assert provider.refusal_prefix(429, {"x-ratelimit-limit-tokens": "8000"}, None) == (
        "Received a rate limit status code. Token limit [8000], remaining tokens [unknown]. "
        "Request limit [unknown], remaining requests [unknown]"
    )


@pytest.mark.parametrize(
    ("prompt", "before", "reason"),
    [
        ("error-first", "", r"Error message: \[it broke\]"),
        ("error-midway", "one", r"Error message: \[it broke\]"),
        ("cut", "one", "was cut off"),
    ],
)
async def test_an_answer_that_breaks_off_is_an_error(
    studio: FakeProvider, prompt: str, before: str, reason: str
) -> None:
    chunks: list[Chunk] = []

    async def read(provider: Provider) -> None:
        async for batch in provider.stream(user_message(prompt)):
            chunks.extend(batch)

    async with endpoint(studio) as provider:
        with pytest.raises(ProviderError, match=reason):
            await read(provider)
    assert text_of(chunks) == before


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"results": [{"index": "x"}]}', b"\xff"])
def test_an_answer_that_ranks_nothing_is_a_failure(body: bytes) -> None:
    provider: Any = bound("azureaistudio", HttpClient(PrivateHosts()), "rerank", REQUIRED)
    with pytest.raises(ProviderError, match=r"Failed to send Azure AI Studio rerank .*Required \[results\]"):
        provider.read_ranked(body, ["a"], provider._failures(provider.rerank_name))


def test_secrets_are_in_no_text_of_a_provider() -> None:
    provider = bound("azureaistudio", HttpClient(PrivateHosts()), settings=REQUIRED)
    for shown in (provider, provider.binding, provider.settings):
        assert "key-0123456789" not in repr(shown)


def test_the_listing_says_what_elasticsearch_says() -> None:
    settings = [*declared(STUDIO.service_settings), *declared(STUDIO.task_settings)]
    listed = {one.key: (one.label, one.required, one.secret, one.listed_updatable) for one in settings if one.listed}
    assert listed == {
        "api_key": ("API Key", True, True, True),
        "target": ("Target", True, False, False),
        "provider": ("Provider", True, False, False),
        "endpoint_type": ("Endpoint Type", True, False, False),
        "rate_limit.requests_per_minute": ("Rate Limit", False, False, False),
    }
