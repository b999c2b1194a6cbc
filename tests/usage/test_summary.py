"""The metrics in a few words."""

from __future__ import annotations

from pathlib import Path

import pytest

from usage import summary, workers
from usage.series import DIRECTORY, WorkerFiles
from usage.workers import Numbers

TIME = "gen_ai_server_time_to_first_token_seconds"


def counted(monkeypatch: pytest.MonkeyPatch, numbers: Numbers) -> summary.Summary:
    monkeypatch.setattr(workers, "current", lambda: numbers)
    return summary.read()


def histogram(**at: int) -> list[float]:
    """Return the cells of a histogram with so many values in the buckets of these numbers."""
    cells = [0.0] * 19
    for bucket, count in at.items():
        cells[int(bucket.removeprefix("bucket_"))] = float(count)
    return cells


def test_requests_are_summed_and_what_callers_did_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"complete": 50, "client_gone": 8, "refused": 4, "upstream_error": 3, "stalled": 2}
    found = counted(
        monkeypatch,
        {
            ("gateway_requests", ("echo", "completion", stream, outcome, "200")): [float(count)]
            for outcome, count in outcomes.items()
            for stream in ("true", "false")
        },
    )
    assert (found.requests, found.errors, found.refused) == (134, 10, 8)


def test_open_streams_are_told_from_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "gateway_open_requests"
    found = counted(
        monkeypatch, {(name, ("true",)): [3.0], (name, ("false",)): [9.0], ("gateway_waiting_requests", ()): [2.0]}
    )
    assert (found.streams, found.waiting) == (3, 2)


def test_a_wait_is_what_95_of_100_did_not_exceed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(
        monkeypatch,
        {
            (TIME, ("chat", "openai")): histogram(bucket_0=95, bucket_9=5),
            (TIME, ("chat", "echo")): histogram(bucket_0=94, bucket_3=6),
            (TIME, ("chat", "slow")): histogram(bucket_17=1),
            (TIME, ("chat", "unused")): histogram(),
        },
    )
    assert [(one.provider, one.seconds, one.requests) for one in found.waits] == [
        ("slow", None, 1),
        ("echo", 0.08, 100),
        ("openai", 0.01, 100),
    ]


def test_what_several_workers_counted_is_added_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    labels = ("echo", "completion", "true", "complete", "200")
    files = [WorkerFiles(tmp_path) for _ in range(3)]
    for number, one in enumerate(files, 1):
        one.allocate("gateway_requests", labels, 1)[0] = number
    assert summary.read().requests == 6
