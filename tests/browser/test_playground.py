"""The playground and the live streams in a browser, with a provider that sees what it is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Window
from tests.browser.conftest import Open
from tests.browser.endpoints import make, openai
from tests.fakes.provider import FakeProvider

SLOW = "tick:0.05:1000"


def ask(window: Window, *inference_ids: str, prompt: str = "one two three") -> None:
    window.open(f"/admin/playground/?endpoint={inference_ids[0]}")
    for number, inference_id in enumerate(inference_ids[1:], 2):
        window.press("Compare with another endpoint")
        window.page.locator(f"#endpoint-{number}").select_option(inference_id)
    window.field("Prompt").fill(prompt)
    window.press("Start")


@pytest.mark.parametrize("name", ["admin", "lea"])
def test_stop_closes_the_connection_to_the_provider(signed_in: Open, provider: FakeProvider, name: str) -> None:
    window = signed_in(name)
    ask(window, make(window, "openai", openai(provider, SLOW)))
    expect(window.page.locator("#answer-1")).not_to_be_empty()
    assert provider.abandoned == 0
    window.press("Stop")
    assert provider.wait_closed(timeout=10)
    expect(window.page.locator('[data-figure="outcome"]')).to_have_text("stopped")
    expect(window.page.get_by_role("button", name="Start")).to_be_enabled()


def test_leaving_the_page_closes_the_connection_to_the_provider(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    ask(window, make(window, "openai", openai(provider, SLOW)))
    expect(window.page.locator("#answer-1")).not_to_be_empty()
    window.open("/admin/")
    assert provider.wait_closed(timeout=10)


def test_two_endpoints_are_compared(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    ask(window, make(window, "openai", openai(provider)), make(window, "echo", {}))
    for number in (1, 2):
        expect(window.page.locator(f"#answer-{number}")).to_have_text("one two three")
        outcome = window.page.locator(f'#column-{number} [data-figure="outcome"]')
        expect(outcome).to_have_text("complete")
        expect(window.page.locator(f'#column-{number} [data-figure="first"]')).to_contain_text("ms")


def test_what_runs_is_listed_and_stopped(signed_in: Open, provider: FakeProvider) -> None:
    window, other = signed_in(), signed_in()
    inference_id = make(window, "openai", openai(provider, SLOW))
    ask(window, inference_id)
    other.open("/admin/live/")
    row = other.page.locator("#rows tr").filter(has_text=inference_id)
    expect(row).to_contain_text("streaming")
    row.get_by_role("button").click()
    assert provider.wait_closed(timeout=10)
    expect(row).to_have_count(0)
