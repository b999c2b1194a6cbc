"""The floor passes on all of a stream: bytes as they are, or every delta in an event of the gateway."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Program, started
from benchmarks.targets import Answer, OpenAITarget, RelayTarget, Target
from tests.gateway import ROOT, free_port

_DELTAS = 500


def test_the_byte_relay_changes_nothing(provider: Program, tmp_path: Path) -> None:
    with _relay("bytes", provider, tmp_path) as relay:
        passed_on, direct = _answer(OpenAITarget(relay)), _answer(OpenAITarget(provider))
    assert passed_on == direct


def test_the_parsing_relay_frames_every_delta_as_the_gateway_does(provider: Program, tmp_path: Path) -> None:
    with _relay("parsing", provider, tmp_path) as relay:
        for _ in range(3):
            *events, done, rest = _answer(RelayTarget(relay)).decode().split("\n\n")
            assert (done, rest) == ("event: message\ndata: [DONE]", "")
            parts = [json.loads(event.removeprefix("event: message\ndata: "))["completion"] for event in events]
            texts = [part["delta"] for event in parts for part in event]
            assert texts == [f" w{number:04}" for number in range(_DELTAS)]


def test_who_leaves_the_parsing_relay_leaves_the_provider(provider: Program, tmp_path: Path) -> None:
    with _relay("parsing", provider, tmp_path) as relay:
        connection = _asked(RelayTarget(relay), Answer(1000, seconds_apart=0.01))
        connection.getresponse().read(100)
        assert _open_streams(provider) == 1
        connection.close()
        assert _becomes_none(provider)


def _becomes_none(provider: Program) -> bool:
    """Return whether no stream is open, at last."""
    return any(_open_streams(provider) == 0 for _ in range(2000))


def _open_streams(provider: Program) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
    connection.request("GET", "/open-streams")
    found = int(connection.getresponse().read())
    connection.close()
    return found


@contextmanager
def _relay(kind: str, provider: Program, directory: Path) -> Iterator[Program]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.relays", kind, str(port), str(provider.port)]
    with started(command, port, directory, {"PYTHONPATH": str(ROOT)}) as running:
        yield running


def _answer(target: Target) -> bytes:
    connection = _asked(target, Answer(_DELTAS))
    body = connection.getresponse().read()
    connection.close()
    return body


def _asked(target: Target, answer: Answer) -> http.client.HTTPConnection:
    """Return a connection on which the target's own request was sent."""
    head, _, body = target.request(answer).partition(b"\r\n\r\n")
    path = head.split(b" ")[1].decode()
    connection = http.client.HTTPConnection("127.0.0.1", target.program.port, timeout=30)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    return connection
