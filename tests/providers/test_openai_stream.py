"""A streamed answer of an OpenAI-shaped provider, over real sockets: what arrives, how it ends, who closes."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from endpoints.providers._base import Chat, Chunk, Delta, Message, ToolCall, Usage, user_message
from endpoints.providers._retries import Retries
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import openai, streamed, text_of
from wire.errors import ProviderError, StatusError


async def failed(fake: FakeProvider, model: str, task_type: str = "completion") -> tuple[list[Chunk], ProviderError]:
    """Return what came before a stream failed, and the failure."""
    chunks: list[Chunk] = []
    async with openai(fake, model, task_type) as provider:
        try:
            async for batch in provider.stream(user_message("x")):
                chunks += batch
        except ProviderError as error:
            return chunks, error
    pytest.fail("the stream did not fail")


async def test_the_chunks_are_those_of_the_provider(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo") as provider:
        chunks = await streamed(provider, "Hello wörld")
    assert [chunk.choices[0].delta for chunk in chunks[:3]] == [
        Delta(content="", role="assistant"),
        Delta(content="Hello"),
        Delta(content=" wörld"),
    ]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None, None, None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == Usage(13, 11, 24, cached_tokens=4, reasoning_tokens=2)
    assert {chunk.model for chunk in chunks} == {"gpt-fake-2026-07-01"}
    assert all(chunk.id.startswith("chatcmpl-") for chunk in chunks)


async def test_a_completion_is_asked_for_in_the_order_that_elasticsearch_has(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo", task_settings={"user": "u-1"}, organization_id="org-1") as provider:
        await streamed(provider, "hi")
    assert fake.last.method == "POST"
    assert fake.last.path == "/v1/chat/completions"
    assert fake.last.body == (
        b'{"messages":[{"content":"hi","role":"user"}],"model":"gpt-echo","n":1,"stream":true,'
        b'"stream_options":{"include_usage":true},"user":"u-1"}'
    )
    assert fake.last.headers["authorization"] == f"Bearer {fake.api_key}"
    assert fake.last.headers["openai-organization"] == "org-1"
    assert fake.last.headers["content-type"] == "application/json"
    assert fake.last.headers["accept"] == "text/event-stream"
    assert fake.last.headers["accept-encoding"] == "identity"


async def test_a_chat_is_asked_for_with_all_its_fields(fake: FakeProvider) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = Chat(
        messages=(
            Message("system", "be brief"),
            Message("assistant", None, tool_calls=[call]),
            Message("tool", "4", tool_call_id="call_1"),
        ),
        model="gpt-other",
        max_completion_tokens=100,
        stop=["END"],
        temperature=0,
        top_p=0.5,
        tool_choice="auto",
        tools=[{"type": "function", "function": {"name": "f"}}],
        reasoning={"effort": "low", "summary": "auto"},
    )
    async with openai(fake, "gpt-echo", "chat_completion") as provider:
        async for _ in provider.stream(chat):
            pass
    sent = fake.last.json()
    assert list(sent) == [
        *("messages", "stop", "temperature", "tool_choice", "tools", "top_p", "max_completion_tokens", "model"),
        *("n", "stream", "stream_options", "reasoning_effort"),
    ]
    assert sent["messages"] == [
        {"content": "be brief", "role": "system"},
        {"role": "assistant", "tool_calls": [call]},
        {"content": "4", "role": "tool", "tool_call_id": "call_1"},
    ]
    assert (sent["model"], sent["temperature"], sent["reasoning_effort"]) == ("gpt-other", 0, "low")


async def test_reasoning_without_effort_is_refused(fake: FakeProvider) -> None:
    chat = Chat((Message("user", "x"),), reasoning={"summary": "auto"})
    async with openai(fake, "gpt-echo", "chat_completion") as provider:
        with pytest.raises(StatusError, match=r"requires \[reasoning.effort\]"):
            await anext(provider.stream(chat))
    assert fake.requests == []


async def test_nothing_of_this_process_is_told_to_a_provider(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-this-process")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-this-process")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "key-of-this-process")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-this-process")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/of-this-process")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Custom: of-this-process\nAuthorization: Bearer of-this-process")
    async with openai(fake, "gpt-echo") as provider:
        await streamed(provider)
    sent = fake.last.headers
    assert "of-this-process" not in str(sent)
    assert not {"x-stainless-os", "x-stainless-arch", "openai-organization", "openai-project"} & set(sent)


async def test_deltas_of_one_read_are_one_batch(fake: FakeProvider) -> None:
    async with openai(fake, "burst:100") as provider:
        batches = [batch async for batch in provider.stream(user_message("x"))]
    assert sum(map(len, batches)) == 103
    assert len(batches) < 10


async def test_deltas_come_when_they_are_sent(fake: FakeProvider) -> None:
    times = []
    async with openai(fake, "tick:0.1:4") as provider:
        start = time.monotonic()
        async for _ in provider.stream(user_message("x")):
            times.append(time.monotonic() - start)
    assert len(times) >= 4
    assert times[0] < 0.25
    assert 0.28 < times[-1] < 2


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("byte-by-byte", "päivää 🎉"),
        ("raw:no-done", "one"),
        ("raw:no-done-no-newline", "one"),
        ("raw:done-no-newline", "one"),
        ("raw:done-lower-case", "one"),
        ("raw:after-done", "one"),
        ("raw:parts", "ab"),
        ("raw:nulls", "one"),
        ("raw:no-delta", "x"),
        ("raw:empty-data", "one"),
        ("raw:bom", "one"),
        ("whole", "päivää 🎉"),
    ],
)
async def test_other_ways_to_send_an_answer_are_understood(fake: FakeProvider, model: str, text: str) -> None:
    async with openai(fake, model) as provider:
        assert text_of(await streamed(provider, "päivää 🎉")) == text


async def test_thoughts_are_read_under_both_names(fake: FakeProvider) -> None:
    async with openai(fake, "raw:reasoning") as provider:
        chunks = await streamed(provider)
    assert [chunk.choices[0].delta.reasoning for chunk in chunks[:3]] == ["hm", "so", None]


async def test_tool_calls_come_in_pieces(fake: FakeProvider) -> None:
    async with openai(fake, "raw:tools", "chat_completion") as provider:
        chunks = await streamed(provider)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert all(isinstance(call, ToolCall) and call.index == 0 for call in calls)
    assert (calls[0].id, calls[0].type) == ("call_1", "function")
    functions = [call.function for call in calls if call.function]
    assert functions[0].name == "get_capital"
    assert "".join(function.arguments or "" for function in functions) == '{"country":"UK"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("model", "before", "message"),
    [
        ("raw:error-first", "", "the model fell over"),
        ("raw:error-midway", "one two", "the model fell over"),
        ("raw:error-then-done", "one", "the model fell over"),
        ("raw:error-string", "one", "out of memory"),
        ("raw:error-event", "one", "tool call failed"),
        ("raw:error-with-choices", "", "Token limit reached"),
        ("raw:error-flat", "one", "flat"),
    ],
)
async def test_an_error_in_a_stream_comes_after_what_was_sent_before_it(
    fake: FakeProvider, model: str, before: str, message: str
) -> None:
    chunks, error = await failed(fake, model)
    assert text_of(chunks) == before
    assert error.status == 400
    assert error.reason == (
        f"Received an error response for request from inference entity id [my-endpoint]. Error message: [{message}]"
    )


@pytest.mark.parametrize("model", ["raw:error-finish", "raw:error-event-text"])
async def test_an_error_without_a_message_is_one_too(fake: FakeProvider, model: str) -> None:
    chunks, error = await failed(fake, model)
    assert text_of(chunks) == "one"
    assert error.reason == "Received an error response for request from inference entity id [my-endpoint]"


async def test_an_error_in_a_chat_stream_has_status_500_and_the_providers_words(fake: FakeProvider) -> None:
    _, error = await failed(fake, "raw:error-midway", "chat_completion")
    assert (error.status, error.code, error.provider_type) == (500, "boom", "fake_error")


@pytest.mark.parametrize(
    ("model", "before", "cause"),
    [
        ("cut", "one two", "the connection was closed before the end of the answer"),
        ("raw:no-end", "one two", "the stream ended before the answer did"),
        ("raw:empty", "", "the stream ended before the answer did"),
        ("raw:only-comments", "", "the stream ended before the answer did"),
        ("raw:garbage", "one", "an event is not a chat completion chunk"),
        ("raw:no-choices", "one", "an event is not a chat completion chunk"),
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(fake: FakeProvider, model: str, before: str, cause: str) -> None:
    chunks, error = await failed(fake, model)
    assert text_of(chunks) == before
    assert error.status == 500
    assert error.reason == (
        "The OpenAI chat completions answer for inference entity id [my-endpoint] "
        f"from [{fake.url.removeprefix('http://')}] was cut off. Cause: {cause}"
    )
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("web-page", r"Cause: the answer is \[text/html\], not an event stream"),
        ("not-json", "Cause: the answer is not a chat completion"),
        ("error-in-200", r"^Received an error response for .* status \[200\]\. Error message: \[not today\]"),
    ],
)
async def test_an_answer_that_is_no_stream_says_what_it_is(fake: FakeProvider, model: str, reason: str) -> None:
    async with openai(fake, model) as provider:
        with pytest.raises(ProviderError, match=reason):
            await streamed(provider)


async def test_closing_a_stream_early_closes_the_connection_at_once(fake: FakeProvider) -> None:
    async with openai(fake, "tick:0.01:100000") as provider:
        async with aclosing(provider.stream(user_message("x"))) as stream:
            await anext(stream)
        start = time.monotonic()
        assert await asyncio.to_thread(fake.wait_closed)
        assert time.monotonic() - start < 0.25


@pytest.mark.parametrize("model", ["slow-headers", "late:3600", "idle"])
async def test_cancelling_closes_the_connection_wherever_it_waits(fake: FakeProvider, model: str) -> None:
    async with openai(fake, model) as provider:
        task = asyncio.create_task(streamed(provider))
        await asyncio.to_thread(fake.wait_requests)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        start = time.monotonic()
        assert await asyncio.to_thread(fake.wait_closed)
        assert time.monotonic() - start < 0.25


async def test_cancelling_the_wait_before_another_attempt_ends_it(fake: FakeProvider) -> None:
    async with openai(fake, "error:503") as provider:
        provider.retries = Retries(first_seconds=5.0)  # type: ignore[attr-defined]
        task = asyncio.create_task(streamed(provider))
        await asyncio.to_thread(fake.wait_requests)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(fake.requests) == 1


async def test_a_reader_that_pauses_holds_the_provider_back(fake: FakeProvider) -> None:
    """Only what fits into buffers is read ahead; the silence meanwhile is the reader's, not the provider's."""
    async with openai(fake, "flood:60", http={"idle_seconds": 0.5}) as provider:
        async with aclosing(provider.stream(user_message("x"))) as stream:
            await anext(stream)
            await asyncio.sleep(0.8)
            more = [await anext(stream) for _ in range(20)]
        assert sum(map(len, more)) > 0
        assert await asyncio.to_thread(fake.wait_closed)


async def test_a_slow_reader_gets_all_that_arrived_before_the_connection_broke(fake: FakeProvider) -> None:
    heard = ""
    async with openai(fake, "cut:0.01") as provider, aclosing(provider.stream(user_message("x"))) as stream:
        heard += text_of(await anext(stream))
        await asyncio.sleep(0.2)
        heard += text_of(await anext(stream))
        with pytest.raises(ProviderError, match="was cut off"):
            await anext(stream)
    assert heard == "one two"


async def test_many_streams_at_once_stay_apart(fake: FakeProvider) -> None:
    async with openai(fake, "byte-by-byte") as provider:
        prompts = [f"prompt number {number}" for number in range(20)]
        answers = await asyncio.gather(*(streamed(provider, prompt) for prompt in prompts))
    assert [text_of(answer) for answer in answers] == prompts
