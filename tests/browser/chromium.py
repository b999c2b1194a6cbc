"""Chromium as the system has it, and a window of it that keeps what went wrong on its pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "There is no Chromium for the browser tests; on Debian and Ubuntu: apt-get install -y chromium"
WIDE = {"width": 1440, "height": 900}
_SECONDS = 10

# What a policy keeps a page from doing is an event of the document; the console shows not all of it.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`);
});
"""


def executable() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium without a window, and end it."""
    with sync_playwright() as playwright:
        # Root may start it without its sandbox only; it opens nothing but the pages of our own gateway.
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """Somebody's browser, at a gateway; `problems` is what its pages complained about."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        context = {"viewport": WIDE, "base_url": url, "permissions": ["clipboard-read", "clipboard-write"], **options}
        self._context = browser.new_context(**context)
        self._context.add_init_script(_TELL_VIOLATIONS)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(_SECONDS * 1000)
        self.problems: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        # A dialog would mean that somebody's text was run as a script.
        self.page.on("dialog", self._asked)

    def close(self) -> None:
        self._context.close()

    def sign_in(self, username: str, password: str) -> None:
        self.open("/admin/")
        self.field("User name").fill(username)
        self.field("Password").fill(password)
        self.press("Log in")
        self.page.wait_for_url("**/admin/")

    def open(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    def field(self, label: str) -> Locator:
        """Return the field with this label; behind that of one that is required stands a star."""
        return self.page.get_by_label(re.compile(rf"^\s*{re.escape(label)}\s*\*?\s*$", re.IGNORECASE))

    def press(self, name: str) -> None:
        """Press a button, or follow a link, by its whole name."""
        button = self.page.get_by_role("button", name=name, exact=True)
        button.or_(self.page.get_by_role("link", name=name, exact=True)).first.click()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{self.page.url}: {message.text}")

    def _asked(self, dialog: Any) -> None:
        self.problems.append(f"{self.page.url}: dialog {dialog.message}")
        dialog.dismiss()
