"""Names, texts of providers and bodies of errors that would be markup: on every page they are text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Window
from tests.browser.conftest import Open
from tests.browser.endpoints import make, openai
from tests.browser.test_keys import make_key
from tests.browser.test_playground import ask
from tests.fakes.behaviours import FIRST, LAST, model, text
from tests.fakes.http import Exchange
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from tests.streaming.test_client_gone import until

HOSTILE = "<script data-hostile>alert(1)</script><img data-hostile src=x onerror=alert(1)>{{ 7*7 }} **b** [a](javascript:alert(1))"
LONG = "W" * 20_000
ENDLESS = 1_000_000
LONGEST_TASK_MS = 1500
"""How long a page may hear nobody. Not for looks: this machine pauses for hundreds of milliseconds, and a browser that
lays a long text out as often as it has lines takes many seconds."""

# What the browser did without looking at the mouse or the keyboard, in milliseconds each.
_COUNT_TASKS = """() => {
  window.tasks = [0];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((task) => task.duration)))
    .observe({ entryTypes: ["longtask"] });
}"""


async def hostile(exchange: Exchange) -> None:
    """Refuse with hostile words, or stream them; nothing in them can be broken into lines."""
    if model(exchange) == "refuse":
        exchange.json({"error": {"message": HOSTILE + LONG, "type": HOSTILE, "code": HOSTILE}}, 400)
        return
    exchange.start_stream()
    exchange.write(FIRST)
    for said in SAYS.get(model(exchange), (HOSTILE, LONG)):
        await exchange.write_slowly(text(said))
    exchange.write(LAST)
    exchange.end()


SAYS = {"endless": ("W" * ENDLESS,), "endless-pieces": ("W" * 1000,) * (ENDLESS // 1000)}

_LENGTH = "document.querySelector('#answer-1').textContent.replace(/[^W]/g, '').length"


@pytest.fixture
def liar() -> Iterator[FakeProvider]:
    with FakeProvider.running(respond=hostile) as running:
        yield running


def unharmed(window: Window, shown: str = "<script data-hostile>alert(1)</script>") -> None:
    """Check that `shown` stands on the page as text, that nothing came of it, and that the page kept its width."""
    expect(window.page.get_by_text(shown).first).to_be_visible()
    expect(window.page.locator("[data-hostile]")).to_have_count(0)
    expect(window.page.locator("a[href^='javascript:']")).to_have_count(0)
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("name", "width"), [("admin", 1440), ("lea", 390)])
def test_what_a_provider_says_is_text(signed_in: Open, liar: FakeProvider, name: str, width: int) -> None:
    window = signed_in(name, viewport={"width": width, "height": 844})
    works = make(window, "openai", openai(liar, "speak"), save="Save and test")
    unharmed(window)
    refuses = make(window, "openai", openai(liar, "refuse"), save="Save and test")
    unharmed(window)
    ask(window, works, refuses, prompt=HOSTILE + LONG)
    expect(window.page.locator("#answer-1")).to_contain_text(HOSTILE)
    expect(window.page.locator("#column-2 .failure")).to_contain_text("<script data-hostile>")
    unharmed(window)
    window.page.locator("#column-1 .raw summary").click()
    window.page.locator("#column-1 .code summary").click()
    unharmed(window)


def test_the_page_hears_its_user_while_a_long_text_comes(signed_in: Open, liar: FakeProvider) -> None:
    window = signed_in()
    page = window.page
    for model_id in ("speak", "refuse", "endless", "endless-pieces"):
        inference_id = make(window, "openai", openai(liar, model_id))
        window.open(f"/admin/playground/?endpoint={inference_id}")
        page.evaluate(_COUNT_TASKS)
        page.locator(".raw summary").click()
        page.locator(".code summary").click()
        window.field("Prompt").fill(LONG)
        window.press("Start")
        expect(page.locator("#status")).to_have_text("Failed." if model_id == "refuse" else "Finished.")
        if model_id.startswith("endless"):
            expect(page.get_by_text(f"Shown are the first 500000 of {ENDLESS} characters.")).to_be_visible()
            until(lambda: page.evaluate(_LENGTH) == 500_000)
        assert page.evaluate("Math.max(...window.tasks)") < LONGEST_TASK_MS, model_id


def test_a_name_that_no_endpoint_can_have_is_refused_as_text(signed_in: Open) -> None:
    window = signed_in()
    window.open("/admin/endpoints/endpoint/add/")
    window.field("Inference ID").fill(HOSTILE)
    window.field("Service").select_option("echo")
    window.press("Continue")
    expect(window.page.locator("[data-hostile]")).to_have_count(0)
    expect(window.field("Inference ID")).to_have_value(HOSTILE)


def test_names_of_keys_teams_and_models_are_text(signed_in: Open, gateway: Gateway, liar: FakeProvider) -> None:
    window = signed_in()
    name = HOSTILE[:90]
    body = {"name": name, "description": HOSTILE}
    assert gateway.call("PUT", "/_gateway/teams/hostile", body, gateway.login(), key="").status == 200
    make_key(window, HOSTILE)
    unharmed(window)
    inference_id = make(window, "openai", openai(liar, HOSTILE), team=name)
    for path in (
        "/admin/",
        "/admin/access/apikey/",
        "/admin/access/apikey/add/",
        "/admin/access/team/",
        "/admin/endpoints/change/",
        f"/admin/playground/?endpoint={inference_id}",
    ):
        window.open(path)
        expect(window.page.locator("[data-hostile]")).to_have_count(0)
        assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
