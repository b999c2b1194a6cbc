"""One Chromium and one gateway for all tests of the room; each test has a window of its own, which must not complain.

The providers are fakes: `openai` is asked at the address that an endpoint names, the others at those of the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, StorageState

from tests.browser import chromium
from tests.browser.chromium import Window
from tests.fakes import anthropic, cohere
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway

PASSWORD = "correct horse"
Open = Callable[..., Window]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium.executable() is None:
        pytest.skip(chromium.MISSING)
    with chromium.launched() as running:
        yield running


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


@pytest.fixture(scope="package")
def gateway() -> Iterator[Gateway]:
    """A gateway with the team Search, which lea leads; mia is a member."""
    with (
        FakeProvider.running(respond=anthropic.respond) as claude,
        FakeProvider.running(respond=cohere.respond) as command,
        Gateway.started(
            GATEWAY_SERVICE_URLS=f"anthropic={claude.url},cohere={command.url}", GATEWAY_SKIP_VALIDATION="true"
        ) as running,
    ):
        _made(running, "/_gateway/teams/search", {"name": "Search"})
        for name, role in (("lea", "inference_admin"), ("mia", "inference_user")):
            _made(running, f"/_security/user/{name}", {"password": PASSWORD, "roles": []})
            _made(running, f"/_gateway/teams/search/members/{name}", {"role": role})
        yield running


@pytest.fixture(scope="package")
def sessions() -> dict[str, StorageState]:
    """The cookies of those who have signed in, so that nobody has to twice."""
    return {}


@pytest.fixture
def signed_in(browser: Browser, gateway: Gateway, sessions: dict[str, StorageState]) -> Iterator[Open]:
    """Return a function that opens a window of somebody signed in. At the end no page of it may have complained."""
    opened: list[Window] = []

    def sign_in(name: str = "admin", **options: object) -> Window:
        window = Window(browser, gateway.url, storage_state=sessions.get(name), **options)
        opened.append(window)
        if name not in sessions:
            window.sign_in(name, gateway.password if name == "admin" else PASSWORD)
            sessions[name] = window.page.context.storage_state()
        return window

    yield sign_in
    for window in opened:
        window.close()
    assert [problem for window in opened for problem in window.problems] == []


def _made(gateway: Gateway, path: str, body: object) -> None:
    answer = gateway.call("PUT", path, body, gateway.login(), key="")
    assert answer.status == 200, answer.body
