"""The `cohere` service: what it takes, what it sends, what it makes of answers and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chunk, FunctionCall, Ranked, ToolCall, Usage, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._http_provider import HttpProvider
from endpoints.providers._lines import EventsOrLines, LineSplitter
from endpoints.providers._settings import Parsed, nested, parse
from endpoints.providers._sse import MAX_EVENT_BYTES, EventTooLarge
from endpoints.serializers import service_listing
from tests.fakes import cohere
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, SettingsInvalid, StatusError

COHERE = load("cohere")
REQUIRED = {"api_key": "co-0123456789", "model_id": "command-x"}
REQUEST = "for request from inference entity id [my-endpoint]"
EMBEDDING, RERANK = "text_embedding", "rerank"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=cohere.respond) as running:
        yield running


@asynccontextmanager
async def endpoint(
    fake: FakeProvider,
    model: str,
    task_type: str = "completion",
    task_settings: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[HttpProvider]:
    """Yield an endpoint whose public address the fake stands for; its waits before another attempt are short."""
    async with client(service_urls={"cohere": fake.url}) as http:
        given = {"api_key": fake.api_key, "model_id": model, **settings}
        provider = bound("cohere", http, task_type, given, task_settings)
        assert isinstance(provider, HttpProvider)
        vars(provider)["retries"] = QUICK
        yield provider


def service(given: Mapping[str, Any], task_type: str = "completion") -> Parsed:
    return parse(COHERE.service_settings, task_type, COHERE.migrate(dict(given), {})[0])


def task(given: Mapping[str, Any], task_type: str) -> Parsed:
    return parse(COHERE.task_settings, task_type, given)


def shown(given: Mapping[str, Any], task_type: str) -> dict[str, Any]:
    parsed = service(given, task_type)
    assert texts(parsed) == []
    return nested(COHERE.service_settings, parsed.values, task_type)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


@pytest.mark.parametrize("task_type", ["completion", RERANK])
def test_the_least_that_is_needed_gets_its_defaults(task_type: str) -> None:
    assert shown(REQUIRED, task_type) == {"model_id": "command-x", "rate_limit": {"requests_per_minute": 10000}}


@pytest.mark.parametrize(
    ("given", "kind", "similarity"),
    [
        ({}, "float", "dot_product"),
        ({"embedding_type": "float"}, "float", "dot_product"),
        ({"embedding_type": "byte"}, "byte", "cosine"),
        ({"embedding_type": "INT8"}, "byte", "cosine"),
        ({"embedding_type": "binary"}, "bit", "dot_product"),
        ({"embedding_type": "bit"}, "bit", "dot_product"),
        ({"embedding_type": "int8", "similarity": "l2_norm"}, "byte", "l2_norm"),
    ],
)
def test_kinds_of_vectors_have_one_name_and_their_similarity(given: dict[str, Any], kind: str, similarity: str) -> None:
    answer = shown({**REQUIRED, **given}, EMBEDDING)
    assert (answer["embedding_type"], answer["similarity"]) == (kind, similarity)


def test_all_settings_of_embeddings_are_taken_and_the_url_is_not_shown() -> None:
    given = {
        "model_id": "embed-x",
        "embedding_type": "bit",
        "similarity": "cosine",
        "dimensions": 1024,
        "max_input_tokens": 512,
        "rate_limit": {"requests_per_minute": 10},
    }
    assert shown({**given, "api_key": "k", "url": "https://proxy.example"}, EMBEDDING) == given


def test_the_model_may_have_its_old_name() -> None:
    assert shown({"api_key": "k", "model": "old"}, "completion")["model_id"] == "old"
    parsed = service({"api_key": "k", "model_id": "new", "model": "old"})
    assert (parsed.values["model_id"], parsed.unknown) == ("new", {"model": "old"})


def test_the_version_of_the_api_cannot_be_chosen() -> None:
    assert service({**REQUIRED, "api_version": "V1"}).unknown == {"api_version": "V1"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_id": "x"}, "[secret_settings] does not contain the required setting [api_key]"),
        ({"api_key": "k"}, "The [service_settings.model_id] field is required for the Cohere V2 API."),
        (
            {"api_key": "k", "model": 1},
            "field [model_id] is not of the expected type. The value [1] cannot be converted to a [String]",
        ),
        (
            {**REQUIRED, "api_key": "k\n"},
            "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends",
        ),
        (
            {**REQUIRED, "embedding_type": "ubinary"},
            "[service_settings] Invalid value [ubinary] received. "
            "[embedding_type] must be one of [binary, bit, byte, float, int8]",
        ),
        (
            {**REQUIRED, "embedding_type": 8},
            "field [embedding_type] is not of the expected type. The value [8] cannot be converted to a [String]",
        ),
        (
            {**REQUIRED, "dimensions": 0},
            "[service_settings] Invalid value [0]. [dimensions] must be a positive integer",
        ),
    ],
)
def test_what_is_wrong_with_service_settings_is_named(given: dict[str, Any], problem: str) -> None:
    assert texts(service(given, EMBEDDING)) == [problem]


@pytest.mark.parametrize(
    ("task_type", "given", "problem"),
    [
        (
            EMBEDDING,
            {"input_type": "x"},
            "[task_settings] Invalid value [x] received. "
            "[input_type] must be one of [classification, clustering, ingest, search]",
        ),
        (
            EMBEDDING,
            {"truncate": "middle"},
            "[task_settings] Invalid value [middle] received. [truncate] must be one of [END, NONE, START]",
        ),
        (RERANK, {"top_n": 0}, "[task_settings] Invalid value [0]. [top_n] must be a positive integer"),
    ],
)
def test_what_is_wrong_with_task_settings_is_named(task_type: str, given: dict[str, Any], problem: str) -> None:
    assert texts(task(given, task_type)) == [problem]


@pytest.mark.parametrize("task_type", ["completion", EMBEDDING, RERANK])
def test_each_task_type_has_task_settings_of_its_own(task_type: str) -> None:
    of_embeddings = {"input_type": "search", "truncate": "END"}
    of_rerank = {"return_documents": True, "top_n": 3, "max_chunks_per_doc": 2}
    unknown = {
        "completion": {**of_embeddings, **of_rerank},
        EMBEDDING: of_rerank,
        RERANK: of_embeddings,
    }
    parsed = task({**of_embeddings, **of_rerank}, task_type)
    assert (texts(parsed), parsed.unknown) == ([], unknown[task_type])


def test_the_key_goes_to_the_host_of_the_url() -> None:
    destinations = COHERE.service_settings.destinations
    assert destinations(service(REQUIRED).values, "completion") == {"api_key": "api.cohere.ai:443"}
    values = service({**REQUIRED, "url": "http://engine.local:8000"}).values
    assert destinations(values, "completion") == {"api_key": "engine.local:8000"}


def test_the_listing_is_that_of_elasticsearch() -> None:
    listed = service_listing("cohere")
    every = [EMBEDDING, RERANK, "completion"]
    assert (listed["name"], listed["task_types"]) == ("Cohere", every)
    facts = {
        key: (one["label"], one["required"], one["sensitive"], one["updatable"], one["type"])
        for key, one in listed["configurations"].items()
    }
    assert facts == {
        "api_key": ("API Key", True, True, True, "str"),
        "model_id": ("Model ID", False, False, False, "str"),
        "rate_limit.requests_per_minute": ("Rate Limit", False, False, False, "int"),
    }
    assert all(one["supported_task_types"] == every for one in listed["configurations"].values())


async def test_a_completion_is_asked_for_and_read(fake: FakeProvider) -> None:
    async with endpoint(fake, "command-x") as provider:
        completion = await provider.complete(user_message("What is Elastic?"))
    assert fake.last.path == "/v2/chat"
    assert fake.last.body == (
        b'{"messages":[{"role":"user","content":"What is Elastic?"}],"model":"command-x","stream":false}'
    )
    assert fake.last.headers["authorization"] == f"Bearer {fake.api_key}"
    assert fake.last.headers["request-source"] == "unspecified:elasticsearch"
    assert (completion.texts, completion.finish_reason) == (["What is Elastic?"], "stop")
    assert (completion.usage, completion.id) == (Usage(496, 11, 507, cached_tokens=0), "f17a5f6c")


async def test_a_stream_is_asked_for_and_read(fake: FakeProvider) -> None:
    async with endpoint(fake, "command-x") as provider:
        chunks = await streamed(provider, "one two  three\n")
    assert fake.last.json()["stream"] is True
    assert fake.last.headers["accept"] == "text/event-stream"
    assert text_of(chunks) == "one two  three\n"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {"f17a5f6c"}
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == Usage(496, 11, 507, cached_tokens=0)


async def test_the_stream_of_version_1_is_still_understood(fake: FakeProvider) -> None:
    async with endpoint(fake, "v1") as provider:
        chunks = await streamed(provider, "one twö three")
    assert text_of(chunks) == "one twö three"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == Usage(496, 11, 507, cached_tokens=0)


async def test_thoughts_and_tools_are_no_part_of_the_text(fake: FakeProvider) -> None:
    call = ToolCall(0, "get_capital_a1", "function", FunctionCall("get_capital", '{"country":"UK"}'))
    async with endpoint(fake, "think") as provider:
        assert (await provider.complete(user_message("once"))).texts == ["once"]
        chunks = await streamed(provider, "once")
        assert text_of(chunks) == "once"
        assert "hm" in {choice.delta.reasoning for chunk in chunks for choice in chunk.choices}
    async with endpoint(fake, "tool") as provider:
        completion = await provider.complete(user_message("x"))
        assert (completion.tool_calls, completion.finish_reason) == ([call], "tool_calls")


@pytest.mark.parametrize(
    ("kind", "sent", "named", "vectors"),
    [
        ("float", "float", "float", [[1.0, 0.5, -1.0], [3.0, 0.5, -1.0]]),
        ("byte", "int8", "byte", [[1, -117, 127], [3, -117, 127]]),
        ("int8", "int8", "byte", [[1, -117, 127], [3, -117, 127]]),
        ("bit", "binary", "bit", [[1, -17, 64], [3, -17, 64]]),
        ("binary", "binary", "bit", [[1, -17, 64], [3, -17, 64]]),
    ],
)
async def test_each_kind_of_vectors_is_asked_for_and_read(
    fake: FakeProvider, kind: str, sent: str, named: str, vectors: list[list[float]]
) -> None:
    async with endpoint(fake, "embed", EMBEDDING, embedding_type=kind) as provider:
        embeddings = await provider.embed(["a", "bcd"])
    assert fake.last.path == "/v2/embed"
    assert fake.last.json() == {
        "texts": ["a", "bcd"],
        "model": "embed",
        "input_type": "search_document",
        "embedding_types": [sent],
    }
    assert (embeddings.vectors, embeddings.kind) == (vectors, named)
    assert {type(value) for vector in embeddings.vectors for value in vector} == {float if named == "float" else int}
    assert embeddings.usage == Usage(prompt_tokens=2, total_tokens=2)


@pytest.mark.parametrize(
    ("stored", "given", "sent"),
    [
        ("ingest", None, "search_document"),
        ("search", None, "search_query"),
        ("clustering", None, "clustering"),
        ("search", "classification", "classification"),
        (None, "search", "search_query"),
        (None, None, "search_document"),
    ],
)
async def test_the_input_type_of_a_request_goes_over_the_stored_one(
    fake: FakeProvider, stored: str | None, given: str | None, sent: str
) -> None:
    async with endpoint(fake, "embed", EMBEDDING, {"input_type": stored, "truncate": "start"}) as provider:
        await provider.embed(["a"], given)
    assert (fake.last.json()["input_type"], fake.last.json()["truncate"]) == (sent, "START")


async def test_many_inputs_are_sent_in_several_requests(fake: FakeProvider) -> None:
    async with endpoint(fake, "embed", EMBEDDING) as provider:
        embeddings = await provider.embed(["x" * length for length in range(200)])
    assert [vector[0] for vector in embeddings.vectors] == list(range(200))
    assert [len(request.json()["texts"]) for request in fake.requests] == [96, 96, 8]


async def test_inputs_are_cut_at_max_input_tokens(fake: FakeProvider) -> None:
    async with endpoint(fake, "embed", EMBEDDING, max_input_tokens=2) as provider:
        await provider.embed(["short", "much too long"])
    assert fake.last.json()["texts"] == ["short", "much t"]


async def test_a_missing_vector_is_an_error(fake: FakeProvider) -> None:
    async with endpoint(fake, "short", EMBEDDING) as provider:
        with pytest.raises(ProviderError, match=r"\[2\] inputs were sent, \[1\] embeddings came back"):
            await provider.embed(["a", "b"])


async def test_documents_are_ranked(fake: FakeProvider) -> None:
    async with endpoint(fake, "rank", RERANK, {"max_chunks_per_doc": 3}) as provider:
        ranked = await provider.rerank("q", ["a", "ccc", "bb"], top_n=None, return_documents=None)
    assert fake.last.path == "/v2/rerank"
    assert fake.last.json() == {"model": "rank", "query": "q", "documents": ["a", "ccc", "bb"]}
    assert ranked == [Ranked(1, 1.0), Ranked(2, 0.5), Ranked(0, 1 / 3)]


@pytest.mark.parametrize(
    ("stored", "top_n", "return_documents", "ranked"),
    [
        ({"top_n": 1, "return_documents": True}, None, None, [Ranked(1, 1.0, "ccc")]),
        ({"top_n": 1, "return_documents": True}, 2, False, [Ranked(1, 1.0), Ranked(2, 0.5)]),
        ({}, 1, True, [Ranked(1, 1.0, "ccc")]),
    ],
)
async def test_what_a_rerank_request_says_goes_over_what_is_stored(
    fake: FakeProvider, stored: dict[str, Any], top_n: int | None, return_documents: bool | None, ranked: list[Ranked]
) -> None:
    async with endpoint(fake, "rank", RERANK, stored) as provider:
        answer = await provider.rerank("q", ["a", "ccc", "bb"], top_n=top_n, return_documents=return_documents)
    assert answer == ranked
    assert fake.last.json()["top_n"] == len(ranked)


async def test_task_settings_of_a_request_go_over_the_stored_ones(fake: FakeProvider) -> None:
    async with endpoint(fake, "embed", EMBEDDING, {"truncate": "END", "input_type": "search"}) as provider:
        await provider.with_task_settings({"truncate": "NONE"}).embed(["a"])
        assert (fake.last.json()["truncate"], fake.last.json()["input_type"]) == ("NONE", "search_query")
        with pytest.raises(SettingsInvalid, match=r"\[truncate\] must be one of"):
            provider.with_task_settings({"truncate": "x"})
        with pytest.raises(StatusError, match=r"settings \[{top_n=1}\] unknown to the \[cohere\] service"):
            provider.with_task_settings({"top_n": 1})


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (401, 401, "Received an authentication error status code"),
        (403, 403, "Received an unsuccessful status code"),
        (404, 404, "Received an unsuccessful status code"),
        (422, 422, "Received an unsuccessful status code"),
        (429, 429, "Received a rate limit status code"),
        (498, 400, "Received an unsuccessful status code"),
        (500, 400, "Received a server error status code"),
        (503, 400, "Received a server error status code"),
    ],
)
async def test_each_status_has_its_words_and_the_key_is_not_among_them(
    fake: FakeProvider, status: int, shown: int, prefix: str
) -> None:
    async with endpoint(fake, f"error:{status}") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    assert error.value.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***]"
    assert error.value.status == shown
    assert len(fake.requests) == (3 if status in (429, 500, 503) else 1)


async def test_too_many_texts_have_words_of_their_own(fake: FakeProvider) -> None:
    async with endpoint(fake, "embed", EMBEDDING) as provider:
        vars(provider)["inputs_per_request"] = 200
        with pytest.raises(ProviderError, match=r"^Received a texts array too large response .* status \[400\]"):
            await provider.embed(["x"] * 97)


async def test_an_error_in_a_stream_comes_after_what_was_sent_before_it(fake: FakeProvider) -> None:
    chunks: list[Chunk] = []

    async def read(provider: HttpProvider) -> None:
        async for batch in provider.stream(user_message("one two")):
            chunks.extend(batch)

    async with endpoint(fake, "fail") as provider:
        with pytest.raises(ProviderError) as error:
            await read(provider)
    assert text_of(chunks) == "one two"
    message = "Cohere stopped the stream due to an error: out of luck"
    assert error.value.reason == f"Received an error response {REQUEST}. Error message: [{message}]"
    assert error.value.status == 500


async def test_a_whole_answer_that_ended_with_an_error_is_one(fake: FakeProvider) -> None:
    async with endpoint(fake, "fail") as provider:
        with pytest.raises(ProviderError, match=r"^Received an error response .* due to an error: ERROR\]"):
            await provider.complete(user_message("x"))


@pytest.mark.parametrize("model", ["cut", "drop"])
async def test_an_answer_that_is_cut_off_is_an_error(fake: FakeProvider, model: str) -> None:
    async with endpoint(fake, model) as provider:
        with pytest.raises(ProviderError, match="was cut off") as error:
            await streamed(provider)
    assert error.value.status == 500
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("task_type", "body", "reason"),
    [
        ("completion", b"x", "Cause: the answer is not a chat"),
        ("completion", b"{}", r"Cause: Required \[message\]"),
        ("completion", b'{"message":"not today"}', r"^Received an error response .* Error message: \[not today\]"),
        (EMBEDDING, b"x", "Cause: the answer is not a list of embeddings"),
        (EMBEDDING, b"{}", r"Cause: Required \[embeddings\]"),
        (EMBEDDING, b'{"embeddings":{"int8":[[1]]}}', r"Cause: Required \[embeddings.float\]"),
        (EMBEDDING, b'{"message":"not today"}', r"^Received an error response .* Error message: \[not today\]"),
        (RERANK, b"x", "Cause: the answer is not a list of ranks"),
        (RERANK, b"{}", r"Cause: Required \[results\]"),
        (RERANK, b'{"message":"not today"}', r"^Received an error response .* Error message: \[not today\]"),
    ],
)
def test_an_answer_that_is_something_else_is_an_error(task_type: str, body: bytes, reason: str) -> None:
    provider = bound("cohere", HttpClient(PrivateHosts()), task_type, REQUIRED)
    assert isinstance(provider, HttpProvider)
    failures = provider._failures("x")
    read: dict[str, Callable[[], object]] = {
        "completion": lambda: provider.read_completion(body, failures),
        EMBEDDING: lambda: provider.read_embeddings(body, 1, failures),
        RERANK: lambda: provider.read_ranked(body, ["a"], failures),
    }
    with pytest.raises(ProviderError, match=reason):
        read[task_type]()


@pytest.mark.parametrize("prefix", ["", "/a/prefix"])
@pytest.mark.parametrize("trailing", ["", "/"])
async def test_another_address_may_stand_for_the_public_one(fake: FakeProvider, prefix: str, trailing: str) -> None:
    settings = {"api_key": fake.api_key, "model_id": "x"}
    async with client(service_urls={"cohere": fake.url + prefix}) as http:
        await streamed(bound("cohere", http, settings=settings))
        assert fake.last.path == f"{prefix}/v2/chat"
        await streamed(bound("cohere", http, settings={**settings, "url": f"{fake.url}/mine{trailing}"}))
        assert fake.last.path == "/mine/v2/chat"


def test_the_key_is_in_no_text_of_a_provider() -> None:
    provider = bound("cohere", HttpClient(PrivateHosts()), settings=REQUIRED)
    for text in (repr(provider), repr(provider.binding), repr(provider.settings)):
        assert "co-0123456789" not in text


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_lines_are_split_wherever_reads_end(line_end: bytes) -> None:
    body = line_end.join([b'{"a":1}', b"", b'{"b":"\xc3\xb6"}', b"{}"])
    for size in range(1, len(body) + 1):
        splitter = LineSplitter()
        events = [event for start in range(0, len(body), size) for event in splitter.feed(body[start : start + size])]
        assert [*events, *splitter.end()] == [(b"", b'{"a":1}'), (b"", b'{"b":"\xc3\xb6"}'), (b"", b"{}")]
        assert splitter.end() == []


def test_a_line_without_end_is_too_large() -> None:
    splitter = LineSplitter()
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x" * (MAX_EVENT_BYTES + 1))


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"\n\n{}\n", [(b"", b"{}")]),
        (b"\n\ndata: {}\n\n", [(b"", b"{}")]),
        (b"\xef\xbb\xbfdata: {}\n\n", [(b"", b"{}")]),
        (b": comment\n\nevent: a\ndata: {}\n\n", [(b"a", b"{}")]),
        (b" \n", []),
        (b"", []),
    ],
)
def test_the_first_byte_says_what_a_stream_is(body: bytes, events: list[tuple[bytes, bytes]]) -> None:
    splitter = EventsOrLines()
    found = [event for byte in range(len(body)) for event in splitter.feed(body[byte : byte + 1])]
    assert [*found, *splitter.end()] == events
