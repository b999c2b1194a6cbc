"""Pictures of the main pages, for the README: `make screenshots` writes them into docs/images/.

They show a gateway that is started for them, with echo endpoints and a fake provider.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import chromium
from tests.browser.chromium import Window
from tests.browser.endpoints import make, open_form, openai
from tests.browser.test_keys import make_key
from tests.browser.test_playground import ask
from tests.fakes.provider import FakeProvider
from tests.gateway import ROOT, Gateway

IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 300_000
PROMPT = "Elasticsearch keeps documents in an inverted index, so that a search looks words up instead of reading texts."


def take(window: Window, name: str, images: Path = IMAGES) -> None:
    """Write what the window shows as `<name>.png`."""
    # The mouse would light up whatever it pressed last.
    window.page.mouse.move(0, 0)
    path = images / f"{name}.png"
    window.page.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    assert size < LARGEST_BYTES, f"{name} is too large for a picture in a repository"


def take_all(window: Window, provider: FakeProvider, images: Path = IMAGES) -> None:
    """Make what the pages show, and take their pictures on the way."""
    page = window.page
    make(window, "openai", openai(provider, "gpt-4o-mini"), name="support-chat", save="Save and test")
    page.get_by_text("Time to first delta").wait_for()
    take(window, "trial", images)
    open_form(window, "support-chat")
    take(window, "endpoint", images)
    window.field("Rate Limit").fill("1000")
    window.press("Save")
    make(window, "echo", {}, name="demo")
    ask(window, "support-chat", "demo", prompt=PROMPT)
    page.get_by_text("Finished.").wait_for()
    take(window, "playground", images)
    for path, name in (("/admin/endpoints/endpoint/", "endpoints"), ("/admin/endpoints/change/", "history")):
        window.open(path)
        take(window, name, images)
    make_key(window, "web shop", endpoint="support-chat")
    take(window, "key", images)
    window.open("/admin/")
    take(window, "home", images)


def take_live(window: Window, other: Window, provider: FakeProvider, images: Path = IMAGES) -> None:
    make(other, "openai", openai(provider, "tick:0.1:1000"), name="summaries")
    ask(other, "summaries", prompt=PROMPT)
    window.open("/admin/live/")
    window.page.locator("#rows tr").first.wait_for()
    take(window, "live", images)


def main() -> None:
    if chromium.executable() is None:
        sys.exit(chromium.MISSING)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        Gateway.started(GATEWAY_SKIP_VALIDATION="true") as gateway,
        FakeProvider.running() as provider,
        chromium.launched() as browser,
    ):
        window, other = (Window(browser, gateway.url) for _ in range(2))
        for one in (window, other):
            one.sign_in("admin", gateway.password)
        take_all(window, provider)
        take_live(window, other, provider)


if __name__ == "__main__":
    main()
