"""What the `watsonxai` service takes, what it refuses, and where its secret goes."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._settings import Parsed, nested, parse
from endpoints.serializers import service_listing
from tests.endpoints.api import api_of

WATSONX = load("watsonxai")
REQUIRED = {
    "api_key": "ibm-key",
    "url": "us-south.ml.cloud.ibm.com",
    "api_version": "2024-05-31",
    "model_id": "ibm/granite-3-3-8b-instruct",
    "project_id": "63dc4cf1",
}


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(WATSONX.service_settings, task_type, given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


def shown(given: dict[str, Any], task_type: str) -> dict[str, Any]:
    parsed = service(given, task_type)
    assert texts(parsed) == []
    assert parsed.unknown == {}
    return nested(WATSONX.service_settings, parsed.values, task_type)


def test_the_least_that_is_needed_gets_its_defaults() -> None:
    visible = {name: value for name, value in REQUIRED.items() if name != "api_key"}
    limit = {"rate_limit": {"requests_per_minute": 120}}
    assert shown(REQUIRED, "completion") == {**visible, **limit}
    assert shown(REQUIRED, "text_embedding") == {**visible, "similarity": "dot_product", **limit}


def test_all_settings_are_taken() -> None:
    given = {
        **REQUIRED,
        "url": "https://eu-de.ml.cloud.ibm.com",
        "max_input_tokens": 512,
        "dimensions": 768,
        "similarity": "cosine",
        "rate_limit": {"requests_per_minute": 7},
    }
    assert shown(given, "text_embedding") == {name: value for name, value in given.items() if name != "api_key"}


def test_everything_that_is_required_is_named_at_once() -> None:
    assert texts(service({})) == [
        "[secret_settings] does not contain the required setting [api_key]",
        *(f"[service_settings] does not contain the required setting [{name}]" for name in list(REQUIRED)[1:]),
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://host", "Reason: expected http(s)://host[:port]/path"),
        ("host name", "Reason: it contains white space or control characters"),
        ("host:port", "Reason: Port could not be cast to integer value as 'port'"),
        ("me@host", "Reason: a user, a password or a fragment is not allowed in it"),
        ("host/#part", "Reason: a user, a password or a fragment is not allowed in it"),
        ("https://", "Reason: expected http(s)://host[:port]/path"),
    ],
)
def test_a_url_that_is_neither_a_host_nor_a_url_is_refused(url: str, problem: str) -> None:
    [text] = texts(service({**REQUIRED, "url": url}))
    value = "***" if "@" in url else url
    assert text.startswith(f"[service_settings] Invalid url [{value}] received for field [url]. Error: unable to parse")
    assert text.endswith(problem)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("url", "host?version=1", "[service_settings] Invalid value received. [url] must not have a query"),
        (
            "api_key",
            "k\r\nX: y",
            "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends",
        ),
        ("model_id", " ", "[service_settings] Invalid value empty string. [model_id] must be a non-empty string"),
        (
            "project_id",
            5,
            "field [project_id] is not of the expected type. The value [5] cannot be converted to a [String]",
        ),
        ("max_input_tokens", 0, "[service_settings] Invalid value [0]. [max_input_tokens] must be a positive integer"),
        (
            "similarity",
            "near",
            "[service_settings] Invalid value [near] received. [similarity] must be one of [cosine, dot_product, l2_norm]",
        ),
    ],
)
def test_what_is_wrong_is_named(name: str, value: Any, problem: str) -> None:
    assert texts(service({**REQUIRED, name: value}, "text_embedding")) == [problem]


@pytest.mark.parametrize("name", ["max_input_tokens", "dimensions", "similarity"])
def test_settings_of_embeddings_are_unknown_to_chats(name: str) -> None:
    assert service({**REQUIRED, name: 1}).unknown == {name: 1}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"top_n": 0}, "[task_settings] Invalid value [0]. [top_n] must be a positive integer"),
        (
            {"truncate_input_tokens": 0},
            "[task_settings] Invalid value [0]. [truncate_input_tokens] must be a positive integer",
        ),
        (
            {"return_documents": "yes"},
            "field [return_documents] is not of the expected type. The value [yes] cannot be converted to a [Boolean]",
        ),
    ],
)
def test_task_settings_of_rerank_are_checked(given: dict[str, Any], problem: str) -> None:
    assert texts(parse(WATSONX.task_settings, "rerank", given)) == [problem]
    assert parse(WATSONX.task_settings, "completion", given).unknown == given


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("us-south.ml.cloud.ibm.com", "us-south.ml.cloud.ibm.com:443"),
        ("https://EU-DE.ml.cloud.ibm.com/", "eu-de.ml.cloud.ibm.com:443"),
        ("http://engine.local:8000", "engine.local:8000"),
    ],
)
def test_the_key_is_bound_to_the_host_that_gets_its_tokens(url: str, host: str) -> None:
    values = service({**REQUIRED, "url": url}).values
    assert WATSONX.service_settings.destinations(values, "completion") == {"api_key": host}


@pytest.mark.parametrize("url", ["10.0.0.1", "169.254.169.254:443", "https://10.0.0.1", "[::1]", "127.1"])
def test_a_private_address_is_refused_when_an_endpoint_is_made(db: None, url: str) -> None:
    body = {"service": "watsonxai", "service_settings": {**REQUIRED, "url": url}}
    answer = api_of("inference_admin").put("/completion/granite", body)
    assert answer.status == 400
    assert answer.problems[0].startswith(f"[service_settings] Invalid url [{url}] received for field [url]. Error: [")


def test_the_listing_says_what_elasticsearch_says() -> None:
    configurations = service_listing("watsonxai")["configurations"]
    assert list(configurations) == ["url", "api_version", "model_id", "project_id", "max_input_tokens"]
    assert configurations["max_input_tokens"]["supported_task_types"] == ["text_embedding"]
    assert "default_value" not in configurations["url"]
