"""A provider that misbehaves on demand, and a gateway that stores endpoints for it unasked and waits for nothing long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway

MakePath = Callable[[str], str]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


@pytest.fixture(scope="session")
def impatient() -> Iterator[Gateway]:
    with Gateway.started(
        GATEWAY_SKIP_VALIDATION="true",
        GATEWAY_IDLE_SECONDS="1",
        GATEWAY_WRITE_SECONDS="2",
        GATEWAY_TOTAL_SECONDS="4",
    ) as running:
        yield running


@pytest.fixture
def asking(impatient: Gateway, provider: FakeProvider) -> MakePath:
    """Return the path of an endpoint whose model tells the provider what to do."""

    def make(model: str) -> str:
        url = f"{provider.url}/v1/chat/completions"
        return f"/_inference/completion/{impatient.put('openai', api_key=provider.api_key, model_id=model, url=url)}"

    return make
