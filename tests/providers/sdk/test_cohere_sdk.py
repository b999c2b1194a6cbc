"""Cohere's own client sends what the `cohere` service sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cohere import ChatMessageV2, ClientV2, UserChatMessageV2

from endpoints.providers._base import user_message
from tests.fakes import cohere
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, client, streamed

MESSAGES: list[ChatMessageV2] = [UserChatMessageV2(content="hi")]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=cohere.respond) as running:
        yield running


@pytest.fixture
def sdk(fake: FakeProvider) -> ClientV2:
    return ClientV2(api_key=fake.api_key, base_url=fake.url)


def same(fake: FakeProvider) -> bool:
    """Return whether the last two requests ask for the same, in the same shape."""
    theirs, ours = fake.requests[-2:]
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert (ours.path, ours.json()) == (theirs.path, theirs.json())
    return True


async def test_a_stream_is_asked_for_as_by_the_sdk(fake: FakeProvider, sdk: ClientV2) -> None:
    events = list(sdk.chat_stream(model="command-x", messages=MESSAGES))
    assert events[-1].type == "message-end"
    async with client(service_urls={"cohere": fake.url}) as http:
        await streamed(bound("cohere", http, settings={"api_key": fake.api_key, "model_id": "command-x"}), "hi")
    assert same(fake)


async def test_a_completion_is_asked_for_as_by_the_sdk(fake: FakeProvider, sdk: ClientV2) -> None:
    assert sdk.chat(model="command-x", messages=MESSAGES).finish_reason == "COMPLETE"
    async with client(service_urls={"cohere": fake.url}) as http:
        provider = bound("cohere", http, settings={"api_key": fake.api_key, "model_id": "command-x"})
        await provider.complete(user_message("hi"))
    assert same(fake)


@pytest.mark.parametrize(("kind", "theirs"), [("float", "float"), ("byte", "int8"), ("bit", "binary")])
async def test_embeddings_are_asked_for_as_by_the_sdk(
    fake: FakeProvider, sdk: ClientV2, kind: str, theirs: str
) -> None:
    answer = sdk.embed(
        model="embed", texts=["a", "b"], input_type="search_query", embedding_types=[theirs], truncate="END"
    )
    assert answer.texts == ["a", "b"]
    async with client(service_urls={"cohere": fake.url}) as http:
        settings = {"api_key": fake.api_key, "model_id": "embed", "embedding_type": kind}
        await bound("cohere", http, "text_embedding", settings, {"truncate": "END"}).embed(["a", "b"], "search")
    assert same(fake)


async def test_a_rerank_is_asked_for_as_by_the_sdk(fake: FakeProvider, sdk: ClientV2) -> None:
    assert len(sdk.rerank(model="rank", query="q", documents=["a", "bb"], top_n=1).results) == 1
    async with client(service_urls={"cohere": fake.url}) as http:
        provider = bound("cohere", http, "rerank", {"api_key": fake.api_key, "model_id": "rank"})
        await provider.rerank("q", ["a", "bb"], top_n=1, return_documents=True)
    assert same(fake)
