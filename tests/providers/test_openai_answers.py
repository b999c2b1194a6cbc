"""Whole answers of an OpenAI-shaped provider: completions and embeddings."""

from __future__ import annotations

import pytest

from endpoints.providers import load
from endpoints.providers._base import Usage, user_message
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import openai
from wire.errors import ProviderError, SettingsInvalid


async def test_a_completion_has_the_text_and_what_it_cost(fake: FakeProvider) -> None:
    async with openai(fake, "gpt-echo") as provider:
        completion = await provider.complete(user_message("What is Elastic?"))
    assert completion.texts == ["What is Elastic?"]
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(13, 11, 24, cached_tokens=4, reasoning_tokens=2)
    assert fake.last.body == (
        b'{"messages":[{"content":"What is Elastic?","role":"user"}],"model":"gpt-echo","n":1,"stream":false}'
    )
    assert fake.last.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        (
            "not-json",
            500,
            "Failed to send OpenAI chat completions request .* Cause: the answer is not a chat completion",
        ),
        ("error-in-200", 400, r"Received an error response .* status \[200\]\. Error message: \[not today\]"),
        ("empty-object", 500, r"Cause: Required \[choices\]"),
        ("huge:1", 500, "Cause: the answer is not a chat completion"),
        ("drop", 500, "Cause: the connection was closed before the end of the answer"),
    ],
)
async def test_an_answer_that_is_no_completion_is_an_error(
    fake: FakeProvider, model: str, status: int, reason: str
) -> None:
    async with openai(fake, model) as provider:
        with pytest.raises(ProviderError, match=reason) as error:
            await provider.complete(user_message("x"))
    assert error.value.status == status


async def test_embeddings_are_asked_for_with_what_was_set(fake: FakeProvider) -> None:
    async with openai(fake, "embed", "text_embedding", {"user": "u-1"}, dimensions=3) as provider:
        embeddings = await provider.embed(["a", "bcd"])
    assert embeddings.vectors == [[1.0, 0.5, -1.0], [3.0, 0.5, -1.0]]
    assert embeddings.kind == "float"
    assert embeddings.usage == Usage(prompt_tokens=2, total_tokens=2)
    assert fake.last.path == "/v1/embeddings"
    assert fake.last.body == b'{"input":["a","bcd"],"model":"embed","user":"u-1","dimensions":3}'


async def test_what_was_not_set_is_not_sent(fake: FakeProvider) -> None:
    async with openai(fake, "embed", "text_embedding") as provider:
        await provider.embed(["a"])
    assert fake.last.body == b'{"input":["a"],"model":"embed"}'


async def test_vectors_are_in_the_order_of_the_inputs(fake: FakeProvider) -> None:
    async with openai(fake, "embed-reversed", "text_embedding") as provider:
        embeddings = await provider.embed(["a", "bb", "ccc"])
    assert [vector[0] for vector in embeddings.vectors] == [1.0, 2.0, 3.0]


async def test_a_missing_vector_is_an_error(fake: FakeProvider) -> None:
    async with openai(fake, "embed-short", "text_embedding") as provider:
        with pytest.raises(ProviderError, match=r"\[3\] inputs were sent, \[2\] embeddings came back"):
            await provider.embed(["a", "bb", "ccc"])


@pytest.mark.parametrize(
    ("model", "cause"), [("not-json", "not a list of embeddings"), ("empty-object", r"Required \[data\]")]
)
async def test_an_answer_without_vectors_is_an_error(fake: FakeProvider, model: str, cause: str) -> None:
    async with openai(fake, model, "text_embedding") as provider:
        with pytest.raises(ProviderError, match=f"Failed to send OpenAI embeddings request .* Cause: .*{cause}"):
            await provider.embed(["a"])


async def test_many_inputs_are_sent_in_several_requests(fake: FakeProvider) -> None:
    assert load("openai").inputs_per_request == 2048  # type: ignore[attr-defined]
    async with openai(fake, "embed", "text_embedding") as provider:
        provider.inputs_per_request = 10  # type: ignore[attr-defined]
        texts = ["x" * length for length in range(25)]
        embeddings = await provider.embed(texts)
    assert [vector[0] for vector in embeddings.vectors] == list(range(25))
    assert [len(request.json()["input"]) for request in fake.requests] == [10, 10, 5]
    assert embeddings.usage == Usage(prompt_tokens=25, total_tokens=25)


async def test_inputs_are_cut_at_max_input_tokens(fake: FakeProvider) -> None:
    async with openai(fake, "embed", "text_embedding", max_input_tokens=2) as provider:
        await provider.embed(["short", "much too long"])
    assert fake.last.json()["input"] == ["short", "much t"]


async def test_an_input_type_is_refused(fake: FakeProvider) -> None:
    async with openai(fake, "embed", "text_embedding") as provider:
        await provider.embed(["a"], "unspecified")
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[search\]"):
            await provider.embed(["a"], "search")
    assert len(fake.requests) == 1


async def test_no_inputs_need_no_request(fake: FakeProvider) -> None:
    async with openai(fake, "embed", "text_embedding") as provider:
        assert (await provider.embed([])).vectors == []
    assert fake.requests == []
