"""The `hugging_face` service: its settings, and what goes over the socket to TGI, TEI and the router."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chat, Message, Provider, Ranked, Usage, user_message
from endpoints.providers._settings import Parsed, nested, parse
from endpoints.serializers import service_listing
from tests.fakes.hugging_face import CALL_ID, respond
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid

HUGGING_FACE = load("hugging_face")
API_KEY = "hf_0123456789"
REQUIRED = {"api_key": API_KEY, "url": "https://router.huggingface.co/v1/chat/completions"}
PATHS = {"text_embedding": "/embed", "rerank": "/rerank"}
REQUEST = "for request from inference entity id [my-endpoint]"
ASK = {
    "text_embedding": lambda provider, texts: provider.embed(texts),
    "rerank": lambda provider, texts: provider.rerank("q", texts, top_n=None, return_documents=None),
}
UNKNOWN = "Token limit [unknown], remaining tokens [unknown]. Request limit [unknown], remaining requests [unknown]"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(API_KEY, respond=respond) as running:
        yield running


@asynccontextmanager
async def hugging_face(
    fake: FakeProvider,
    model: str | None = None,
    task_type: str = "completion",
    task_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Provider]:
    given = {"api_key": API_KEY, "url": fake.url + PATHS.get(task_type, "/v1/chat/completions"), **settings}
    async with client() as http:
        named = {"model_id": model} if model else {}
        provider = bound("hugging_face", http, task_type, {**given, **named}, task_settings)
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(HUGGING_FACE.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


@pytest.mark.parametrize(
    ("task_type", "more"),
    [("completion", {}), ("chat_completion", {}), ("rerank", {}), ("text_embedding", {"similarity": "cosine"})],
)
def test_the_least_that_is_needed_gets_its_defaults(task_type: str, more: dict[str, Any]) -> None:
    parsed = service(REQUIRED, task_type)
    assert texts(parsed) == []
    assert nested(HUGGING_FACE.service_settings, parsed.values, task_type) == {
        "url": REQUIRED["url"],
        **more,
        "rate_limit": {"requests_per_minute": 3000},
    }


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (
            {},
            [
                "[secret_settings] does not contain the required setting [api_key]",
                "[service_settings] does not contain the required setting [url]",
            ],
        ),
        (
            {**REQUIRED, "url": "router.huggingface.co"},
            [
                "[service_settings] Invalid url [router.huggingface.co] received for field [url]. Error: unable to "
                "parse url [router.huggingface.co]. Reason: expected http(s)://host[:port]/path"
            ],
        ),
        (
            {**REQUIRED, "api_key": "hf_\n"},
            ["[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends"],
        ),
        (
            {**REQUIRED, "max_input_tokens": 0, "dimensions": "many"},
            [
                "field [dimensions] is not of the expected type. The value [many] cannot be converted to a [Integer]",
                "[service_settings] Invalid value [0]. [max_input_tokens] must be a positive integer",
            ],
        ),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], problems: list[str]) -> None:
    assert texts(service(given, "text_embedding")) == problems


def test_a_model_is_for_chats_only() -> None:
    assert service({**REQUIRED, "model_id": "m"}).unknown == {}
    assert service({**REQUIRED, "model_id": "m"}, "text_embedding").unknown == {"model_id": "m"}
    assert service({**REQUIRED, "dimensions": 3}).unknown == {"dimensions": 3}


def test_the_key_goes_to_the_host_of_the_url() -> None:
    destinations = HUGGING_FACE.service_settings.destinations
    assert destinations(service(REQUIRED).values, "completion") == {"api_key": "router.huggingface.co:443"}
    assert destinations({"url": "http://tgi.local:8080/v1/chat/completions"}, "completion") == {
        "api_key": "tgi.local:8080"
    }


def test_the_listing_says_what_elasticsearch_says() -> None:
    configurations = service_listing("hugging_face")["configurations"]
    assert list(configurations) == ["api_key", "url", "rate_limit.requests_per_minute"]
    assert not any("default_value" in one for one in configurations.values())


async def test_a_completion_is_streamed_through_pings(fake: FakeProvider) -> None:
    async with hugging_face(fake) as provider:
        chunks = await streamed(provider, "päivää 🎉 all")
    assert text_of(chunks) == "päivää 🎉 all"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == Usage(12, 3, 15)
    assert fake.last.headers["accept"] == "text/event-stream"
    assert fake.last.body == (
        '{"messages":[{"content":"päivää 🎉 all","role":"user"}],"n":1,"stream":true,'
        '"stream_options":{"include_usage":true}}'.encode()
    )


async def test_a_whole_completion_is_asked_for_with_the_model_that_is_set(fake: FakeProvider) -> None:
    async with hugging_face(fake, "meta-llama/Llama:novita") as provider:
        completion = await provider.complete(user_message("Hello"))
    assert (completion.texts, completion.finish_reason, completion.usage) == (["Hello"], "stop", Usage(12, 3, 15))
    assert fake.last.body == (
        b'{"messages":[{"content":"Hello","role":"user"}],"model":"meta-llama/Llama:novita","n":1,"stream":false}'
    )


async def test_a_chat_has_all_its_fields(fake: FakeProvider) -> None:
    tool = {"type": "function", "function": {"name": "get_capital", "parameters": {"type": "object"}}}
    call = {"id": "call-1", "type": "function", "function": {"name": "get_capital", "arguments": "{}"}}
    chat = Chat(
        (
            Message("system", "Be brief."),
            Message("user", "The capital?"),
            Message("assistant", tool_calls=[call]),
            Message("tool", "London", tool_call_id="call-1"),
        ),
        model="tool",
        max_completion_tokens=256,
        stop=["\n"],
        temperature=0.5,
        top_p=0.9,
        tool_choice="auto",
        tools=[tool],
        reasoning={"effort": "low"},
    )
    async with hugging_face(fake, "another", "chat_completion") as provider:
        chunks = [chunk async for batch in provider.stream(chat) for chunk in batch]
    assert fake.last.json() == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "The capital?"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": "London", "tool_call_id": "call-1"},
        ],
        "stop": ["\n"],
        "temperature": 0.5,
        "tool_choice": "auto",
        "tools": [tool],
        "top_p": 0.9,
        "max_tokens": 256,
        "model": "tool",
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
    }
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.id) for call in calls] == [(0, CALL_ID)]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


async def test_an_answer_that_is_not_streamed_is_understood(fake: FakeProvider) -> None:
    async with hugging_face(fake, "whole") as provider:
        chunks = await streamed(provider, "all at once")
    assert text_of(chunks) == "all at once"
    assert chunks[0].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("first", ["a", "wrapped"])
async def test_vectors_come_bare_or_in_an_object(fake: FakeProvider, first: str) -> None:
    async with hugging_face(fake, None, "text_embedding") as provider:
        embeddings = await provider.embed([first, "bcd"])
    assert embeddings.vectors == [[float(len(first)), 0.5, -1.0], [3.0, 0.5, -1.0]]
    assert fake.last.json() == {"inputs": [first, "bcd"]}


async def test_texts_are_embedded_in_batches_and_cut(fake: FakeProvider) -> None:
    async with hugging_face(fake, None, "text_embedding", max_input_tokens=2) as provider:
        vectors = (await provider.embed(["x" * length for length in range(40)])).vectors
    assert [vector[0] for vector in vectors] == [min(length, 6) for length in range(40)]
    assert [len(request.json()["inputs"]) for request in fake.requests] == [32, 8]


async def test_an_input_type_is_refused(fake: FakeProvider) -> None:
    async with hugging_face(fake, None, "text_embedding") as provider:
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[ingest\]"):
            await provider.embed(["a"], "ingest")
    assert fake.requests == []


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("short", r"\[2\] inputs were sent, \[1\] embeddings came back"),
        ("garbage", "Failed to send Hugging Face embeddings request .* Cause: the answer is not a list of embeddings"),
        ("empty", r"Cause: Required \[embeddings\]"),
        ("in-200", r"Received an error response .* status \[200\]\. Error message: \[not today\]"),
    ],
)
async def test_an_answer_without_all_vectors_is_an_error(fake: FakeProvider, first: str, reason: str) -> None:
    async with hugging_face(fake, None, "text_embedding") as provider:
        with pytest.raises(ProviderError, match=reason):
            await provider.embed([first, "b"])


async def test_documents_are_ranked_and_cut_at_top_n_even_where_the_server_does_not(fake: FakeProvider) -> None:
    documents = ["a", "bcd", "ef"]
    async with hugging_face(fake, None, "rerank") as provider:
        assert await provider.rerank("q", documents, top_n=None, return_documents=None) == [
            Ranked(1, 3.0),
            Ranked(2, 2.0),
            Ranked(0, 1.0),
        ]
        assert fake.last.body == b'{"texts":["a","bcd","ef"],"query":"q"}'
        assert await provider.rerank("q", documents, top_n=1, return_documents=True) == [Ranked(1, 3.0, "bcd")]
    assert fake.last.json() == {"texts": documents, "query": "q", "return_text": True, "top_n": 1}


async def test_a_request_goes_over_the_task_settings_of_rerank(fake: FakeProvider) -> None:
    stored = {"top_n": 2, "return_documents": True}
    async with hugging_face(fake, None, "rerank", stored) as provider:
        ranked = await provider.rerank("q", ["a", "bcd", "ef"], top_n=None, return_documents=None)
        assert ranked == [Ranked(1, 3.0, "bcd"), Ranked(2, 2.0, "ef")]
        assert await provider.rerank("q", ["a", "bcd"], top_n=1, return_documents=False) == [Ranked(1, 3.0)]
    assert fake.last.json()["return_text"] is False


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("odd-index", "an index in the answer is not that of a document"),
        (
            "garbage",
            "Failed to send Hugging Face rerank request .* Cause: the answer is not a list of ranked documents",
        ),
        ("empty", "Cause: the answer is not a list of ranked documents"),
        ("in-200", r"Received an error response .* Error message: \[not today\]"),
    ],
)
async def test_an_answer_without_ranks_is_an_error(fake: FakeProvider, first: str, reason: str) -> None:
    async with hugging_face(fake, None, "rerank") as provider:
        with pytest.raises(ProviderError, match=reason):
            await provider.rerank("q", [first, "b"], top_n=None, return_documents=None)


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received a bad request status code"),
        (404, 404, "Resource not found at [URL]"),
        (422, 422, "Received an input validation error response"),
        (429, 429, f"Received a rate limit status code. {UNKNOWN}"),
        (503, 400, "Received a server busy error status code"),
    ],
)
@pytest.mark.parametrize("model", ["error", "error-string"])
async def test_refusals_of_chats_have_the_words_of_openai(
    fake: FakeProvider, model: str, status: int, shown: int, prefix: str
) -> None:
    async with hugging_face(fake, f"{model}:{status}") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    prefix = prefix.replace("URL", f"{fake.url}/v1/chat/completions")
    assert error.value.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***]"
    assert (error.value.status, error.value.provider_type) == (shown, "hugging_face_error")


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (401, 401, "Received an authentication error status code"),
        (404, 404, "Received an unsuccessful status code"),
        (413, 413, "Received a content too large status code"),
        (422, 422, "Received an unsuccessful status code"),
        (429, 429, "Received a rate limit status code"),
        (500, 400, "Received a server error status code"),
        (502, 400, "Received a rate limit status code"),
        (503, 400, "Received a rate limit status code"),
        (504, 400, "Received a server error status code"),
    ],
)
@pytest.mark.parametrize("task_type", ["text_embedding", "rerank"])
async def test_other_refusals_have_words_of_their_own(
    fake: FakeProvider, task_type: str, status: int, shown: int, prefix: str
) -> None:
    async with hugging_face(fake, None, task_type) as provider:
        with pytest.raises(ProviderError) as error:
            await ASK[task_type](provider, [f"error:{status}"])
    assert error.value.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***]"
    assert error.value.status == shown


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("cut", "was cut off. Cause: the stream ended before the answer did"),
        ("drop", "was cut off. Cause: the connection was closed before the end of the answer"),
        ("page", r"Cause: the answer is \[text/html\], not an event stream"),
        ("recorded:error_before", r"Error message: \[Model is overloaded\]"),
        ("recorded:error_validation", r"Error message: \[Input validation error"),
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(fake: FakeProvider, model: str, reason: str) -> None:
    async with hugging_face(fake, model) as provider:
        with pytest.raises(ProviderError, match=reason):
            await streamed(provider)


async def test_an_error_in_a_chat_has_the_status_that_tgi_names_as_its_code(fake: FakeProvider) -> None:
    async with hugging_face(fake, "recorded:error_before", "chat_completion") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    assert (error.value.status, error.value.code, error.value.provider_type) == (500, "422", "hugging_face_error")


async def test_the_key_is_in_no_text_of_a_provider(fake: FakeProvider) -> None:
    async with hugging_face(fake) as provider:
        for shown in map(repr, (provider, provider.binding, provider.settings)):
            assert API_KEY not in shown
