"""The playground and the live streams in a browser, with a provider that sees what it is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import WebSocketRoute, expect

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


def test_the_keyboard_alone_starts_and_stops(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    page = window.page
    window.open(f"/admin/playground/?endpoint={make(window, 'openai', openai(provider, SLOW))}")
    start, stop = (page.get_by_role("button", name=name, exact=True) for name in ("Start", "Stop"))
    window.field("Prompt").focus()
    page.keyboard.type("one two three")
    page.keyboard.press("Control+Enter")
    # Screen readers are to read the whole answer, and not each word of it.
    expect(page.locator("#answer-1")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#answer-1")).not_to_be_empty()
    page.keyboard.press("Escape")
    assert provider.wait_closed(timeout=10)
    expect(page.locator("#status")).to_have_text("Stopped.")
    expect(page.locator("#answer-1")).to_have_attribute("aria-busy", "false")
    start.focus()
    page.keyboard.press("Enter")
    expect(stop).to_be_focused()
    page.keyboard.press("Enter")
    assert provider.wait_closed(timeout=10, count=2)
    expect(start).to_be_focused()


def test_a_lost_connection_is_said_and_the_next_start_opens_another(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    page = window.page
    inference_id = make(window, "openai", openai(provider, SLOW))
    routes: list[WebSocketRoute] = []

    def pass_on(route: WebSocketRoute) -> None:
        route.connect_to_server()
        routes.append(route)

    page.route_web_socket("**/stream", pass_on)
    ask(window, inference_id)
    expect(page.locator("#answer-1")).not_to_be_empty()
    routes[0].close(code=1012)
    expect(page.locator("#status")).to_have_text("Failed.")
    expect(page.get_by_role("alert")).to_contain_text("The connection to the gateway was lost.")
    window.press("Start")
    expect(page.locator("#answer-1")).not_to_be_empty()
    expect(page.get_by_role("alert")).to_have_count(0)
    window.press("Stop")
    expect(page.locator("#status")).to_have_text("Stopped.")


def test_leaving_the_page_closes_the_connection_to_the_provider(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    ask(window, make(window, "openai", openai(provider, SLOW)))
    expect(window.page.locator("#answer-1")).not_to_be_empty()
    window.open("/admin/")
    assert provider.wait_closed(timeout=10)


@pytest.mark.parametrize("name", ["admin", "lea"])
def test_two_endpoints_are_compared(signed_in: Open, provider: FakeProvider, name: str) -> None:
    window = signed_in(name)
    ask(window, make(window, "openai", openai(provider)), make(window, "echo", {}))
    for number in (1, 2):
        expect(window.page.locator(f"#answer-{number}")).to_have_text("one two three")
        outcome = window.page.locator(f'#column-{number} [data-figure="outcome"]')
        expect(outcome).to_have_text("complete")
        expect(window.page.locator(f'#column-{number} [data-figure="first"]')).to_contain_text("ms")


@pytest.mark.parametrize("name", ["admin", "lea"])
def test_what_runs_is_listed_and_stopped(signed_in: Open, provider: FakeProvider, name: str) -> None:
    window, other = signed_in("mia"), signed_in(name)
    inference_id = make(other, "openai", openai(provider, SLOW), team="Search")
    ask(window, inference_id)
    other.open("/admin/live/")
    row = other.page.locator("#rows tr").filter(has_text=inference_id)
    expect(row).to_contain_text("streaming")
    expect(row).to_contain_text("mia")
    row.get_by_role("button").focus()
    other.page.keyboard.press("Enter")
    assert provider.wait_closed(timeout=10)
    expect(row).to_have_count(0)
    expect(window.page.locator("#status")).to_have_text("Stopped.")
    expect(window.page.locator("#column-1 .failure")).to_contain_text(f"by user [{name}] on the page of live streams")


def test_a_lead_sees_what_runs_at_his_teams_endpoints_and_nothing_else(signed_in: Open, provider: FakeProvider) -> None:
    admin, mia, lea = signed_in(), signed_in("mia"), signed_in("lea")
    shared = make(admin, "openai", openai(provider, SLOW))
    team = make(lea, "openai", openai(provider, SLOW))
    ask(admin, shared)
    ask(mia, team)
    for window in (admin, mia):
        expect(window.page.locator("#answer-1")).not_to_be_empty()
    lea.open("/admin/live/")
    rows = lea.page.locator("#rows tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(team)
    expect(lea.page.locator("#status")).to_have_text("1 request runs.")
