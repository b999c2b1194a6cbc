"""JSON bodies: strict, with the place of what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import json
from wire.errors import BodyInvalid


def reason(body: bytes) -> str:
    with pytest.raises(BodyInvalid) as caught:
        json.decode(body)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{input: 1}", "[1:2] Unexpected character ('i' (code 105)): "),
        (b'{\n  "a": 1,\n  b\n}', "[3:3] Unexpected character ('b' (code 98)): "),
        (b'{"a": 1', "[1:8] Unexpected end-of-input"),
        (b"   ", "[1:4] Unexpected end-of-input"),
        (b'{"a": "\xc3\xa4\xff"}', "[1:9] Invalid UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "[1:1] Unexpected character ("),
        (b'{"a": 1} {"b": 2}', "[1:10] Unexpected character ('{' (code 123)): "),
    ],
)
def test_what_is_not_json_is_refused_with_its_position(body: bytes, expected: str) -> None:
    assert reason(body).startswith(expected)


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"a": "\\udc00"}', b'{"\\ud800": 1}'])
def test_a_lone_surrogate_is_refused(body: bytes) -> None:
    assert reason(body) == "[1:1] Unmatched surrogate in a string"


@pytest.mark.parametrize("body", [b"1e999", b"-1e999", b'{"a": NaN}', b"Infinity"])
def test_a_number_that_is_not_finite_is_refused(body: bytes) -> None:
    assert reason(body) == "[1:1] A number is not finite or out of range"


def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    assert reason(b"9" * 5000) == "[1:1] Integer value out of range"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300])
def test_deep_nesting_is_refused(body: bytes) -> None:
    assert "nests deeper than [200] levels" in reason(body)


def test_nesting_within_the_limit_is_fine() -> None:
    json.decode(b"[" * 200 + b"]" * 200)


@pytest.mark.parametrize("body", [b'"\\u0000"', b'{"a": ["x\\u0000y"]}', b'{"\\u0000": 1}'])
def test_a_nul_character_is_refused(body: bytes) -> None:
    assert reason(body) == "[1:1] Illegal character (NULL, code 0) in a string"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"[]", "START_ARRAY"),
        (b'"x"', "VALUE_STRING"),
        (b"1", "VALUE_NUMBER"),
        (b"1.5", "VALUE_NUMBER"),
        (b"true", "VALUE_BOOLEAN"),
        (b"null", "VALUE_NULL"),
    ],
)
def test_a_body_that_is_no_object_is_refused_by_its_token(body: bytes, found: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        json.decode_object(body, "PutRequest")
    assert caught.value.reason == f"[1:1] [PutRequest] Expected START_OBJECT but was: {found}"


@given(st.binary())
def test_any_bytes_are_a_value_or_a_bad_request(body: bytes) -> None:
    try:
        value = json.decode(body)
    except BodyInvalid:
        return
    assert json.decode(json.encode(value)) == value


BODY = b'{"input": [{"foo": 1}, "foo"],\n "na\\u006de": "x",  "foo": 2}'


def test_the_position_of_a_key_is_that_of_the_top_level_one() -> None:
    assert json.key_position(BODY, "foo") == "[2:21]"
    assert json.key_position(BODY, "name") == "[2:2]"


def test_the_position_of_a_value_follows_its_key() -> None:
    assert json.value_position(BODY, "input") == "[1:11]"
    assert json.value_position(BODY, "name") == "[2:15]"


def test_a_key_that_is_not_there_has_the_position_of_the_body() -> None:
    assert json.key_position(BODY, "other") == "[1:1]"


def test_json_is_compact_unless_asked_to_be_pretty() -> None:
    assert json.encode({"a": [1, "ä"]}) == '{"a":[1,"ä"]}'.encode()
    assert json.encode({"a": "ä"}, pretty=True) == '{\n  "a" : "ä"\n}\n'.encode()


def test_integers_of_any_size_are_written() -> None:
    assert json.encode({"a": 10**40}) == b'{"a":1' + b"0" * 40 + b"}"
