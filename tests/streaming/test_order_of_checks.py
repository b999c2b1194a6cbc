"""Which check comes first, and whether its error is JSON or an event, as Elasticsearch orders them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway import Answer, Gateway

STREAM = "/_inference/completion/echo-completion/_stream"
INPUT = {"input": "hello"}
EVENTS = "text/event-stream"


def is_json(answer: Answer) -> bool:
    return answer.headers["Content-Type"] == "application/json" and "root_cause" in answer.json()["error"]


def one_error_event(answer: Answer) -> dict[str, Any]:
    """Return the body of the one event, whose status has to be that of the answer."""
    assert answer.headers["Content-Type"] == EVENTS
    head, _, data = answer.body.partition(b"\ndata: ")
    assert head == b"event: error"
    assert data.endswith(b"\n\n")
    assert data.count(b"\n") == 2
    body: dict[str, Any] = json.loads(data)
    assert body["status"] == answer.status
    return body


def test_authentication_comes_before_everything(gateway: Gateway) -> None:
    answer = gateway.call("GET", "/_inference/nope/nope/_stream?wrong=1", b"{", {"Content-Type": "text/plain"}, key="")
    assert answer.status == 401
    assert is_json(answer)
    assert len(answer.headers.get_all("WWW-Authenticate") or []) == 3


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
def test_another_method_is_405_and_plain(gateway: Gateway, method: str) -> None:
    answer = gateway.call(method, STREAM + "?wrong=1")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        uri = STREAM + "?wrong=1"
        assert answer.json() == {
            "error": f"Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [POST]",
            "status": 405,
        }


def test_options_names_the_method(gateway: Gateway) -> None:
    answer = gateway.call("OPTIONS", STREAM)
    assert (answer.status, answer.headers["Allow"], answer.body) == (200, "POST", b"")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "application/cbor", "application/smile"],
)
def test_another_content_type_is_406_and_plain(gateway: Gateway, content_type: str) -> None:
    answer = gateway.call("POST", STREAM + "?wrong=1", b"{", {"Content-Type": content_type})
    assert answer.status == 406
    assert answer.json() == {"error": f"Content-Type header [{content_type}] is not supported", "status": 406}


def test_another_major_version_is_400_and_json(gateway: Gateway) -> None:
    headers = {"Accept": "application/vnd.elasticsearch+json; compatible-with=7"}
    answer = gateway.call("POST", STREAM, INPUT, headers)
    assert answer.status == 400
    assert answer.error["type"] == "media_type_header_exception"
    assert "must be either version 9 or 8, but found 7" in answer.error["caused_by"]["reason"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/_inference/nonsense/echo-completion/_stream", "Unknown task_type [nonsense]"),
        (STREAM + "?timout=1s", f"request [{STREAM}] contains unrecognized parameter: [timout] -> did you mean [timeout]?"),
        (STREAM + "?a=1&b=2", f"request [{STREAM}] contains unrecognized parameters: [a], [b]"),
        (STREAM + "?timeout=30", "failed to parse setting [timeout] with value [30] as a time value: unit is missing or unrecognized"),
        (STREAM + "?pretty=maybe", "Failed to parse value [maybe] as only [true] or [false] are allowed."),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_address_is_json(gateway: Gateway, path: str, reason: str) -> None:
    answer = gateway.call("POST", path, INPUT)
    assert answer.status == 400
    assert is_json(answer)
    assert answer.error["reason"] == reason


def test_a_missing_body_is_json(gateway: Gateway) -> None:
    answer = gateway.call("POST", STREAM)
    assert (answer.status, answer.error["type"]) == (400, "parse_exception")
    assert answer.error["reason"] == "request body is required"
    assert is_json(answer)


def test_a_missing_privilege_is_an_event_and_comes_before_the_endpoint(gateway: Gateway) -> None:
    user = {"password": "secret-of-nobody", "roles": []}
    assert gateway.call("PUT", "/_security/user/nobody", user).status == 200
    basic = gateway.login("nobody", "secret-of-nobody")
    answer = gateway.call("POST", "/_inference/completion/nope/_stream", b"{", basic, key="")
    assert answer.status == 403
    assert one_error_event(answer)["error"]["reason"] == (
        "action [cluster:monitor/xpack/inference/post] is unauthorized for user [nobody] with effective roles [], this "
        "action is granted by the cluster privileges [monitor_inference,manage_inference,monitor,manage,all]"
    )


def test_without_a_task_type_the_endpoint_comes_before_the_body(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/_inference/nope/_stream", b"{")
    assert answer.status == 404
    body = one_error_event(answer)
    reason = "Inference endpoint not found [nope]"
    assert body["error"]["root_cause"] == [{"type": "resource_not_found_exception", "reason": reason}]


def test_with_a_task_type_the_body_comes_before_the_endpoint(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/_inference/completion/nope/_stream", b"{")
    assert answer.status == 400
    assert one_error_event(answer)["error"]["type"] == "x_content_parse_exception"
    assert gateway.call("POST", "/_inference/completion/nope/_stream", INPUT).status == 404


def test_the_requested_task_type_has_to_be_the_endpoints(gateway: Gateway) -> None:
    answer = gateway.call("POST", "/_inference/text_embedding/echo-completion/_stream", INPUT)
    assert answer.status == 400
    assert one_error_event(answer)["error"]["reason"] == (
        "Incompatible task_type, the requested type [text_embedding] does not match the model type [completion]"
    )


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"[]", "x_content_parse_exception", "[1:1] [cluster:internal/xpack/inference] Expected START_OBJECT but was: START_ARRAY"),
        (b'{"input": 1}', "x_content_parse_exception", "[1:11] [cluster:internal/xpack/inference] input doesn't support values of type: VALUE_NUMBER"),
        (b'{"input": "x", "foo": 1}', "x_content_parse_exception", "[1:16] [cluster:internal/xpack/inference] unknown field [foo]"),
        (b'{"imput": "x"}', "x_content_parse_exception", "[1:2] [cluster:internal/xpack/inference] unknown field [imput] did you mean [input]?"),
        (b"{}", "action_request_validation_exception", "Validation Failed: 1: Field [input] cannot be null;"),
        (b'{"input": []}', "action_request_validation_exception", "Validation Failed: 1: Field [input] cannot be an empty array;"),
        (b'{"input": "x", "top_n": 1, "input_type": "search"}', "action_request_validation_exception",
         "Validation Failed: 1: Field [top_n] cannot be specified for task type [completion];"
         "2: Field [input_type] cannot be specified for task type [completion];"),
        (b'{"input": "x", "input_type": "internal_search"}', "illegal_argument_exception", "Unrecognized input_type [internal_search]"),
        (b'{"input": ["a", "b"]}', "status_exception", "Echo completions only accepts 1 input"),
        (b'{"input": "x", "task_settings": {"a": 1}}', "status_exception", "Configuration contains settings [{a=1}] unknown to the [echo] service"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_body_is_an_event(gateway: Gateway, body: bytes, kind: str, reason: str) -> None:
    answer = gateway.call("POST", STREAM, body)
    assert answer.status == 400
    error = one_error_event(answer)["error"]
    assert (error["type"], error["reason"]) == (kind, reason)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"input":' + b'{"a":' * 5000,
        b'{"input": "\\ud800"}',
        b'{"input": "\xff"}',
        b'{"input": "\\u0000"}',
        b'{"input": 1e999}',
        b'{"input": ' + b"9" * 5000 + b"}",
        b'{"input": NaN}',
        b'{"input": "x"} trailing',
        b'{"input": "x"',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'{"input": [1]}',
        b'{"input": null}',
        b'{"input": "x", "task_settings": []}',
        b'{"input": "x", "timeout": 5}',
    ],
)
def test_hostile_bodies_are_400_with_a_message(gateway: Gateway, body: bytes) -> None:
    answer = gateway.call("POST", STREAM, body)
    assert answer.status == 400
    assert one_error_event(answer)["error"]["reason"]


def test_a_body_over_the_limit_is_413_with_and_without_a_length(gateway: Gateway) -> None:
    body = b'{"input": "' + b"x" * 11_000_000 + b'"}'
    assert gateway.call("POST", STREAM, body).status == 413
