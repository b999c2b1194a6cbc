"""Endpoints as somebody makes them with the forms of the admin."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from tests.browser.chromium import Window
from tests.fakes.provider import API_KEY, FakeProvider

LIST = "/admin/endpoints/endpoint/"
_numbers = itertools.count(1)


def make(
    window: Window, service: str, settings: Mapping[str, str], *, name: str = "", save: str = "Save", team: str = ""
) -> str:
    """Fill in both steps of the form; `settings` are by their labels. Return the id."""
    inference_id = name or f"{service}-{next(_numbers)}"
    window.open(f"{LIST}add/")
    window.field("Inference ID").fill(inference_id)
    window.field("Service").select_option(service)
    window.press("Continue")
    for label, value in settings.items():
        window.field(label).fill(value)
    if team:
        window.page.get_by_role("tab", name="Gateway").click()
        window.field("Team").select_option(label=team)
    window.press(save)
    # Whoever went elsewhere at once would cancel the request.
    window.page.wait_for_url(lambda url: "/add/" not in url)
    return inference_id


def openai(provider: FakeProvider, model: str = "gpt-fake") -> dict[str, str]:
    """Return the settings of an endpoint that asks `provider`, whose model says what it does."""
    return {"API Key": API_KEY, "Model ID": model, "URL": f"{provider.url}/v1/chat/completions"}


def open_form(window: Window, inference_id: str) -> None:
    window.open(f"{LIST}?q={inference_id}")
    window.press(inference_id)
    window.page.wait_for_url("**/change/**")
