"""Server-Sent Events, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import StatusError
from wire.sse import Framing

plain = Framing()
marked = Framing(bom=True)
BOM = b"\xef\xbb\xbf"


def test_deltas_of_one_read_are_one_event() -> None:
    expected = b'event: message\ndata: {"completion":[{"delta":"a"},{"delta":" b"}]}\n\n'
    assert plain.completion(["a", " b"]) == expected


def test_a_stream_ends_with_done() -> None:
    assert plain.done == b"event: message\ndata: [DONE]\n\n"


def test_an_error_is_an_event_of_its_own() -> None:
    data = plain.error(StatusError("boom", status=408))
    assert data.startswith(b"event: error\ndata: {")
    assert data.endswith(b"\n\n")
    body = json.loads(data.partition(b"data: ")[2])
    cause = {"type": "status_exception", "reason": "boom"}
    assert body == {"error": {"root_cause": [cause], **cause}, "status": 408}


def test_a_byte_order_mark_stands_before_every_event_when_wanted() -> None:
    events = [marked.completion(["a"]), marked.error(StatusError("x")), marked.done]
    assert all(event.startswith(BOM + b"event: ") for event in events)
    assert not plain.done.startswith(BOM)


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_what_readers_take_for_a_line_end_is_escaped(character: str) -> None:
    event = plain.completion([f"a{character}b"])
    assert character.encode() not in event
    assert f"\\u{ord(character):04x}".encode() in event


def test_the_line_ends_are_escaped_in_errors_too() -> None:
    assert b"\\u2028" in plain.error(StatusError("a\u2028b"))


@given(st.lists(st.text(), max_size=5))
def test_any_text_survives_and_stays_on_one_line(texts: list[str]) -> None:
    event = plain.completion(texts).decode()
    assert len(event.splitlines()) == 3
    deltas = json.loads(event.splitlines()[1].removeprefix("data: "))["completion"]
    assert [one["delta"] for one in deltas] == texts
