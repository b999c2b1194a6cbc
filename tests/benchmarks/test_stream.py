"""The benchmark runs to its end and fills its table; what it measured is not judged here."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from benchmarks.table import COLUMNS, ROWS
from benchmarks.targets import SERVICES
from endpoints.providers import load, names
from tests.gateway import ROOT

_TINY = ("--quick", "--requests", "40", "--seconds", "0.3", "--streams", "8")


@pytest.mark.parametrize(("service", "columns"), [("openai", COLUMNS), ("echo", COLUMNS[:1])])
def test_every_row_of_the_table_has_a_number_for_the_gateway(service: str, columns: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "benchmarks.stream", "--service", service, *_TINY]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert re.split(r" {2,}", lines[3].strip()) == list(columns)
    for row, line in zip(ROWS, lines[4:], strict=False):
        assert re.match(rf"{row.label} +{row.unit} +-?[0-9]", line), line


def test_all_services_stream_and_stand_beside_openai() -> None:
    command = [sys.executable, "-m", "benchmarks.stream", "--service", "all", *_TINY]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    found = re.findall(r"^(\w+) +[\d.]+  [\d.]+ x openai +[\d.]+  [\d.]+ x openai$", ended.stdout, re.MULTILINE)
    assert found[0] == "openai"
    assert sorted(found) == sorted(SERVICES)


def test_every_service_that_streams_can_be_measured() -> None:
    assert {name for name in names() if load(name).streaming_task_types} == SERVICES.keys()


def test_a_number_that_makes_no_sense_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks.stream", "--streams", "none"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "argument --streams: [none] is not a number above 0" in ended.stderr
