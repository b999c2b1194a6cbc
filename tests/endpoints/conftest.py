"""A fake provider, and the API as callers of different roles see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.endpoints.api import Api, api_of
from tests.fakes.provider import FakeProvider


@pytest.fixture(scope="session")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


@pytest.fixture
def fake(provider: FakeProvider) -> FakeProvider:
    """The fake provider, which was asked nothing yet."""
    provider.requests.clear()
    return provider


@pytest.fixture
def admin(db: None) -> Api:
    return api_of("inference_admin")


@pytest.fixture
def user(db: None) -> Api:
    return api_of("inference_user")
