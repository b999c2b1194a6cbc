"""Endpoints in the admin, as somebody with a browser works with them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.endpoints import LIST, make, open_form, openai
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway

SERVICES = {
    "openai": {},
    "anthropic": {"API Key": API_KEY, "Model ID": "claude-fake", "Max Tokens": "100"},
    "cohere": {"API Key": API_KEY, "Model ID": "command-fake"},
}


@pytest.mark.parametrize("name", ["admin", "lea"])
@pytest.mark.parametrize(("service", "values"), SERVICES.items(), ids=list(SERVICES))
def test_an_endpoint_is_made_and_tested(
    signed_in: Open, gateway: Gateway, provider: FakeProvider, service: str, values: Mapping[str, str], name: str
) -> None:
    window = signed_in(name)
    inference_id = make(window, service, values or openai(provider), save="Save and test")
    expect(window.page.locator("#content-main")).to_contain_text("Time to first delta")
    expect(window.page.locator(".state.good")).to_have_text("works")
    shown = gateway.call("GET", f"/_inference/{inference_id}", headers=gateway.login(), key="")
    assert shown.status == 200
    assert API_KEY.encode() not in shown.body


def test_a_provider_that_refuses_is_shown_with_what_it_said(signed_in: Open, provider: FakeProvider) -> None:
    window = signed_in()
    settings = openai(provider) | {"API Key": "sk-wrong"}
    make(window, "openai", settings, save="Save and test")
    expect(window.page.locator(".state.bad")).to_have_text("does not work")
    expect(window.page.locator(".notice.bad").last).to_contain_text("Incorrect API key provided")
    expect(window.page.locator(".hint")).to_be_visible()


@pytest.mark.parametrize("name", ["admin", "lea"])
def test_an_earlier_version_is_restored(signed_in: Open, gateway: Gateway, provider: FakeProvider, name: str) -> None:
    window = signed_in(name)
    inference_id = make(window, "openai", openai(provider))
    open_form(window, inference_id)
    window.field("Rate Limit").fill("77")
    window.press("Save")
    assert _rate_limit(gateway, inference_id) == 77
    open_form(window, inference_id)
    # The sidebar has a link of this name too, to the history of all endpoints.
    window.page.locator("a[href*='/history/']").first.click()
    expect(window.page.locator("#result_list tbody tr")).to_have_count(2)
    window.page.locator("#result_list tbody tr").last.locator("th a").click()
    window.press("Restore this version")
    expect(window.page.locator("#content-main")).to_contain_text("77")
    window.press("Restore")
    expect(window.page.get_by_text("has the settings of version 1 again")).to_be_visible()
    assert _rate_limit(gateway, inference_id) == 500


@pytest.mark.parametrize("name", ["admin", "lea"])
def test_an_endpoint_is_deleted_with_a_tick(signed_in: Open, gateway: Gateway, name: str) -> None:
    window = signed_in(name)
    inference_id = make(window, "echo", {})
    open_form(window, inference_id)
    window.press("Delete…")
    window.press("Delete it")
    # The browser itself asks for the tick.
    expect(window.page.get_by_role("button", name="Delete it")).to_be_visible()
    window.page.get_by_role("checkbox").check()
    window.press("Delete it")
    window.page.wait_for_url(f"**{LIST}")
    assert gateway.call("GET", f"/_inference/{inference_id}", headers=gateway.login(), key="").status == 404


def test_an_endpoint_is_disabled_instead_of_deleted(signed_in: Open, gateway: Gateway) -> None:
    window = signed_in()
    inference_id = make(window, "echo", {})
    open_form(window, inference_id)
    window.press("Delete…")
    window.press("Disable instead")
    expect(window.page.locator(".state.off")).to_have_text("disabled")
    asked = gateway.call("POST", f"/_inference/completion/{inference_id}", {"input": "x"})
    assert asked.status == 404


def test_a_lead_sees_what_is_his_teams_and_a_member_changes_nothing(signed_in: Open, gateway: Gateway) -> None:
    admin, lea, mia = signed_in(), signed_in("lea"), signed_in("mia")
    shared, own = make(admin, "echo", {}), make(lea, "echo", {})
    for window in (lea, mia):
        window.open(LIST)
        expect(window.page.get_by_role("link", name=own, exact=True)).to_be_visible()
        expect(window.page.get_by_role("link", name=shared, exact=True)).to_have_count(0)
    open_form(mia, own)
    expect(mia.page.get_by_text("You may use it, but not change it.")).to_be_visible()
    expect(mia.page.get_by_role("button", name="Save", exact=True)).to_have_count(0)


def _rate_limit(gateway: Gateway, inference_id: str) -> int:
    answer = gateway.call("GET", f"/_inference/{inference_id}", headers=gateway.login(), key="")
    found: int = answer.json()["endpoints"][0]["service_settings"]["rate_limit"]["requests_per_minute"]
    return found
