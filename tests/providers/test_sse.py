"""Providers' event streams, cut where it hurts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endpoints.providers import _sse
from endpoints.providers._sse import Event, EventSplitter, EventTooLarge

STREAM = (
    b'\xef\xbb\xbfdata: {"a":"\xc3\xa4"}\n\n'
    b": a comment\n\n"
    b"data: two\ndata: lines\n\n"
    b"data:no blank\n\n"
    b"event: error\nid: 7\nretry: 10\ndata:  two blanks\n\n"
    b"data\n\n"
    b"\n\n\n"
    b"unknown: field\n\n"
    b"data: [DONE]\n\n"
)
EVENTS: list[Event] = [
    (b"", b'{"a":"\xc3\xa4"}'),
    (b"", b"two\nlines"),
    (b"", b"no blank"),
    (b"error", b" two blanks"),
    (b"", b""),
    (b"", b"[DONE]"),
]


def split(reads: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    return [event for read in reads for event in splitter.feed(read)]


def with_ends(stream: bytes, end: bytes) -> bytes:
    return stream.replace(b"\n", end)


ENDS = pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])


@ENDS
def test_events_are_the_same_wherever_a_read_ends(end: bytes) -> None:
    stream = with_ends(STREAM, end)
    for place in range(len(stream) + 1):
        assert split([stream[:place], stream[place:]]) == EVENTS, place


@ENDS
def test_events_are_the_same_byte_by_byte(end: bytes) -> None:
    stream = with_ends(STREAM, end)
    assert split([bytes([byte]) for byte in stream]) == EVENTS


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_are_the_same_in_any_reads(places: list[int], end: bytes) -> None:
    stream = with_ends(STREAM, end)
    marks = [0, *sorted(places), len(stream)]
    assert split([stream[a:b] for a, b in pairwise(marks)]) == EVENTS


def test_many_events_of_one_read_keep_their_order() -> None:
    stream = b"".join(b"data: %d\n\n" % number for number in range(1000))
    assert [data for _, data in split([stream])] == [b"%d" % number for number in range(1000)]


def test_an_odd_event_among_many_in_one_read_loses_none() -> None:
    stream = b"data: 1\n\n: ping\n\ndata: 2\n\nevent: x\ndata: 3\n\ndata: 4\n\n"
    assert split([stream, stream]) == [(b"", b"1"), (b"", b"2"), (b"x", b"3"), (b"", b"4")] * 2


def test_only_a_mark_at_the_beginning_of_the_stream_is_dropped() -> None:
    assert split([b"data: 1\n\n", b"\xef\xbb\xbfdata: 2\n\n", b"data: 3\n\n"]) == [(b"", b"1"), (b"", b"3")]


def test_the_name_of_an_event_does_not_stay_for_the_next() -> None:
    assert split([b"event: error\n\ndata: 1\n\n"]) == [(b"", b"1")]


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r"])
def test_the_end_of_the_body_ends_the_last_event(rest: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n\n" + rest) == [(b"", b"1")]
    assert splitter.end() == [(b"", b"[DONE]")]


def test_a_whole_stream_leaves_nothing_at_its_end() -> None:
    splitter = EventSplitter()
    splitter.feed(STREAM)
    assert splitter.end() == []


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["line", "lines"])
def test_an_event_without_an_end_is_refused_before_it_fills_the_memory(
    end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sse, "MAX_EVENT_BYTES", 1000)
    splitter = EventSplitter()
    for _ in range(30):
        splitter.feed(b"data: " + b"x" * 20 + end)
    with pytest.raises(EventTooLarge):
        splitter.feed(b"data: " + b"x" * 500 + end)
