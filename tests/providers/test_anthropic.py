"""The `anthropic` service: what it takes, what it sends, what it makes of answers and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._base import Chat, Chunk, FunctionCall, Message, ToolCall, Usage, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._http_provider import HttpProvider
from endpoints.providers._settings import Parsed, declared, nested, parse
from endpoints.serializers import service_listing
from tests.fakes import anthropic
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import QUICK, bound, client, streamed, text_of
from wire.errors import ProviderError, StatusError

ANTHROPIC = load("anthropic")
REQUIRED = {"api_key": "sk-ant-0123456789", "model_id": "claude-x"}
REQUEST = "for request from inference entity id [my-endpoint]"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=anthropic.respond) as running:
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
    async with client(service_urls={"anthropic": fake.url}) as http:
        given = {"api_key": fake.api_key, "model_id": model, **settings}
        provider = bound("anthropic", http, task_type, given, {"max_tokens": 64, **(task_settings or {})})
        assert isinstance(provider, HttpProvider)
        vars(provider)["retries"] = QUICK
        yield provider


def service(given: Mapping[str, Any]) -> Parsed:
    return parse(ANTHROPIC.service_settings, "completion", given)


def task(given: Mapping[str, Any]) -> Parsed:
    return parse(ANTHROPIC.task_settings, "completion", given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


def test_the_least_that_is_needed_gets_its_defaults() -> None:
    parsed = service(REQUIRED)
    assert texts(parsed) == []
    assert nested(ANTHROPIC.service_settings, parsed.values, "completion") == {
        "model_id": "claude-x",
        "rate_limit": {"requests_per_minute": 50},
    }


def test_all_task_settings_are_taken() -> None:
    given = {"max_tokens": 5, "temperature": 1, "top_k": 3, "top_p": 0.5}
    parsed = task(given)
    assert (texts(parsed), parsed.unknown) == ([], {})
    assert nested(ANTHROPIC.task_settings, parsed.values, "completion") == given


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_id": "x"}, "[secret_settings] does not contain the required setting [api_key]"),
        ({"api_key": "k"}, "[service_settings] does not contain the required setting [model_id]"),
        (
            {**REQUIRED, "api_key": "k\r\nX: y"},
            "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends",
        ),
        (
            {**REQUIRED, "url": "nowhere"},
            "[service_settings] Invalid url [nowhere] received for field [url]. Error: unable to parse url [nowhere]. "
            "Reason: expected http(s)://host[:port]/path",
        ),
    ],
)
def test_what_is_wrong_with_service_settings_is_named(given: dict[str, Any], problem: str) -> None:
    assert texts(service(given)) == [problem]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "[task_settings] does not contain the required setting [max_tokens]"),
        ({"max_tokens": 0}, "[task_settings] Invalid value [0]. [max_tokens] must be a positive integer"),
        (
            {"max_tokens": 1, "top_k": 0.5},
            "field [top_k] is not of the expected type. The value [0.5] cannot be converted to a [Integer]",
        ),
    ],
)
def test_what_is_wrong_with_task_settings_is_named(given: dict[str, Any], problem: str) -> None:
    assert texts(task(given)) == [problem]


def test_the_key_goes_to_the_host_of_the_url() -> None:
    destinations = ANTHROPIC.service_settings.destinations
    assert destinations(service(REQUIRED).values, "completion") == {"api_key": "api.anthropic.com:443"}
    values = service({**REQUIRED, "url": "http://engine.local:8000/v1/messages"}).values
    assert destinations(values, "completion") == {"api_key": "engine.local:8000"}


def test_the_listing_is_that_of_elasticsearch() -> None:
    listed = service_listing("anthropic")
    both = ["completion", "chat_completion"]
    assert (listed["name"], listed["task_types"]) == ("Anthropic", both)
    facts = {
        key: (one["label"], one["required"], one["sensitive"], one["updatable"], one["type"])
        for key, one in listed["configurations"].items()
    }
    assert facts == {
        "api_key": ("API Key", True, True, True, "str"),
        "model_id": ("Model ID", True, False, False, "str"),
        "max_tokens": ("Max Tokens", True, False, False, "int"),
        "rate_limit.requests_per_minute": ("Rate Limit", False, False, False, "int"),
    }
    assert all(one["supported_task_types"] == both for one in listed["configurations"].values())


def test_task_settings_can_be_updated_though_the_listing_does_not_say_so() -> None:
    assert all(one.updatable for one in declared(ANTHROPIC.task_settings))


async def test_a_completion_is_asked_for_with_what_was_set(fake: FakeProvider) -> None:
    async with endpoint(fake, "claude-x", task_settings={"temperature": 0, "top_k": 3, "top_p": 0.5}) as provider:
        completion = await provider.complete(user_message("What is Elastic?"))
    assert fake.last.path == "/v1/messages"
    assert fake.last.json() == {
        "messages": [{"role": "user", "content": "What is Elastic?"}],
        "model": "claude-x",
        "max_tokens": 64,
        "temperature": 0.0,
        "top_k": 3,
        "top_p": 0.5,
    }
    assert fake.last.headers["x-api-key"] == fake.api_key
    assert fake.last.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in fake.last.headers
    assert (completion.texts, completion.finish_reason) == (["What is Elastic?"], "stop")
    assert completion.usage == Usage(10, 7, 17, cached_tokens=2)
    assert (completion.id, completion.model) == ("msg_01ALwQ87pTS7hH1PjSdC9wJD", "claude-x")


async def test_a_stream_is_asked_for_and_read(fake: FakeProvider) -> None:
    async with endpoint(fake, "claude-x") as provider:
        chunks = await streamed(provider, "one two  three\n")
    assert fake.last.json() == {
        "messages": [{"role": "user", "content": "one two  three\n"}],
        "model": "claude-x",
        "max_tokens": 64,
        "stream": True,
    }
    assert fake.last.headers["accept"] == "text/event-stream"
    assert text_of(chunks) == "one two  three\n"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {(chunk.id, chunk.model) for chunk in chunks} == {("msg_01ALwQ87pTS7hH1PjSdC9wJD", "claude-x")}
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].usage == Usage(10, 7, 17, cached_tokens=2)


async def test_a_chat_is_translated(fake: FakeProvider) -> None:
    call = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    bare = {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": ""}}
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0"}}
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0", "filename": "a.pdf"}}
    chat = Chat(
        messages=(
            Message("system", "be brief"),
            Message("user", [{"type": "text", "text": "look"}, picture, inline, file]),
            Message("assistant", "I will", tool_calls=[call, bare]),
            Message("tool", "4", tool_call_id="toolu_1"),
            Message("tool", [{"type": "text", "text": "5"}], tool_call_id="toolu_2"),
            Message("developer", [{"type": "text", "text": "be kind"}]),
            Message("assistant", None, tool_calls=[call]),
            Message("tool", "6", tool_call_id="toolu_1"),
            Message("user", "and?"),
        ),
        model="claude-other",
        max_completion_tokens=2000,
        stop=["END"],
        temperature=0,
        top_p=0.5,
        tool_choice={"type": "function", "function": {"name": "f"}},
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "g", "strict": True}},
        ],
        reasoning={"effort": "high"},
    )
    async with endpoint(fake, "claude-x", "chat_completion", {"temperature": 1, "top_k": 2}) as provider:
        async for _ in provider.stream(chat):
            pass
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    assert fake.last.json() == {
        "model": "claude-other",
        "max_tokens": 2000,
        "stream": True,
        "system": "be brief\n\nbe kind",
        "stop_sequences": ["END"],
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 2,
        "tool_choice": {"type": "tool", "name": "f"},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}, "strict": True},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1600},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image", "source": {"type": "url", "url": "https://pictures.example/1.png"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0"}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
                        "title": "a.pdf",
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I will"},
                    use,
                    {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "5"}]},
                ],
            },
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "6"}]},
            {"role": "user", "content": "and?"},
        ],
    }


def sent(**fields: Any) -> Mapping[str, Any]:
    """Return what a chat of one message and `fields` is sent as."""
    provider = bound("anthropic", HttpClient(PrivateHosts()), "chat_completion", REQUIRED, {"max_tokens": 4096})
    assert isinstance(provider, HttpProvider)
    return provider.chat_body(Chat(**{"messages": (Message("user", "x"),), **fields}), stream=True)


@pytest.mark.parametrize(
    ("choice", "translated"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "any"}, {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
        (None, None),
    ],
)
def test_the_choice_of_a_tool_is_translated(choice: Any, translated: Any) -> None:
    assert sent(tool_choice=choice)["tool_choice"] == translated


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        ({"effort": "minimal"}, {"type": "enabled", "budget_tokens": 1024}),
        ({"effort": "medium"}, {"type": "enabled", "budget_tokens": 2048}),
        ({"effort": "xhigh"}, {"type": "enabled", "budget_tokens": 3891}),
        ({"enabled": True}, {"type": "enabled", "budget_tokens": 2048}),
        ({"effort": "none"}, {"type": "disabled"}),
        ({"effort": "high", "enabled": False}, {"type": "disabled"}),
        (
            {"effort": "medium", "exclude": True},
            {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        ),
    ],
)
def test_effort_becomes_a_budget_of_tokens(reasoning: dict[str, Any], thinking: dict[str, Any]) -> None:
    assert sent(reasoning=reasoning)["thinking"] == thinking


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"tool_choice": "perhaps"}, r"the tool choice \[perhaps\]"),
        ({"tools": [{"type": "web_search"}]}, r"tools of type \[web_search\]"),
        ({"messages": (Message("critic", "x"),)}, r"the role \[critic\]"),
        ({"messages": (Message("user", [{"type": "audio"}]),)}, r"content of type \[audio\]"),
        ({"reasoning": {"effort": "huge"}}, r"the reasoning effort \[huge\]"),
        ({"reasoning": {"effort": "low"}, "max_completion_tokens": 1024}, r"reasoning where .* \[1024\] tokens"),
    ],
)
def test_what_anthropic_cannot_do_is_said(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(StatusError, match=f"^Anthropic chat completion does not support {what}") as error:
        sent(**fields)
    assert error.value.status == 400


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"'])
def test_arguments_of_an_earlier_call_have_to_be_an_object(arguments: str) -> None:
    call = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(StatusError, match=r"arguments of the tool call \[toolu_1\] are not a JSON object"):
        sent(messages=(Message("assistant", None, tool_calls=[call]),))


async def test_a_whole_answer_may_call_tools(fake: FakeProvider) -> None:
    async with endpoint(fake, "tool", "chat_completion") as provider:
        completion = await provider.complete(user_message("x"))
    call = ToolCall(0, "toolu_01", "function", FunctionCall("get_capital", '{"country":"UK"}'))
    assert (completion.tool_calls, completion.finish_reason) == ([call], "tool_calls")


async def test_each_text_is_a_result_of_a_completion_and_a_part_of_a_chat(fake: FakeProvider) -> None:
    async with endpoint(fake, "two-texts") as provider:
        assert (await provider.complete(user_message("once"))).texts == ["once", "again"]
    async with endpoint(fake, "two-texts", "chat_completion") as provider:
        assert (await provider.complete(user_message("once"))).texts == ["onceagain"]


async def test_thoughts_are_no_part_of_the_text(fake: FakeProvider) -> None:
    async with endpoint(fake, "think") as provider:
        assert (await provider.complete(user_message("once"))).texts == ["once"]
        chunks = await streamed(provider, "once")
    assert text_of(chunks) == "once"
    assert [choice.delta.reasoning for chunk in chunks for choice in chunk.choices if choice.delta.reasoning] == ["hm"]


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received an unsuccessful status code"),
        (401, 401, "Received an authentication error status code"),
        (402, 402, "Received an unsuccessful status code"),
        (403, 403, "Received a permission denied error status code"),
        (404, 404, "Received an unsuccessful status code"),
        (413, 413, "Received an unsuccessful status code"),
        (
            429,
            429,
            "Received a rate limit status code. Token limit [80000], remaining tokens [0], tokens reset "
            "[2026-07-02T01:30:17Z]. Request limit [50], remaining requests [49], request reset "
            "[2026-07-02T01:30:18Z]. Retry after [unknown]",
        ),
        (500, 400, "Received a server error status code"),
        (503, 400, "Received a server error status code"),
        (504, 400, "Received a server error status code"),
        (529, 400, "Received an Anthropic server is temporarily overloaded status code"),
    ],
)
async def test_each_status_has_its_words_and_the_key_is_not_among_them(
    fake: FakeProvider, status: int, shown: int, prefix: str
) -> None:
    async with endpoint(fake, f"error:{status}") as provider:
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    assert error.value.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for ***]"
    assert error.value.status == shown
    assert len(fake.requests) == (3 if status in (429, 500, 503, 529) else 1)


async def test_an_error_in_a_stream_comes_after_what_was_sent_before_it(fake: FakeProvider) -> None:
    chunks: list[Chunk] = []

    async def read(provider: HttpProvider) -> None:
        async for batch in provider.stream(user_message("one two")):
            chunks.extend(batch)

    async with endpoint(fake, "overloaded", "chat_completion") as provider:
        with pytest.raises(ProviderError) as error:
            await read(provider)
    assert text_of(chunks) == "one two"
    assert error.value.reason == f"Received an error response {REQUEST}. Error message: [Overloaded]"
    assert (error.value.status, error.value.provider_type) == (500, "overloaded_error")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("something_new", 500),
    ],
)
def test_the_type_of_an_error_in_a_stream_decides_its_status(kind: str, status: int) -> None:
    provider = bound("anthropic", HttpClient(PrivateHosts()), "completion", REQUIRED, {"max_tokens": 1})
    assert isinstance(provider, HttpProvider)
    reader = provider.event_reader(provider._failures("x"))
    data = b'data: {"type":"error","error":{"type":"%b","message":"m sk-ant-0123456789"}}\n\n' % kind.encode()
    assert reader.feed(b"event: error\n" + data) == []
    assert reader.error is not None
    assert reader.error.status == status
    assert reader.error.reason.endswith("Error message: [m ***]")


@pytest.mark.parametrize("model", ["cut", "drop"])
async def test_an_answer_that_is_cut_off_is_an_error(fake: FakeProvider, model: str) -> None:
    async with endpoint(fake, model) as provider:
        with pytest.raises(ProviderError, match="was cut off") as error:
            await streamed(provider)
    assert error.value.status == 500
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x", "Failed to send Anthropic chat completions request .* Cause: the answer is not a message"),
        (b"{}", r"Cause: Required \[content\]"),
        (
            b'{"type":"error","error":{"type":"api_error","message":"not today"}}',
            r"^Received an error response .* status \[200\]\. Error message: \[not today\]",
        ),
    ],
)
def test_an_answer_that_is_no_message_is_an_error(body: bytes, reason: str) -> None:
    provider = bound("anthropic", HttpClient(PrivateHosts()), "completion", REQUIRED, {"max_tokens": 1})
    assert isinstance(provider, HttpProvider)
    with pytest.raises(ProviderError, match=reason):
        provider.read_completion(body, provider._failures(provider.completion_name))


@pytest.mark.parametrize("prefix", ["", "/a/prefix"])
async def test_another_address_may_stand_for_the_public_one(fake: FakeProvider, prefix: str) -> None:
    async with client(service_urls={"anthropic": fake.url + prefix}) as http:
        settings = {"api_key": fake.api_key, "model_id": "x"}
        await streamed(bound("anthropic", http, settings=settings, task_settings={"max_tokens": 1}))
    assert fake.last.path == f"{prefix}/v1/messages"


async def test_an_address_of_the_endpoint_is_taken_as_it_is(fake: FakeProvider) -> None:
    async with endpoint(fake, "x", url=f"{fake.url}/proxy/v1/messages") as provider:
        await streamed(provider)
    assert fake.last.path == "/proxy/v1/messages"


def test_the_key_is_in_no_text_of_a_provider() -> None:
    provider = bound("anthropic", HttpClient(PrivateHosts()), "completion", REQUIRED, {"max_tokens": 1})
    for shown in (repr(provider), repr(provider.binding), repr(provider.settings)):
        assert "sk-ant-0123456789" not in shown
