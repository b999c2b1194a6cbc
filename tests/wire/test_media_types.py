"""Media types: what is accepted, in which version, and what an answer is sent as."""

from __future__ import annotations

import pytest

from wire.errors import BadRequest, MediaTypeInvalid, NotAcceptable
from wire.media_types import check_content_type, check_format, check_versions, response_type

VENDOR = "application/vnd.elasticsearch+json"
VENDOR_8 = f"{VENDOR}; compatible-with=8"
VENDOR_9 = f"{VENDOR}; compatible-with=9"


@pytest.mark.parametrize(
    "header",
    ["application/json", "Application/JSON; charset=utf-8", "application/x-ndjson", VENDOR, VENDOR_8, VENDOR_9,
     "application/vnd.elasticsearch+x-ndjson;compatible-with=9"],
)  # fmt: skip
def test_json_is_accepted_under_all_its_names(header: str) -> None:
    check_content_type(header)


@pytest.mark.parametrize(
    "header", ["text/plain", "application/yaml", "application/cbor", "application/smile", "multipart/form-data"]
)
def test_another_type_is_not_supported(header: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        check_content_type(header)
    assert (caught.value.status, caught.value.reason) == (406, f"Content-Type header [{header}] is not supported")


def test_a_missing_type_is_named() -> None:
    with pytest.raises(NotAcceptable, match=r"^Content-Type header is missing$"):
        check_content_type("")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", ""),
        ("*/*", "application/json"),
        (VENDOR_8, VENDOR_8),
        (VENDOR_9, VENDOR_8),
        (VENDOR_9, "application/json"),
        (f"{VENDOR_9},text/plain", VENDOR_9),
        ("text/event-stream", VENDOR_9),
        ("application/json; compatible-with=7", ""),
    ],
)
def test_versions_8_and_9_are_spoken(accept: str, content_type: str) -> None:
    check_versions(accept, content_type)


def test_another_major_version_is_refused_early() -> None:
    accept = f"{VENDOR}; compatible-with=7"
    with pytest.raises(MediaTypeInvalid) as caught:
        check_versions(accept, VENDOR_9)
    assert caught.value.reason == "Invalid media-type value on headers [Accept]"
    assert caught.value.caused_by is not None
    assert (
        caught.value.caused_by.reason == f"Accept version must be either version 9 or 8, but found 7. Accept={accept}"
    )


def test_another_version_of_the_body_is_refused() -> None:
    content_type = f'{VENDOR};compatible-with="10"'
    with pytest.raises(MediaTypeInvalid) as caught:
        check_versions("*/*", content_type)
    assert caught.value.reason == "Invalid media-type value on headers [Content-Type]"
    assert caught.value.caused_by is not None
    assert "but found 10. " in caught.value.caused_by.reason


@pytest.mark.parametrize(
    ("accept", "content_type", "expected"),
    [
        ("", "", "application/json"),
        ("*/*", "", "application/json"),
        ("application/json", VENDOR_9, "application/json"),
        (VENDOR_9, VENDOR_9, f"{VENDOR};compatible-with=9"),
        (VENDOR_8, "", f"{VENDOR};compatible-with=8"),
        (f"{VENDOR_9},text/plain", VENDOR_9, VENDOR),
        ("text/event-stream", VENDOR_9, VENDOR),
        ("text/html", "text/plain", "application/json"),
    ],
)
def test_an_answer_has_the_type_that_was_asked_for(accept: str, content_type: str, expected: str) -> None:
    assert response_type(accept, content_type) == expected


@pytest.mark.parametrize("value", ["", "json"])
def test_json_is_the_format(value: str) -> None:
    check_format(value)


@pytest.mark.parametrize(("value", "status"), [("yaml", 406), ("cbor", 406), ("smile", 406), ("xml", 400)])
def test_another_format_is_refused(value: str, status: int) -> None:
    with pytest.raises((NotAcceptable, BadRequest)) as caught:
        check_format(value)
    assert caught.value.status == status
    assert f"[{value}]" in caught.value.reason
