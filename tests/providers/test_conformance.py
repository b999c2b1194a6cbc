"""One contract for every service that streams, over recorded bytes: the same answer, however the bytes arrive.

A new service is covered by adding its recordings; one without recordings fails here by its name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from endpoints.providers import load, names
from tests.providers.recordings import FOLDER, Recording, played, recordings, services_that_stream

CASES = ("normal", "error_before", "error_midway", "cut_off")
SPLITS = 20
LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


def each(*chosen: Recording) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recording", [pytest.param(one, id=str(one)) for one in chosen])


def one_of_each_wire_format() -> Iterator[Recording]:
    """Yield, for each format, the complete recording that is best to cut."""
    chosen: dict[str, Recording] = {}
    for one in filter(lambda one: one.is_complete, recordings()):
        best = chosen.setdefault(one.wire_format, one)
        if _worth(one) > _worth(best):
            chosen[one.wire_format] = one
    yield from chosen.values()


def _worth(one: Recording) -> tuple[bool, bool, int]:
    """Characters of several bytes are what is easily cut; of recordings that have some, the shortest will do."""
    return not one.body.isascii(), bool(one.expected.text), -len(one.body)


every = each(*recordings())
complete = each(*(one for one in recordings() if one.is_complete))
typical = each(*one_of_each_wire_format())


def random_reads(recording: Recording, seed: int) -> Iterator[bytes]:
    """Yield the body in reads of which some are tiny and some are large."""
    chance = random.Random(f"{recording} {seed}")
    largest = chance.choice((3, 40, 400, 4000))
    start = 0
    while start < len(recording.body):
        end = start + chance.randint(1, largest)
        yield recording.body[start:end]
        start = end


@pytest.mark.parametrize("service", names())
def test_every_service_that_streams_has_its_recordings(service: str) -> None:
    if service not in services_that_stream():
        return
    recorded = {one.case for one in recordings() if one.service == service}
    wanted = {*CASES, *(("tool_call",) if "chat_completion" in load(service).streaming_task_types else ())}
    assert wanted - recorded == set(), f"tests/providers/recorded/{service} lacks recordings"
    assert any(one.expected.usage for one in recordings() if one.service == service), "no recording has usage"


def test_recordings_come_in_pairs_and_are_of_services_that_stream() -> None:
    known = set(services_that_stream())
    found = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()}
    pairs = {one.with_suffix(suffix) for one in found for suffix in (".stream", ".json")}
    assert found == pairs
    assert {one.parent.name for one in found} <= known


@every
@pytest.mark.parametrize("line_ends", LINE_ENDS)
async def test_a_stream_in_one_read_is_what_it_says(recording: Recording, line_ends: str) -> None:
    """Each kind of line end, where the format is that of event streams."""
    if recording.is_event_stream:
        recording = recording.with_line_ends(LINE_ENDS[line_ends])
    recording.judge(await played(recording, [recording.body]))


@every
@pytest.mark.parametrize("line_ends", LINE_ENDS)
async def test_a_stream_byte_by_byte_says_the_same(recording: Recording, line_ends: str) -> None:
    if recording.is_event_stream:
        recording = recording.with_line_ends(LINE_ENDS[line_ends])
    body = recording.body
    recording.judge(await played(recording, (body[place : place + 1] for place in range(len(body)))))


@every
async def test_a_stream_in_random_reads_says_the_same(recording: Recording) -> None:
    for seed in range(SPLITS):
        line_end = random.Random(seed).choice([*LINE_ENDS.values()])
        sent = recording.with_line_ends(line_end) if recording.is_event_stream else recording
        sent.judge(await played(sent, random_reads(sent, seed)))


@typical
async def test_a_stream_in_two_reads_says_the_same_wherever_it_is_split(recording: Recording) -> None:
    for place in range(1, len(recording.body)):
        recording.judge(await played(recording, [recording.body[:place], recording.body[place:]]))


@typical
@pytest.mark.parametrize("broken", [False, True], ids=["closed", "broken"])
async def test_a_stream_that_is_cut_anywhere_is_an_error_or_has_said_all(recording: Recording, broken: bool) -> None:
    whole = recording.expected.outcome()
    for place in range(len(recording.body)):
        outcome = await played(recording, [recording.body[:place]], broken=broken)
        assert whole.text.startswith(outcome.text), place
        if outcome.end == "complete":
            assert outcome.answer == whole.answer, place
            assert outcome.finish_reason == whole.finish_reason, place
        else:
            assert "my-endpoint" in outcome.error, place


@complete
async def test_a_connection_that_breaks_before_the_answer_is_whole_is_an_error(recording: Recording) -> None:
    half = recording.body[: len(recording.body) // 2]
    outcome = await played(recording, [half], broken=True)
    assert (outcome.end, outcome.status) == ("error", 500)
