"""The `googleaistudio` service: its settings, what it asks Google, and what it makes of the answers."""

from __future__ import annotations

import json
import logging
import string
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from yarl import URL

from endpoints.providers import load
from endpoints.providers._base import Chunk, Delta, Provider, Usage, user_message
from endpoints.providers._gemini_answers import GeminiSplitter
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import Parsed, declared, nested, parse
from tests.fakes import googleaistudio
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid

GOOGLE = load("googleaistudio")
KEY = "AIza/fake+key=0123"
QUOTED = "AIza/fake%2Bkey%3D0123"
REQUIRED = {"api_key": KEY, "model_id": "gemini-2.5-flash"}
REQUEST = "for request from inference entity id [my-endpoint]"
ANSWER_ID = "8e97asPMLaS4qtsP7oGv4Ag"


@pytest.fixture
def google() -> Iterator[FakeProvider]:
    with FakeProvider.running(KEY, respond=googleaistudio.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(
    google: FakeProvider, model: str = "gemini", task_type: str = "completion", **settings: Any
) -> AsyncIterator[Provider]:
    async with client(service_urls={"googleaistudio": google.url}) as http:
        provider = bound("googleaistudio", http, task_type, {"api_key": KEY, "model_id": model, **settings})
        provider.retries = QUICK  # type: ignore[attr-defined]
        yield provider


async def failed(google: FakeProvider, model: str) -> tuple[list[Chunk], ProviderError]:
    """Return what came before a stream failed, and the failure."""
    chunks: list[Chunk] = []
    async with endpoint(google, model) as provider:
        try:
            async for batch in provider.stream(user_message("one two")):
                chunks += batch
        except ProviderError as error:
            return chunks, error
    pytest.fail("the stream did not fail")


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(GOOGLE.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


@pytest.mark.parametrize(("task_type", "more"), [("completion", {}), ("text_embedding", {"similarity": "dot_product"})])
def test_the_least_that_is_needed_gets_its_defaults(task_type: str, more: dict[str, Any]) -> None:
    parsed = service(REQUIRED, task_type)
    assert texts(parsed) == []
    shown = nested(GOOGLE.service_settings, parsed.values, task_type)
    assert shown == {"model_id": "gemini-2.5-flash", **more, "rate_limit": {"requests_per_minute": 360}}


def test_all_settings_of_embeddings_are_taken() -> None:
    given = {**REQUIRED, "dimensions": 256, "similarity": "cosine", "max_input_tokens": 2048}
    parsed = service(given, "text_embedding")
    assert (texts(parsed), parsed.unknown) == ([], {})
    assert set(service(given).unknown) == {"dimensions", "similarity", "max_input_tokens"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_id": "m"}, "[secret_settings] does not contain the required setting [api_key]"),
        ({"api_key": KEY}, "[service_settings] does not contain the required setting [model_id]"),
        (
            {**REQUIRED, "api_key": "AIza\r\nX: y"},
            "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends",
        ),
        (
            {**REQUIRED, "dimensions": 0},
            "[service_settings] Invalid value [0]. [dimensions] must be a positive integer",
        ),
        (
            {**REQUIRED, "similarity": "near"},
            "[service_settings] Invalid value [near] received. [similarity] must be one of [cosine, dot_product, l2_norm]",
        ),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], problem: str) -> None:
    assert texts(service(given, "text_embedding")) == [problem]


def test_there_are_no_task_settings() -> None:
    assert declared(GOOGLE.task_settings) == ()


def test_the_key_goes_to_google() -> None:
    assert GOOGLE.service_settings.destinations(service(REQUIRED).values, "completion") == {
        "api_key": "generativelanguage.googleapis.com:443"
    }


def test_the_listing_says_what_elasticsearch_says() -> None:
    listed = [(one.key, one.label, one.required, one.secret) for one in declared(GOOGLE.service_settings) if one.listed]
    assert listed == [
        ("api_key", "API Key", True, True),
        ("model_id", "Model ID", True, False),
        ("rate_limit.requests_per_minute", "Rate Limit", False, False),
    ]


def test_without_another_address_google_itself_is_asked() -> None:
    provider = bound("googleaistudio", HttpClient(PrivateHosts()), settings={**REQUIRED, "model_id": "tuned/a b?c"})
    start = "https://generativelanguage.googleapis.com/v1/models/tuned%2Fa%20b%3Fc"
    assert provider.url() == f"{start}:generateContent?key={QUOTED}"  # type: ignore[attr-defined]
    assert provider.url(stream=True) == f"{start}:streamGenerateContent?key={QUOTED}&alt=sse"  # type: ignore[attr-defined]


async def test_a_completion_is_asked_for_as_elasticsearch_does(google: FakeProvider) -> None:
    async with endpoint(google) as provider:
        completion = await provider.complete(user_message("What is Elastic?"))
        assert text_of(await streamed(provider, "What is Elastic?")) == "What is Elastic?"
    assert completion.texts == ["What is Elastic?"]
    assert (completion.finish_reason, completion.id, completion.model) == ("stop", ANSWER_ID, "gemini-fake")
    assert completion.usage == Usage(6, 3, 9)
    once, stream = google.requests
    assert once.path == f"/v1/models/gemini:generateContent?key={QUOTED}"
    assert stream.path == f"/v1/models/gemini:streamGenerateContent?key={QUOTED}&alt=sse"
    assert once.body == stream.body
    assert once.json() == {
        "contents": [{"role": "user", "parts": [{"text": "What is Elastic?"}]}],
        "generationConfig": {"candidateCount": 1},
    }
    assert "authorization" not in stream.headers
    assert "x-goog-api-key" not in stream.headers


async def test_model_ids_are_encoded_on_the_way(google: FakeProvider) -> None:
    async with endpoint(google, "tuned/my model?x=1#y") as provider:
        assert text_of(await streamed(provider, "hi")) == "hi"
    assert google.last.path.startswith("/v1/models/tuned%2Fmy%20model%3Fx=1%23y:streamGenerateContent?")


async def test_the_chunks_have_openais_shape(google: FakeProvider) -> None:
    async with endpoint(google, "think") as provider:
        chunks = await streamed(provider, "Hello wörld")
    assert [chunk.choices[0].delta for chunk in chunks] == [
        Delta(role="assistant", reasoning="Let me see."),
        Delta(content="Hello"),
        Delta(content=" wörld"),
        Delta(content=""),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[-1].usage == Usage(6, 2, 8)
    assert {(chunk.id, chunk.model) for chunk in chunks} == {(ANSWER_ID, "gemini-fake")}


@pytest.mark.parametrize(("model", "text"), [("blocked", ""), ("safety", "one two")])
async def test_a_safety_stop_is_an_end_by_content_filter(google: FakeProvider, model: str, text: str) -> None:
    async with endpoint(google, model) as provider:
        chunks = await streamed(provider, "one two")
        completion = await provider.complete(user_message("one two"))
    assert text_of(chunks) == text
    assert chunks[-1].choices[-1].finish_reason == "content_filter"
    assert (completion.texts, completion.finish_reason) == ([""], "content_filter")


@pytest.mark.parametrize("model", ["fails", "fails-plainly"])
async def test_an_error_midway_is_an_error_after_what_came_before(google: FakeProvider, model: str) -> None:
    chunks, error = await failed(google, model)
    assert text_of(chunks) == "one two"
    message = "The model is overloaded. Please try again later."
    assert error.reason == f"Received an error response {REQUEST}. Error message: [{message}]"
    assert (error.status, error.code, error.provider_type) == (400, "503", "UNAVAILABLE")


@pytest.mark.parametrize("indent", [None, 2])
def test_an_error_without_an_event_is_known_before_the_body_ends(indent: int | None) -> None:
    data = json.dumps({"error": {"code": 503}}, indent=indent).encode() + b"\n"
    assert GeminiSplitter().feed(b"data: {}\r\n\r\n" + data) == [(b"", b"{}"), (b"", data)]


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        ("cut", "the stream ended before the answer did"),
        ("drop", "the connection was closed before the end of the answer"),
    ],
)
async def test_an_answer_that_is_cut_off_is_an_error(google: FakeProvider, model: str, cause: str) -> None:
    chunks, error = await failed(google, model)
    assert text_of(chunks) == "one two"
    assert "was cut off" in error.reason
    assert error.reason.endswith(f"Cause: {cause}")
    assert error.status == 500


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (401, 401, "Received an unsuccessful status code"),
        (403, 403, "Received a permission denied error status code"),
        (404, 404, "Resource not found at [URL/v1/models/error-404:generateContent]"),
        (429, 429, "Received a rate limit status code"),
        (500, 400, "Received a server error status code"),
        (503, 400, "The Google AI Studio service may be temporarily overloaded or down"),
        (504, 400, "Received a server error status code"),
    ],
)
async def test_each_status_has_its_words_and_the_key_is_in_none(
    google: FakeProvider, status: int, shown: int, prefix: str
) -> None:
    model = f"error-{status}"
    _, error = await failed(google, model)
    path = f"/v1/models/{model}:streamGenerateContent?key=***&alt=sse"
    start = f"{prefix} {REQUEST} status [{status}]".replace("URL", google.url)
    assert error.reason == f"{start}. Error message: [fake failure for  {path}]"
    assert error.status == shown
    assert error.code == str(status)


async def test_a_wrong_key_is_a_bad_request_as_google_says(google: FakeProvider) -> None:
    async with endpoint(google, api_key="AIza-another") as provider:
        with pytest.raises(ProviderError, match="API key not valid") as error:
            await streamed(provider)
    assert (error.value.status, error.value.provider_type) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("model", "cause"), [("not-json", "not a GenerateContentResponse"), ("empty", r"Required \[candidates\]")]
)
async def test_an_answer_that_is_no_completion_is_an_error(google: FakeProvider, model: str, cause: str) -> None:
    async with endpoint(google, model) as provider:
        with pytest.raises(ProviderError, match=f"Failed to send Google AI Studio completion request .*{cause}"):
            await provider.complete(user_message("x"))


async def test_an_answer_that_was_stopped_for_a_fault_is_an_error(google: FakeProvider) -> None:
    async with endpoint(google, "fails") as provider:
        with pytest.raises(ProviderError, match=r"finishReason \[MALFORMED_FUNCTION_CALL\]") as error:
            await provider.complete(user_message("x"))
    assert error.value.status == 400


async def test_embeddings_are_asked_for_in_batches(google: FakeProvider) -> None:
    async with endpoint(google, "text-embedding-004", "text_embedding") as provider:
        embeddings = await provider.embed(["x" * length for length in range(250)])
    assert [vector[0] for vector in embeddings.vectors] == list(range(250))
    assert [len(request.json()["requests"]) for request in google.requests] == [100, 100, 50]


async def test_an_embedding_is_asked_for_with_what_was_set(google: FakeProvider) -> None:
    settings = {"dimensions": 3, "max_input_tokens": 1}
    async with endpoint(google, "embedding-001", "text_embedding", **settings) as provider:
        embeddings = await provider.embed(["a", "much too long"], "ingest")
    assert embeddings.vectors == [[1.0, 0.5, -1.0], [3.0, 0.5, -1.0]]
    assert google.last.path == f"/v1/models/embedding-001:batchEmbedContents?key={QUOTED}"
    assert google.last.json() == {
        "requests": [
            {
                "model": "models/embedding-001",
                "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_DOCUMENT",
            }
            for text in ("a", "muc")
        ]
    }


async def test_an_input_type_is_for_one_model_only(google: FakeProvider) -> None:
    async with endpoint(google, "text-embedding-004", "text_embedding") as provider:
        with pytest.raises(SettingsInvalid) as error:
            await provider.embed(["a"], "search")
    problem = "Invalid value [search] received. [input_type] is not allowed for model [text-embedding-004]"
    assert error.value.problems == (problem,)
    assert google.requests == []


@pytest.mark.parametrize(
    ("model", "cause"),
    [("empty", r"Required \[embeddings\]"), ("embed-short", r"\[2\] inputs were sent, \[1\] embeddings came back")],
)
async def test_a_missing_vector_is_an_error(google: FakeProvider, model: str, cause: str) -> None:
    async with endpoint(google, model, "text_embedding") as provider:
        with pytest.raises(ProviderError, match=f"Google AI Studio embeddings request .*{cause}"):
            await provider.embed(["a", "bb"])


@pytest.mark.parametrize("model", ["gemini", "error-400", "drop", "not-json"])
async def test_the_key_is_in_no_log(google: FakeProvider, caplog: pytest.LogCaptureFixture, model: str) -> None:
    caplog.set_level(logging.DEBUG)
    async with endpoint(google, model) as provider:
        with suppress(ProviderError):
            await streamed(provider)
        with suppress(ProviderError):
            await provider.complete(user_message("x"))
    assert google.requests
    assert "AIza" not in caplog.text


@pytest.mark.parametrize("key", [string.ascii_letters + string.digits, string.punctuation])
def test_a_key_is_known_in_the_form_in_which_it_is_sent(key: str) -> None:
    provider = bound("googleaistudio", HttpClient(PrivateHosts()), settings={**REQUIRED, "api_key": key})
    sent = URL(provider.url()).raw_query_string  # type: ignore[attr-defined]
    assert sent.removeprefix("key=") in provider.secrets()  # type: ignore[attr-defined]


async def test_the_key_is_in_no_error_of_a_connection() -> None:
    with FakeProvider.running(KEY) as gone:
        pass
    async with endpoint(gone) as provider:
        with pytest.raises(ProviderError, match="connection refused") as error:
            await streamed(provider)
    assert "AIza" not in error.value.reason
    for shown in (repr(provider), repr(provider.binding), repr(provider.settings)):
        assert "AIza" not in shown
