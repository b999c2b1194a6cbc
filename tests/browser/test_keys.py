"""API keys in the admin: made, pasted, rotated, revoked."""

from __future__ import annotations

import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Window
from tests.browser.conftest import Open
from tests.browser.endpoints import make
from tests.gateway import Gateway

KEYS = "/admin/access/apikey/"
WHO = "/_security/_authenticate"


def make_key(window: Window, name: str, *, team: str = "", endpoint: str = "") -> str:
    window.open(f"{KEYS}add/")
    window.field("Name").fill(name)
    if team:
        window.field("Team").select_option(label=team)
    if endpoint:
        window.page.get_by_role("searchbox").click()
        window.page.get_by_role("option", name=endpoint).click()
    window.press("Save")
    return window.page.locator("#encoded").inner_text()


def pasted(window: Window, language: str) -> str:
    """Press the button that copies, and return what a terminal would be given."""
    window.press(f"Copy the {language} code")
    expect(window.page.get_by_text("Copied")).to_be_visible()
    text: str = window.page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.mark.parametrize(("name", "team"), [("admin", ""), ("lea", "Search")])
def test_the_line_of_a_new_key_streams_when_it_is_pasted(signed_in: Open, name: str, team: str) -> None:
    window = signed_in(name)
    inference_id = make(window, "echo", {})
    make_key(window, "pasted", team=team, endpoint=inference_id)
    line = pasted(window, "curl")
    assert inference_id in line
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True)
    assert '{"delta":"Elastic?"}' in run.stdout.replace(" ", "")
    assert run.stdout.rstrip().endswith("data: [DONE]")


def test_a_key_is_not_shown_again(signed_in: Open) -> None:
    window = signed_in()
    key = make_key(window, "once")
    window.open(KEYS)
    window.press("once")
    window.page.wait_for_url("**/change/**")
    assert key not in window.page.content()


def test_a_key_is_rotated_and_revoked(signed_in: Open, gateway: Gateway) -> None:
    window = signed_in("mia")
    old = make_key(window, "rotated")
    window.open(f"{KEYS}?q=rotated")
    window.press("rotated")
    window.press("Rotate…")
    window.field("The old key stops working").select_option(label="in 1 hour")
    window.press("Rotate")
    new = window.page.locator("#encoded").inner_text()
    assert [gateway.call("GET", WHO, key=key).status for key in (old, new)] == [200, 200]
    # The newest is the first.
    window.open(f"{KEYS}?q=rotated")
    window.press("rotated")
    window.press("Revoke…")
    window.page.get_by_role("checkbox").check()
    window.press("Revoke")
    expect(window.page.get_by_text("Revoked: 1")).to_be_visible()
    assert [gateway.call("GET", WHO, key=key).status for key in (old, new)] == [200, 401]
