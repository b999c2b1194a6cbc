"""The page about limits has the numbers that count."""

from __future__ import annotations

import re

import pytest

from endpoints.providers import _http, _sse, _transport
from endpoints.time_limits import MEANINGS
from inference_project import environment, http_protocol
from streaming import consumers
from tests.gateway import ROOT
from wire import body_limit, json

PAGE = (ROOT / "docs" / "limits.md").read_text()
DEFAULTS = dict(re.findall(r"^\| `(GATEWAY_\w+)` \| ([0-9]+) \|", PAGE, re.MULTILINE))
FIELDS = {variable: field for field, variable in environment.names().items()}


@pytest.mark.parametrize("variable", DEFAULTS)
def test_each_default_is_that_of_the_environment(variable: str) -> None:
    assert environment.Environment.model_fields[FIELDS[variable]].default == float(DEFAULTS[variable])


def test_every_time_limit_is_on_the_page() -> None:
    assert {f"GATEWAY_{name.upper()}" for name in MEANINGS} <= DEFAULTS.keys()


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("request body, compressed and unpacked (`GATEWAY_MAX_BODY_BYTES`)", "10 MiB"),
        ("head of a request", f"{http_protocol.MAX_HEAD_BYTES // 2**10} KiB"),
        ("time for a head", f"{http_protocol.HEAD_SECONDS:g} s"),
        ("request bodies of a process that are still arriving", f"{body_limit._MOST_ARRIVING_BYTES // 2**20} MiB"),
        ("nesting of a request body", str(json._MAX_DEPTH)),
        ("requests on one connection that wait for an answer", str(http_protocol.MAX_PIPELINED)),
        ("line or event of a provider", f"{_sse.MAX_EVENT_BYTES // 2**20} MiB"),
        ("whole answer of a provider", f"{_http.MAX_ANSWER_BYTES // 2**20} MiB"),
        ("body of a provider's refusal", f"{_transport.MAX_ERROR_BYTES // 2**10} KiB"),
        ("streams of a page of the [playground](playground.md)", str(consumers.MOST_STREAMS)),
        ("WebSockets of the playground", str(consumers.MOST_SOCKETS)),
        ("WebSockets of one user", str(consumers.MOST_OF_USER)),
    ],
)
def test_each_bound_is_the_one_that_is_enforced(what: str, most: str) -> None:
    assert f"| {what} | {most} |" in PAGE
