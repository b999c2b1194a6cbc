"""Answers: JSON as it was asked for."""

from __future__ import annotations

from django.test import RequestFactory

from wire.errors import NotAuthenticated, NotFound
from wire.responses import error_response, json_response

requests = RequestFactory()
VENDOR_9 = "application/vnd.elasticsearch+json; compatible-with=9"


def test_json_is_compact() -> None:
    assert json_response(requests.get("/"), {"a": [1]}).content == b'{"a":[1]}'


def test_pretty_is_for_people() -> None:
    assert json_response(requests.get("/?pretty"), {"a": 1}).content == b'{\n  "a" : 1\n}\n'
    assert json_response(requests.get("/?pretty=false"), {"a": 1}).content == b'{"a":1}'


def test_a_filter_is_applied_to_answers_but_not_to_errors() -> None:
    request = requests.get("/?filter_path=a")
    assert json_response(request, {"a": 1, "b": 2}).content == b'{"a":1}'
    assert b"root_cause" in error_response(request, NotFound("x")).content


def test_the_type_is_the_one_that_was_asked_for() -> None:
    request = requests.get("/", headers={"Accept": VENDOR_9})
    assert json_response(request, {})["Content-Type"] == "application/vnd.elasticsearch+json;compatible-with=9"


def test_each_challenge_is_a_header_line_of_its_own() -> None:
    response = error_response(requests.get("/"), NotAuthenticated("who?"))
    lines = [value for name, value in response.items() if name == "WWW-Authenticate"]
    assert lines == ['Basic realm="security", charset="UTF-8"', 'Bearer realm="security"', "ApiKey"]
    assert response.status_code == 401
