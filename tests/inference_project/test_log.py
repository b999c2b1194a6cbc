"""What the log says: mistakes with their traceback, failures in one line, nothing that callers only did to provoke it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from tests.gateway import Gateway, free_port

MANY_PARAMETERS = "?" + "&".join(f"p{number}=" for number in range(1500))


@pytest.fixture(scope="module")
def own() -> Iterator[Gateway]:
    """A gateway with a log of its own."""
    with Gateway.started(GATEWAY_SKIP_VALIDATION="true") as gateway:
        yield gateway


def new_lines(gateway: Gateway, before: str) -> list[str]:
    """Return the lines since `before`, without those that each inference request has (tests/usage/test_log.py)."""
    return [line for line in gateway.read_log()[len(before) :].splitlines() if not line.startswith("{")]


@pytest.mark.parametrize(("page", "status"), [("/livez", 200), ("/readyz", 200), ("/admin/login/", 400), ("/_inference", 400)])  # fmt: skip
def test_too_many_parameters_are_not_worth_a_line(own: Gateway, page: str, status: int) -> None:
    before = own.read_log()
    assert own.call("GET", page + MANY_PARAMETERS).status == status
    assert new_lines(own, before) == []


@pytest.mark.parametrize("door", ["", "/_stream"])
def test_a_provider_that_is_not_there_is_one_line_with_its_host_and_without_the_prompt(own: Gateway, door: str) -> None:
    host = f"127.0.0.1:{free_port()}"
    settings = {"api_key": "sk-canary", "model_id": "m", "url": f"http://{host}/v1/chat/completions"}
    inference_id = own.put("openai", **settings)
    before = own.read_log()
    assert own.call("POST", f"/_inference/completion/{inference_id}{door}", {"input": "canary"}).status == 500
    (line,) = new_lines(own, before)
    assert "Answered 500 status_exception" in line
    assert host in line
    assert "canary" not in line


def _fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake")


urlpatterns = [path("fails", _fails)]
handler500 = "inference_project.views.failed"


def test_a_mistake_leaves_its_traceback(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.ROOT_URLCONF = __name__
    with caplog.at_level(logging.ERROR):
        assert Client(raise_request_exception=False).get("/fails").status_code == 500
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert [record.name for record in tracebacks] == ["django.request"]
