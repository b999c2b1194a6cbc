"""What a client is told, out of the bytes of an answer."""

from __future__ import annotations

import json

import pytest

from conformance.client import Seen, Transfer
from conformance.dialects import Elasticsearch, OpenAI
from conformance.events import Told, events

ELASTICSEARCH = Elasticsearch("", "", "", "")
OPENAI = OpenAI("", "", "", "")


def read(dialect: Elasticsearch | OpenAI, *reads: bytes, status: int = 200, streamed: bool = True) -> Told:
    seen = Seen(0.0, 9.0, status, b"", list(enumerate(map(bytes, reads))), Transfer.WHOLE)
    return dialect.read(seen, streamed=streamed)


def test_an_event_is_complete_when_its_last_byte_is_here() -> None:
    found = list(events([(1.0, b"data: a\n"), (2.0, b"\ndata"), (3.0, b": b\n\n")]))
    assert [(event.at, event.data) for event in found] == [(2.0, b"a"), (3.0, b"b")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_and_byte_order_marks_are_taken(end: bytes) -> None:
    body = b"\xef\xbb\xbfevent: message\ndata: 1\n\n\xef\xbb\xbfevent: error\ndata: 2\n\n".replace(b"\n", end)
    assert [(event.name, event.data) for event in events([(0.0, body)])] == [("message", b"1"), ("error", b"2")]


def test_deltas_come_out_in_order_and_the_end_ends() -> None:
    told = read(
        ELASTICSEARCH, b'event: message\ndata: {"completion":[{"delta":"a"},{"delta":"b"}]}\n\ndata: [DONE]\n\n'
    )
    assert (told.text, told.dones, told.errors, told.after_end) == ("ab", 1, [], 0)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"completion":[{"delta":"a"}]}\n\ndata: [DONE]\n\ndata: [DONE]\n\n',
        b'event: error\ndata: {"error":{"reason":"x"}}\n\ndata: [DONE]\n\n',
        b'data: [DONE]\n\ndata: {"completion":[{"delta":"a"}]}\n\n',
    ],
)
def test_what_comes_behind_the_end_is_counted(body: bytes) -> None:
    assert read(ELASTICSEARCH, body).after_end == 1


@pytest.mark.parametrize("body", [b'data: {"completion":[{"delta":"a', b"data: {}\n\n", b"<html>", b"data: x\n\n"])
def test_what_is_no_event_of_the_dialect_is_strange(body: bytes) -> None:
    assert len(read(ELASTICSEARCH, body).strange) == 1


def test_comments_are_counted_and_are_no_events() -> None:
    told = read(ELASTICSEARCH, b": keep-alive\n\n:\n\ndata: [DONE]\n\n")
    assert (told.comments, told.strange, told.dones) == (2, [], 1)


@pytest.mark.parametrize("body", [b'{"error":{"reason":"x"}}', b'event: error\ndata: {"error":{"reason":"x"}}\n\n'])
def test_a_refusal_is_json_or_one_event(body: bytes) -> None:
    assert read(ELASTICSEARCH, body, status=404).errors == [{"reason": "x"}]


@pytest.mark.parametrize("body", [b"", b"oops", b"{}", b'"x"'])
def test_a_refusal_without_an_error_is_strange(body: bytes) -> None:
    assert read(ELASTICSEARCH, *([body] if body else []), status=500).errors == []


def test_openai_chunks_without_text_are_no_deltas() -> None:
    chunks = [
        {"choices": []},
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"delta": {"content": "a"}}]},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    told = read(OPENAI, body + b'data: {"error":{"message":"x"}}\n\n')
    assert (told.text, len(told.parts), len(told.errors), told.strange) == ("a", 1, 1, [])


def test_a_text_is_seen_when_its_last_character_is() -> None:
    told = Told([(1.0, "ab"), (2.0, "c")])
    assert [told.seen_at(length) for length in (1, 2, 3, 4)] == [1.0, 1.0, 2.0, None]
