"""Django's debug pages, which GATEWAY_DEBUG turns on: what they show of a mistake holds no secret and no prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pydantic import SecretStr
from pytest_django import Settings

from inference_project import urls
from inference_project.environment import Environment
from tests.inference_project.canaries import Canaries

CANARIES = Canaries()


def _fails(request: HttpRequest) -> HttpResponse:
    body = request.body
    password = json.loads(body)["password"] if body.startswith(b"{") else request.POST["password"]
    raise RuntimeError(f"a mistake, with {len(password)} characters")


# Pages show all settings, and some of those are addresses in the admin.
urlpatterns = [path("fails", _fails), *urls.urlpatterns]


@pytest.fixture
def secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A canary that is in all settings that may hold a secret; pages show all settings."""
    value = CANARIES.plain()
    hidden: dict[str, Any] = {
        name: (SecretStr(value),) if name == "secret_keys" else SecretStr(value)
        for name, one in Environment.model_fields.items()
        if "SecretStr" in str(one.annotation)
    }
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update=hidden)
    settings.SECRET_KEY = settings.API_KEY_PEPPER = settings.REDIS_URL = value
    settings.SECRET_KEYS = (value,)
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", value)
    settings.DEBUG = True
    settings.ROOT_URLCONF = __name__
    return value


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_debug_page_shows_no_secret(secret: str, accept: str, form: bool) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = secret
    sent: dict[str, Any] = {"password": secret, "input": secret}
    body = sent if form else json.dumps(sent)
    kind = {} if form else {"content_type": "application/json"}
    headers = {"authorization": f"ApiKey {secret}", "accept": accept, "cookie": f"sessionid={secret}"}
    page = client.post("/fails", body, headers=headers, **kind)  # type: ignore[arg-type]
    assert page.status_code == 500
    text = page.content.decode()
    assert "a mistake, with" in text
    assert "REDIS_URL" in text
    assert CANARIES.found(text) == []
