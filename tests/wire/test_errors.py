"""The error family and its bodies."""

from __future__ import annotations

from wire.elastic import error_body
from wire.errors import (
    AlreadyExists,
    BodyMissing,
    Forbidden,
    MethodNotAllowed,
    NoHandler,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    ProviderError,
    RequestInvalid,
    SettingsInvalid,
    StatusError,
)


def test_an_error_stands_in_the_object_and_in_its_root_cause() -> None:
    facts = {"type": "resource_not_found_exception", "reason": "Inference endpoint not found [nope]"}
    body = error_body(NotFound("Inference endpoint not found [nope]"))
    assert body == {"error": {"root_cause": [facts], **facts}, "status": 404}


def test_the_root_cause_is_the_innermost_error() -> None:
    innermost = StatusError("innermost", status=429)
    body = error_body(StatusError("outer", caused_by=StatusError("inner", caused_by=innermost)))
    assert body["error"]["root_cause"] == [{"type": "status_exception", "reason": "innermost"}]
    assert body["error"]["reason"] == "outer"
    assert body["error"]["caused_by"]["caused_by"] == {"type": "status_exception", "reason": "innermost"}
    assert body["status"] == 400


def test_problems_are_numbered() -> None:
    assert RequestInvalid("a").reason == "Validation Failed: 1: a;"
    assert SettingsInvalid("a", "b").reason == "Validation Failed: 1: a;2: b;"


def test_each_problem_of_a_setting_has_a_field() -> None:
    assert SettingsInvalid("a", "b", fields=["model_id", ""]).fields == ("model_id", "")
    assert SettingsInvalid("a", "b").fields == ("", "")


def test_types_and_statuses_are_elasticsearchs() -> None:
    errors = [BodyMissing(), RequestInvalid("x"), SettingsInvalid("x"), AlreadyExists("x"), Forbidden("x")]
    assert [(error.status, error.type) for error in errors] == [
        (400, "parse_exception"),
        (400, "action_request_validation_exception"),
        (400, "validation_exception"),
        (400, "resource_already_exists_exception"),
        (403, "security_exception"),
    ]


def test_a_challenge_stands_in_the_body_and_in_the_headers() -> None:
    error = NotAuthenticated("who?", detail="API key: no")
    challenges = ['Basic realm="security", charset="UTF-8"', 'Bearer realm="security"', "ApiKey"]
    facts = {
        "type": "security_exception",
        "reason": "who?",
        "additional_unsuccessful_credentials": "API key: no",
        "header": {"WWW-Authenticate": challenges},
    }
    assert error_body(error) == {"error": {"root_cause": [facts], **facts}, "status": 401}
    assert list(error.headers["WWW-Authenticate"]) == challenges


def test_methods_and_media_types_are_answered_with_a_sentence() -> None:
    error = MethodNotAllowed("/_inference/x?pretty", "POST", ["GET", "PUT"])
    sentence = "Incorrect HTTP method for uri [/_inference/x?pretty] and method [POST], allowed: [GET, PUT]"
    assert error_body(error) == {"error": sentence, "status": 405}
    assert error.headers == {"Allow": "GET, PUT"}
    assert error_body(NotAcceptable("no")) == {"error": "no", "status": 406}


def test_an_unknown_path_has_no_status_in_its_body() -> None:
    assert error_body(NoHandler("/x", "GET")) == {"error": "no handler found for uri [/x] and method [GET]"}


def test_what_a_provider_said_stays_out_of_the_standard_body() -> None:
    error = ProviderError("no", status=404, code="model_not_found", param="model", provider_type="invalid")
    facts = {"type": "status_exception", "reason": "no"}
    assert error_body(error) == {"error": {"root_cause": [facts], **facts}, "status": 404}
