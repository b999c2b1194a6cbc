"""The checks that every door makes before a handler sees a request."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from wire.errors import ApiError, BadRequest
from wire.requests import NO_PARAMETERS, BodyRule, check, flag, uri
from wire.responses import error_response

JSON = "application/json"


def get(query: str = "", **headers: str) -> HttpRequest:
    return RequestFactory().get(f"/_inference/x{query}", headers=headers)


def put(body: bytes, content_type: str = JSON, query: str = "") -> HttpRequest:
    return RequestFactory().put(f"/_inference/x{query}", body, content_type)


def refusal(request: HttpRequest, *, body: BodyRule = "optional", parameters: frozenset[str] = NO_PARAMETERS) -> str:
    with pytest.raises(ApiError) as caught:
        check(request, parameters=parameters, body=body)
    return caught.value.reason


def test_a_required_body_must_be_there() -> None:
    assert refusal(put(b""), body="required") == "request body is required"


def test_a_refused_body_is_named_with_method_and_path() -> None:
    reason = refusal(put(b"{}", query="?pretty"), body="refused")
    assert reason == "request [PUT /_inference/x] does not support having a body"


def test_the_content_type_counts_only_with_a_body() -> None:
    assert refusal(put(b"x", "text/plain")) == "Content-Type header [text/plain] is not supported"
    check(put(b"", "text/plain"), parameters=NO_PARAMETERS, body="optional")


def test_common_parameters_are_always_accepted() -> None:
    check(get("?pretty&human=false&error_trace&filter_path=a&format=json"), parameters=NO_PARAMETERS, body="refused")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?foo=1", "contains unrecognized parameter: [foo]"),
        ("?zzz&qqq=2", "contains unrecognized parameters: [qqq], [zzz]"),
        ("?timeot=1s", "contains unrecognized parameter: [timeot] -> did you mean [timeout]?"),
        ("?drun", "contains unrecognized parameter: [drun] -> did you mean any of [drum, dry_run]?"),
    ],
)
def test_an_unknown_parameter_is_named_with_what_may_be_meant(query: str, named: str) -> None:
    parameters = frozenset({"timeout", "dry_run", "drum"})
    assert refusal(get(query), parameters=parameters) == f"request [/_inference/x] {named}"


@pytest.mark.parametrize("value", ["yes", "1", "TRUE"])
def test_a_boolean_parameter_is_true_or_false(value: str) -> None:
    expected = f"Failed to parse value [{value}] as only [true] or [false] are allowed."
    assert refusal(get(f"?pretty={value}")) == expected


def test_a_boolean_parameter_without_a_value_is_true() -> None:
    request = get("?dry_run&force=false")
    assert (flag(request, "dry_run"), flag(request, "force"), flag(request, "other")) == (True, False, False)


def test_another_format_is_refused_by_its_name() -> None:
    assert refusal(get("?format=yaml")) == "format [yaml] is not supported, use [json]"


def test_the_uri_of_messages_has_the_query() -> None:
    assert uri(get("?a=1&b")) == "/_inference/x?a=1&b"


def test_too_many_parameters_are_refused() -> None:
    request = get("?" + "&".join(f"a{number}" for number in range(5000)))
    assert refusal(request) == "request [/_inference/x] contains too many parameters"
    assert error_response(request, BadRequest("x")).status_code == 400
