"""The `watsonxai` service, asked over a socket: what it sends, what it reads, and what it makes of refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chat, Message, Provider, Ranked, Usage, user_message
from tests.fakes.provider import FakeProvider
from tests.fakes.watsonxai import CALL_ID, GRANT, RECORDED, respond
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid

API_KEY = "ibm-key-0123456789"
PROJECT = "63dc4cf1"
TOOL = {"type": "function", "function": {"name": "get_capital", "parameters": {"type": "object", "properties": {}}}}
REQUEST = "for request from inference entity id [my-endpoint]"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(API_KEY, respond=respond) as running:
        yield running


@asynccontextmanager
async def watsonx(
    fake: FakeProvider,
    model: str = "granite",
    task_type: str = "completion",
    task_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    required = {
        "api_key": API_KEY,
        "url": fake.url,
        "api_version": "2024-05-31",
        "model_id": model,
        "project_id": PROJECT,
    }
    async with client(service_urls={"watsonxai.token": f"{fake.url}/iam"}) as http:
        provider = bound("watsonxai", http, task_type, {**required, **settings}, task_settings)
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


async def refused(fake: FakeProvider, model: str = "granite", **options: Any) -> ProviderError:
    async with watsonx(fake, model, **options) as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    return error.value


def token_requests(fake: FakeProvider) -> int:
    return sum(request.path.endswith("/identity/token") for request in fake.requests)


async def test_a_completion_is_streamed_from_a_path_of_its_own(fake: FakeProvider) -> None:
    async with watsonx(fake) as provider:
        chunks = await streamed(provider, "päivää 🎉 all")
    assert text_of(chunks) == "päivää 🎉 all"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == Usage(38, 3, 41)
    assert fake.last.path == "/ml/v1/text/chat_stream?version=2024-05-31"
    assert fake.last.headers["accept"] == "text/event-stream"
    assert fake.last.json() == {
        "project_id": PROJECT,
        "messages": [{"content": "päivää 🎉 all", "role": "user"}],
        "n": 1,
        "model_id": "granite",
    }


async def test_a_whole_completion_has_the_same_body(fake: FakeProvider) -> None:
    async with watsonx(fake) as provider:
        completion = await provider.complete(user_message("Hello"))
    assert (completion.texts, completion.finish_reason, completion.usage) == (["Hello"], "stop", Usage(38, 3, 41))
    assert fake.last.path == "/ml/v1/text/chat?version=2024-05-31"
    assert fake.last.body == (
        b'{"project_id":"63dc4cf1","messages":[{"content":"Hello","role":"user"}],"n":1,"model_id":"granite"}'
    )


async def test_a_chat_has_all_its_fields(fake: FakeProvider) -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "get_capital", "arguments": "{}"}}
    chat = Chat(
        (
            Message("system", "Be brief."),
            Message("user", [{"type": "text", "text": "The capital?"}]),
            Message("assistant", tool_calls=[call]),
            Message("tool", "London", tool_call_id="call-1"),
        ),
        model="ignored",
        max_completion_tokens=256,
        stop=["\n"],
        temperature=0.5,
        top_p=0.9,
        tool_choice="required",
        tools=[TOOL],
        reasoning={"effort": "low"},
    )
    async with watsonx(fake, "tool", "chat_completion") as provider:
        chunks = [chunk async for batch in provider.stream(chat) for chunk in batch]
    assert fake.last.json() == {
        "project_id": PROJECT,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "The capital?"}]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": "London", "tool_call_id": "call-1"},
        ],
        "stop": ["\n"],
        "temperature": 0.5,
        "tools": [TOOL],
        "top_p": 0.9,
        "n": 1,
        "reasoning_effort": "low",
        "model_id": "tool",
        "max_tokens": 256,
        "tool_choice_option": "required",
    }
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.id) for call in calls] == [(0, CALL_ID)]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


async def test_a_function_is_chosen_by_its_name(fake: FakeProvider) -> None:
    choice = {"type": "function", "function": {"name": "get_capital"}}
    async with watsonx(fake, "tool", "chat_completion") as provider:
        completion = await provider.complete(Chat((Message("user", "x"),), tools=[TOOL], tool_choice=choice))
    assert fake.last.json()["tool_choice"] == choice
    assert "tool_choice_option" not in fake.last.json()
    assert [call.id for call in completion.tool_calls] == [CALL_ID]


async def test_words_of_watsonx_for_the_end_become_those_of_openai(fake: FakeProvider) -> None:
    async with watsonx(fake, "out-of-time") as provider:
        assert (await provider.complete(user_message("x"))).finish_reason == "length"


async def test_later_pieces_of_a_tool_call_have_no_empty_names(fake: FakeProvider) -> None:
    async with watsonx(fake, "recorded:tool_call", "chat_completion") as provider:
        chunks = await streamed(provider)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.function] == ["sum", None, "subtraction", None]


async def test_an_answer_that_is_not_streamed_is_understood(fake: FakeProvider) -> None:
    async with watsonx(fake, "whole") as provider:
        assert text_of(await streamed(provider, "all at once")) == "all at once"


async def test_embeddings_are_asked_for_with_what_was_set(fake: FakeProvider) -> None:
    async with watsonx(fake, "slate", "text_embedding", max_input_tokens=512) as provider:
        embeddings = await provider.embed(["a", "bcd"])
    assert embeddings.vectors == [[1.0, 0.5, -1.0], [3.0, 0.5, -1.0]]
    assert embeddings.usage == Usage(prompt_tokens=2, total_tokens=2)
    assert fake.last.path == "/ml/v1/text/embeddings?version=2024-05-31"
    assert fake.last.json() == {
        "inputs": ["a", "bcd"],
        "model_id": "slate",
        "project_id": PROJECT,
        "parameters": {"truncate_input_tokens": 512},
    }


async def test_embeddings_without_a_limit_have_no_parameters(fake: FakeProvider) -> None:
    async with watsonx(fake, "slate", "text_embedding") as provider:
        await provider.embed(["a"])
    assert "parameters" not in fake.last.json()


async def test_a_thousand_texts_are_embedded_at_once(fake: FakeProvider) -> None:
    async with watsonx(fake, "slate", "text_embedding") as provider:
        vectors = (await provider.embed(["x" * (length % 9) for length in range(1500)])).vectors
    assert [len(request.json()["inputs"]) for request in fake.requests[1:]] == [1000, 500]
    assert [vector[0] for vector in vectors] == [length % 9 for length in range(1500)]


async def test_an_input_type_is_refused(fake: FakeProvider) -> None:
    async with watsonx(fake, "slate", "text_embedding") as provider:
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[search\]"):
            await provider.embed(["a"], "search")
    assert fake.requests == []


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("short", r"\[2\] inputs were sent, \[1\] embeddings came back"),
        ("no-results", r"Failed to send IBM watsonx embeddings request .* Cause: Required \[results\]"),
    ],
)
async def test_an_answer_without_all_vectors_is_an_error(fake: FakeProvider, model: str, reason: str) -> None:
    async with watsonx(fake, model, "text_embedding") as provider:
        with pytest.raises(ProviderError, match=reason):
            await provider.embed(["a", "b"])


async def test_documents_are_ranked(fake: FakeProvider) -> None:
    async with watsonx(fake, "ranker", "rerank") as provider:
        ranked = await provider.rerank("q", ["a", "bcd", "ef"], top_n=None, return_documents=None)
    assert ranked == [Ranked(1, 3.0), Ranked(2, 2.0), Ranked(0, 1.0)]
    assert fake.last.path == "/ml/v1/text/rerank?version=2024-05-31"
    assert fake.last.json() == {
        "model_id": "ranker",
        "query": "q",
        "inputs": [{"text": "a"}, {"text": "bcd"}, {"text": "ef"}],
        "project_id": PROJECT,
    }


async def test_task_settings_of_rerank_are_sent_and_a_request_goes_over_them(fake: FakeProvider) -> None:
    stored = {"top_n": 2, "return_documents": True, "truncate_input_tokens": 100}
    async with watsonx(fake, "ranker", "rerank", stored) as provider:
        assert await provider.rerank("q", ["a", "bcd", "ef"], top_n=None, return_documents=None) == [
            Ranked(1, 3.0, "bcd"),
            Ranked(2, 2.0, "ef"),
        ]
        assert fake.last.json()["parameters"] == {
            "truncate_input_tokens": 100,
            "return_options": {"top_n": 2, "inputs": True},
        }
        assert await provider.rerank("q", ["a", "bcd"], top_n=1, return_documents=False) == [Ranked(1, 3.0)]
        assert fake.last.json()["parameters"]["return_options"] == {"top_n": 1}


async def test_a_rank_of_a_document_that_was_not_sent_is_an_error(fake: FakeProvider) -> None:
    async with watsonx(fake, "odd-index", "rerank", {"return_documents": True}) as provider:
        with pytest.raises(ProviderError, match="an index in the answer is not that of a document"):
            await provider.rerank("q", ["a", "b"], top_n=None, return_documents=None)


async def test_a_key_is_exchanged_once_for_many_requests(fake: FakeProvider) -> None:
    async with watsonx(fake, api_key="slow:0.1") as provider:
        await asyncio.gather(*(streamed(provider) for _ in range(20)))
        await streamed(provider)
    assert token_requests(fake) == 1
    asked = fake.requests[0]
    assert (asked.method, asked.path) == ("POST", "/iam/identity/token")
    assert asked.form() == {"grant_type": GRANT, "apikey": "slow:0.1"}
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert all(request.headers["authorization"].startswith("Bearer eyJ") for request in fake.requests[1:])
    assert all(b"slow:0.1" not in request.body for request in fake.requests[1:])


async def test_a_token_that_ends_soon_is_fetched_again(fake: FakeProvider) -> None:
    async with watsonx(fake, api_key="expires:1") as provider:
        await streamed(provider)
        await streamed(provider)
        assert token_requests(fake) == 1
        await asyncio.sleep(0.55)
        await streamed(provider)
    assert token_requests(fake) == 2


async def test_a_refused_token_is_dropped(fake: FakeProvider) -> None:
    async with watsonx(fake) as provider:
        await streamed(provider)
        fake.tokens.clear()
        with pytest.raises(ProviderError, match=r"Failed to authenticate the request with \*\*\*") as error:
            await streamed(provider)
        assert text_of(await streamed(provider, "hello")) == "hello"
    assert error.value.status == 401
    assert token_requests(fake) == 2


@pytest.mark.parametrize(
    ("api_key", "status", "cause"),
    [
        ("unknown-key-0123456789", 400, "status [400], [Provided API key could not be found.]"),
        ("error:401", 401, "status [401], [cannot look up ***]"),
        ("error:500", 400, "status [500], [cannot look up ***]"),
        ("garbage", 500, "the answer has no [access_token]"),
    ],
)
async def test_a_key_that_gets_no_token_is_an_error_that_does_not_repeat_it(
    fake: FakeProvider, api_key: str, status: int, cause: str
) -> None:
    error = await refused(fake, api_key=api_key)
    host = fake.url.removeprefix("http://")
    assert error.reason == f"Failed to get an access token from [{host}]. Cause: {cause}"
    assert error.status == status
    assert len(fake.requests) == 1


async def test_the_public_token_service_is_asked_where_nothing_stands_for_it(fake: FakeProvider) -> None:
    async with client() as http:
        settings = {"api_key": "k", "url": "h", "api_version": "v", "model_id": "m", "project_id": "p"}
        provider = bound("watsonxai", http, "completion", settings)
    credentials = provider._tokens._credentials  # type: ignore[attr-defined]
    assert credentials.token_url == "https://iam.cloud.ibm.com/identity/token"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("us-south.ml.cloud.ibm.com", "https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-05-31%26a%3Db"),
        ("https://h.example/", "https://h.example/ml/v1/text/chat?version=2024-05-31%26a%3Db"),
        ("http://engine.local:8000/proxy", "http://engine.local:8000/proxy/ml/v1/text/chat?version=2024-05-31%26a%3Db"),
        ("engine.local:8443", "https://engine.local:8443/ml/v1/text/chat?version=2024-05-31%26a%3Db"),
    ],
)
async def test_a_bare_host_means_https_and_the_version_is_encoded(url: str, whole: str) -> None:
    settings = {"api_key": "k", "url": url, "api_version": "2024-05-31&a=b", "model_id": "m", "project_id": "p"}
    async with client() as http:
        assert bound("watsonxai", http, "completion", settings).url() == whole  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received a bad request status code"),
        (403, 403, "Received a permission denied error status code"),
        (404, 404, "Resource not found at [URL]"),
        (500, 400, "Received a server error status code"),
        (503, 400, "Received a server busy error status code"),
    ],
)
async def test_refusals_of_chats_have_the_words_of_openai(
    fake: FakeProvider, status: int, shown: int, prefix: str
) -> None:
    error = await refused(fake, f"error:{status}")
    prefix = prefix.replace("URL", f"{fake.url}/ml/v1/text/chat")
    assert error.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***]"
    assert (error.status, error.code, error.provider_type) == (shown, "fake_code", "watsonx_error")


@pytest.mark.parametrize(
    ("status", "prefix"),
    [
        (400, "Received a bad request status code"),
        (404, "Resource not found at [URL]"),
        (413, "Received an unsuccessful status code"),
        (429, "Received an unsuccessful status code"),
        (500, "Received a server error status code"),
        (503, "Received an unsuccessful status code"),
    ],
)
async def test_refusals_of_embeddings_have_words_of_their_own(fake: FakeProvider, status: int, prefix: str) -> None:
    async with watsonx(fake, f"error:{status}", "text_embedding") as provider:
        with pytest.raises(ProviderError) as error:
            await provider.embed(["a"])
    prefix = prefix.replace("URL", f"{fake.url}/ml/v1/text/embeddings")
    assert error.value.reason.startswith(f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure")


@pytest.mark.parametrize("model", ["cut", "drop", "recorded:cut_off", "recorded:close_too_early"])
async def test_an_answer_that_is_cut_off_is_an_error(fake: FakeProvider, model: str) -> None:
    error = await refused(fake, model)
    assert error.reason.startswith("The IBM watsonx chat completions answer for inference entity id [my-endpoint]")
    assert error.status == 500


@pytest.mark.parametrize(("task_type", "status"), [("completion", 400), ("chat_completion", 500)])
async def test_an_error_in_a_stream_has_its_message(fake: FakeProvider, task_type: str, status: int) -> None:
    error = await refused(fake, "recorded:error_midway", task_type=task_type)
    assert error.reason == (
        f"Received an error response {REQUEST}. "
        "Error message: [Downstream caikit_streaming request failed: the model fell over]"
    )
    assert (error.status, error.code) == (status, "downstream_request_failed")


async def test_secrets_are_in_no_text_of_a_provider(fake: FakeProvider) -> None:
    async with watsonx(fake) as provider:
        await streamed(provider)
        token = fake.last.headers["authorization"].removeprefix("Bearer ")
        credentials = provider._tokens._credentials  # type: ignore[attr-defined]
        for shown in map(repr, (provider, provider.binding, provider.settings, credentials)):
            assert API_KEY not in shown
            assert token not in shown


def test_every_recording_is_of_the_service_that_plays_it() -> None:
    assert load("watsonxai").streaming_task_types
    assert {path.suffix for path in RECORDED.iterdir()} == {".json", ".stream"}
