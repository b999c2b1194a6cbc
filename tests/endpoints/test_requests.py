"""Requests that are wrong before it matters what they are about."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from endpoints.models import Endpoint
from endpoints.providers import names
from endpoints.providers._base import TASK_TYPES
from tests.endpoints.api import ECHO, Api, openai
from tests.fakes.provider import FakeProvider


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "", "GET"),
        ("POST", "", "GET"),
        ("PATCH", "/x", "GET, PUT, DELETE, POST"),
        ("INITIAL", "/x", "GET, PUT, DELETE, POST"),
        ("GET", "/x/_update", "PUT"),
        ("DELETE", "/completion/x/_update", "PUT"),
        ("TRACE", "/_services", "GET"),
    ],
)
def test_another_method_is_405_with_those_that_work(admin: Api, method: str, path: str, allowed: str) -> None:
    answer = admin.call(method, f"{path}?pretty")
    assert answer.status == 405
    assert answer.headers["Allow"] == allowed
    uri = f"/_inference{path}?pretty"
    assert answer.body == {
        "error": f"Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{allowed}]",
        "status": 405,
    }


@pytest.mark.parametrize(("path", "allowed"), [("", "GET"), ("/x", "GET, PUT, DELETE, POST"), ("/x/_update", "PUT")])
def test_options_tells_the_methods(admin: Api, path: str, allowed: str) -> None:
    answer = admin.call("OPTIONS", path)
    assert (answer.status, answer.headers["Allow"], answer.text) == (200, allowed, "")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/yaml"])
def test_another_content_type_is_406(admin: Api, content_type: str) -> None:
    answer = admin.call("PUT", "/completion/x", b"{}", content_type=content_type)
    assert answer.body == {"error": f"Content-Type header [{content_type}] is not supported", "status": 406}
    assert answer.status == 406


def test_a_missing_content_type_is_406(admin: Api) -> None:
    answer = admin.call("PUT", "/completion/x", b"{}", content_type="")
    assert answer.body == {"error": "Content-Type header is missing", "status": 406}


def test_another_major_version_is_refused(admin: Api) -> None:
    answer = admin.get("", accept="application/vnd.elasticsearch+json; compatible-with=7")
    assert (answer.status, answer.type) == (400, "media_type_header_exception")
    assert answer.body["error"]["caused_by"]["reason"].startswith("Accept version must be either version 9 or 8")


@pytest.mark.parametrize("version", ["8", "9"])
def test_vendor_types_are_answered_in_kind(admin: Api, version: str) -> None:
    kind = f"application/vnd.elasticsearch+json; compatible-with={version}"
    answer = admin.call("PUT", "/completion/x", ECHO, content_type=kind, accept=kind)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"application/vnd.elasticsearch+json;compatible-with={version}"


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/x?foo=1", "request [/_inference/x] contains unrecognized parameter: [foo]"),
        ("GET", "/x?timeout=1s", "request [/_inference/x] contains unrecognized parameter: [timeout]"),
        ("PUT", "/x?timeot=1s", "request [/_inference/x] contains unrecognized parameter: [timeot] -> did you mean [timeout]?"),
        ("DELETE", "/x?dry_rnu&a", "request [/_inference/x] contains unrecognized parameters: [a], [dry_rnu] -> did you mean [dry_run]?"),
        ("GET", "/_services?foo", "request [/_inference/_services] contains unrecognized parameter: [foo]"),
    ],
)  # fmt: skip
def test_an_unknown_parameter_is_named(admin: Api, method: str, path: str, reason: str) -> None:
    answer = admin.call(method, path, ECHO if method == "PUT" else None)
    assert (answer.status, answer.type, answer.reason) == (400, "illegal_argument_exception", reason)


def test_thousands_of_parameters_are_refused(admin: Api) -> None:
    answer = admin.get("?" + "&".join(f"a{number}" for number in range(5000)))
    assert (answer.status, answer.reason) == (400, "request [/_inference] contains too many parameters")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("GET", "/_services")])
def test_a_body_is_refused_where_none_belongs(admin: Api, method: str, path: str) -> None:
    answer = admin.call(method, path, {})
    reason = f"request [{method} /_inference{path}] does not support having a body"
    assert (answer.status, answer.type, answer.reason) == (400, "illegal_argument_exception", reason)


@pytest.mark.parametrize("path", ["/completion/x", "/x/_update"])
def test_a_body_is_required_where_one_belongs(admin: Api, path: str) -> None:
    answer = admin.put(path, None)
    assert (answer.status, answer.type, answer.reason) == (400, "parse_exception", "request body is required")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{input: 1}", "[1:2] Unexpected character ('i' (code 105))"),
        (b'{"service": "echo"', "[1:19] Unexpected end-of-input"),
        (b"[]", "[1:1] [PutRequest] Expected START_OBJECT but was: START_ARRAY"),
        (b'"x"', "[1:1] [PutRequest] Expected START_OBJECT but was: VALUE_STRING"),
        (b'{"service": "\\ud800"}', "[1:1] Unmatched surrogate in a string"),
        (b'{"service": "a\\u0000"}', "[1:1] Illegal character (NULL, code 0) in a string"),
        (b'{"a": 1e999}', "[1:1] A number is not finite or out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "[1:1] Integer value out of range"),
        (b'{"a": ' * 1000, "[1:1] JSON nests deeper than [200] levels"),
        (b"\xff\xfe", "[1:1] Invalid UTF-8"),
    ],
)
def test_malformed_json_is_refused_with_its_position(admin: Api, body: bytes, reason: str) -> None:
    answer = admin.put("/completion/x", body)
    assert (answer.status, answer.type) == (400, "x_content_parse_exception")
    assert answer.reason.startswith(reason)


def test_a_body_may_be_compressed(admin: Api) -> None:
    body = gzip.compress(json.dumps(ECHO).encode())
    assert admin.put("/completion/x", body, **{"content-encoding": "gzip"}).status == 200


def test_answers_can_be_pretty_and_filtered(admin: Api) -> None:
    admin.put("/completion/x", ECHO)
    assert admin.get("?filter_path=endpoints.inference_id").text == '{"endpoints":[{"inference_id":"x"}]}'
    assert admin.get("/x?pretty&filter_path=*.service").text == (
        '{\n  "endpoints" : [\n    {\n      "service" : "echo"\n    }\n  ]\n}\n'
    )


def test_a_trace_is_never_shown(admin: Api) -> None:
    answer = admin.get("/nope?error_trace=true")
    assert answer.status == 404
    assert "stack_trace" not in answer.text


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_SETTINGS = [
    "api_key", "model_id", "url", "organization_id", "dimensions", "similarity", "rate_limit", "max_input_tokens",
    "client_id", "client_secret", "scopes", "token_url", "words_per_second", "fail_after_words", "user", "headers",
    "model", "strategy", "max_chunk_size", "overlap", "sentence_overlap", "separators", "separator_group",
]  # fmt: skip
values = anything | st.sampled_from(
    ["https://example.org/", "http://10.0.0.1", 1, 2**31, "cosine", "word", "***", {"requests_per_minute": 0}, {"X": "***"}]
)  # fmt: skip
sections = st.dictionaries(st.sampled_from(_SETTINGS) | st.text(), values) | values
bodies = st.fixed_dictionaries(
    {},
    optional={
        "service": st.sampled_from(["openai", *names()]) | anything,
        "task_type": st.sampled_from([*TASK_TYPES, "any"]) | anything,
        "service_settings": sections,
        "task_settings": sections,
        "chunking_settings": sections,
        "foo": anything,
    },
)
many = examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NONE_SENT = {"service": "openai", "service_settings": {"model_id": 1}}


@many
@given(body=bodies | anything, task_type=st.sampled_from(TASK_TYPES))
def test_no_body_makes_the_gateway_fail_or_leave_half_a_row(admin: Api, body: Any, task_type: str) -> None:
    """The service never is reached: a wrong setting is always added."""
    if isinstance(body, dict) and body.get("service") != "echo":
        body = {**body, "unknown": True}
    answer = admin.put(f"/{task_type}/x", json.dumps(body).encode())
    assert answer.status in (200, 400)
    rows = Endpoint.objects.all()
    assert rows.count() == (answer.status == 200)
    if answer.status == 200:
        assert admin.get("/x").body["endpoints"] == [answer.body]
        rows.delete()


@pytest.fixture
def chat(admin: Api, fake: FakeProvider) -> dict[str, Any]:
    """An endpoint, as GET shows it."""
    shown: dict[str, Any] = admin.put("/completion/x", openai(fake, task_settings={"headers": {"X": "y"}})).body
    return shown


@many
@given(body=bodies | anything)
def test_no_update_makes_the_gateway_fail_or_change_half_a_row(admin: Api, chat: dict[str, Any], body: Any) -> None:
    if isinstance(body, dict):
        body = {**body, "unknown": True}
    assert admin.update("/x", json.dumps(body).encode()).status == 400
    assert admin.get("/x").body == {"endpoints": [chat]}
    assert Endpoint.objects.get().updating_since is None


@many
@given(section=sections)
def test_no_section_of_an_update_makes_the_gateway_fail(admin: Api, chat: dict[str, Any], section: Any) -> None:
    for name in ("service_settings", "task_settings"):
        known = section if isinstance(section, dict) else {}
        body = {name: {**known, "unknown": True} if isinstance(section, dict) else section}
        assert admin.update("/x", json.dumps(body).encode()).status == 400
    assert admin.get("/x").body == {"endpoints": [chat]}


@many
@given(raw=st.binary(max_size=60))
def test_no_bytes_make_the_gateway_fail(admin: Api, raw: bytes) -> None:
    assert admin.put("/completion/x", raw or b" ").status == 400


@many
@given(path=st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=20))
def test_no_path_makes_the_gateway_fail(admin: Api, path: str) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in path.encode())
    for method in ("GET", "DELETE"):
        assert admin.call(method, f"/{escaped}").status in (200, 400, 404, 405)


@many
@given(query=st.text(max_size=20), accept=st.text(max_size=20))
def test_no_query_makes_the_gateway_fail(admin: Api, query: str, accept: str) -> None:
    response: Any = Client().get("/_inference", {"filter_path": query, query: accept, "format": accept})
    assert response.status_code == 401
    assert admin.get(f"?filter_path={''.join(f'%{byte:02x}' for byte in query.encode())}").status == 200
