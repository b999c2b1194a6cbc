"""The service that repeats its prompt."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given, settings
from hypothesis import strategies as st

from endpoints.providers import load
from endpoints.providers._base import Batch, Chat, Message, Provider, Usage, user_message
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import parse
from tests.providers.endpoints import bound, streamed, text_of
from wire.errors import ProviderError

TEXTS = st.text() | st.text(alphabet="ab \n\t\u2028\u00a0\u3000")


def echo(**given_settings: Any) -> Provider:
    return bound("echo", HttpClient(PrivateHosts()), settings=given_settings)


async def batches(provider: Provider, text: str) -> list[Batch]:
    return [batch async for batch in provider.stream(user_message(text))]


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_the_deltas_make_up_exactly_the_prompt(text: str, words: int) -> None:
    chunks = async_to_sync(streamed)(echo(words_per_delta=words), text)
    assert text_of(chunks) == text


@settings(deadline=None)
@given(TEXTS)
def test_a_whole_answer_is_exactly_the_prompt(text: str) -> None:
    completion = async_to_sync(echo().complete)(user_message(text))
    assert completion.texts == (text,)
    assert completion.finish_reason == "stop"


async def test_a_word_has_the_white_space_after_it() -> None:
    chunks = await streamed(echo(), "  one two\n\nthree ")
    deltas = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    assert deltas == ["  one ", "two\n\n", "three ", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == Usage(prompt_tokens=3, completion_tokens=3, total_tokens=6)


async def test_words_can_share_a_delta() -> None:
    chunks = await streamed(echo(words_per_delta=2), "one two three")
    assert [choice.delta.content for chunk in chunks for choice in chunk.choices] == ["one two ", "three", None]


async def test_the_last_message_of_a_chat_is_repeated() -> None:
    parts = [{"type": "text", "text": "say "}, {"type": "text", "text": "this"}]
    chat = Chat((Message("system", "be brief now"), Message("user", parts)))
    chunks = [chunk async for batch in echo().stream(chat) for chunk in batch]
    assert text_of(chunks) == "say this"
    assert chunks[-1].usage == Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)


async def test_words_without_a_pace_come_in_few_batches() -> None:
    assert [len(batch) for batch in await batches(echo(), "word " * 600)] == [256, 256, 90]


async def test_words_come_at_their_pace_and_do_not_drift() -> None:
    start = time.monotonic()
    times = []
    async for _ in echo(words_per_second=100).stream(user_message("w " * 50)):
        times.append(time.monotonic() - start)
        await asyncio.sleep(0.003)
    assert times[0] < 0.25
    assert 0.48 < times[-1] < 0.9


async def test_words_that_are_due_together_travel_together() -> None:
    """A reader that comes back late finds all that was due meanwhile in one batch."""
    stream = echo(words_per_second=200).stream(user_message("w " * 60))
    await anext(stream)
    await asyncio.sleep(0.15)
    late = await anext(stream)
    await stream.aclose()
    assert len(late) >= 25


async def test_the_first_word_can_be_delayed() -> None:
    start = time.monotonic()
    await anext(echo(first_word_delay_ms=150).stream(user_message("one two")))
    assert 0.15 <= time.monotonic() - start < 2


async def test_a_whole_answer_takes_as_long_as_the_stream() -> None:
    start = time.monotonic()
    await echo(words_per_second=20, first_word_delay_ms=100).complete(user_message("one two three"))
    assert 0.2 <= time.monotonic() - start < 2


@pytest.mark.parametrize(("words", "before"), [(0, ""), (1, "one "), (2, "one two "), (3, "one two three")])
@pytest.mark.parametrize("words_per_delta", [1, 2])
async def test_it_fails_after_the_words_it_was_told(words: int, before: str, words_per_delta: int) -> None:
    provider = echo(fail_after_words=words, words_per_delta=words_per_delta)
    heard = ""
    with pytest.raises(ProviderError) as error:  # noqa: PT012 (what came before the failure is the point)
        async for batch in provider.stream(user_message("one two three")):
            heard += text_of(batch)
    assert heard == before
    assert error.value.reason == f"echo was told to fail after {words} words"
    assert error.value.status == 500


async def test_before_the_first_delta_it_fails_without_any_batch() -> None:
    with pytest.raises(ProviderError):
        await anext(echo(fail_after_words=0).stream(user_message("one")))


async def test_it_does_not_fail_where_the_prompt_has_fewer_words() -> None:
    assert text_of(await streamed(echo(fail_after_words=4), "one two three")) == "one two three"


async def test_a_whole_answer_fails_too() -> None:
    with pytest.raises(ProviderError, match="after 1 words"):
        await echo(fail_after_words=1).complete(user_message("one two"))


@pytest.mark.parametrize(
    ("given_settings", "problem"),
    [
        ({"words_per_second": 0}, "[words_per_second] must be greater than or equal to [0.001]"),
        ({"words_per_second": "fast"}, "field [words_per_second] is not of the expected type"),
        ({"first_word_delay_ms": -1}, "[first_word_delay_ms] must be greater than or equal to [0]"),
        ({"words_per_delta": 0}, "[words_per_delta] must be a positive integer"),
        ({"fail_after_words": 1.5}, "field [fail_after_words] is not of the expected type"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given_settings: dict[str, Any], problem: str) -> None:
    problems = parse(load("echo").service_settings, "completion", given_settings).problems
    assert [problem in one.text for one in problems] == [True]


def test_it_says_what_it_is_for() -> None:
    provider = load("echo")
    assert provider.service() == "echo"
    assert not provider.needs_validation
    assert provider.task_types == provider.streaming_task_types == ("completion", "chat_completion")
    assert "no provider" in provider.description
