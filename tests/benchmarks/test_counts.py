"""What a request and a delta cost is held against a budget, by meters that chance does not move."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import counts, reference
from benchmarks.counts import Cost
from benchmarks.in_process import LOADS
from benchmarks.meters import METERS, open_counter
from tests.benchmarks.dearer import spend
from tests.gateway import ROOT

_SOFTWARE, _PAGE_FAULTS = 1, 2
_BUDGET = {load.name: 100.0 for load in LOADS}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300)


def _bytecodes(turns: int) -> float:
    with METERS["bytecodes"].reading() as read:
        before = read()
        spend(turns)
        return read() - before


def test_a_request_that_costs_a_fifth_more_fails_and_is_named(tmp_path: Path) -> None:
    arguments = ("--meter", "bytecodes", "--budget", str(tmp_path / "budget.json"))
    recorded = _run("benchmarks.counts", "--record", *arguments)
    assert recorded.returncode == 0, recorded.stderr
    request = re.search(r"^a request of 4 deltas +([\d,.]+)", recorded.stdout, re.MULTILINE)
    assert request is not None, recorded.stdout
    a_turn = (_bytecodes(1_000) - _bytecodes(0)) / 1_000
    turns = round(0.2 * float(request[1].replace(",", "")) / a_turn)
    ended = _run("tests.benchmarks.dearer", str(turns), *arguments)
    assert ended.returncode == 1, ended.stderr
    assert re.search(r"The cost of a request of 4 deltas has grown by (19|20|21)%", ended.stderr)
    assert "make profile" in ended.stderr
    assert "arrives alone" not in ended.stderr
    assert re.search(r"^a request of 4 deltas +[\d,.]+ +[\d.]+ +[\d.]+ +1\.(19|20|21)\d*$", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize(("share", "complaints"), [(50.0, 0), (114.0, 0), (116.0, 1)])
def test_only_growth_beyond_the_tolerance_is_complained_of(share: float, complaints: int) -> None:
    for grown in LOADS:
        found = [Cost(load, 1.0, share if load is grown else 100.0) for load in LOADS]
        said = list(counts.complaints(found, _BUDGET, METERS["valgrind"]))
        assert len(said) == complaints
        assert all(grown.title in sentence and f"[{share:.4g}]" in sentence for sentence in said)


def test_the_recorded_budget_has_every_load_for_the_meters_that_need_no_hardware() -> None:
    budgets = json.loads(counts.BUDGET.read_text())
    assert budgets.keys() >= METERS.keys() - {"perf"}
    assert all(budget.keys() == _BUDGET.keys() for budget in budgets.values())


def test_a_meter_without_a_budget_is_named(tmp_path: Path) -> None:
    ended = _run("benchmarks.counts", "--meter", "cpu", "--budget", str(tmp_path / "none.json"))
    assert ended.returncode == 2
    assert "none.json] has no budget for the meter [cpu]; record one by `make counts ARGS=--record`" in ended.stderr


def test_a_budget_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    budget = tmp_path / "budget.json"
    budget.write_text("{")
    ended = _run("benchmarks.counts", "--budget", str(budget))
    assert ended.returncode == 2
    assert f"[{budget}] is not a budget" in ended.stderr


def test_the_reference_is_the_same_work_each_time() -> None:
    assert reference.work() == reference.work()


def test_the_same_code_has_the_same_number_of_bytecodes_each_time() -> None:
    for _ in range(50):
        reference.work()
    with METERS["bytecodes"].reading() as read:
        readings = [read()]
        for _ in range(5):
            reference.work()
            readings.append(read())
    costs = {after - before for before, after in pairwise(readings)}
    assert len(costs) == 1
    assert costs.pop() > 1_000


def test_counters_of_the_kernel_can_be_opened_and_read() -> None:
    try:
        descriptor = open_counter(_SOFTWARE, _PAGE_FAULTS)
    except OSError as error:
        pytest.skip(f"the kernel lets nobody count here: {error}")
    before = os.read(descriptor, 8)
    touched = b"1" * (64 * 2**20)
    after = os.read(descriptor, 8)
    os.close(descriptor)
    assert touched
    assert int.from_bytes(after, sys.byteorder) > int.from_bytes(before, sys.byteorder)


_UNDER_VALGRIND = """
import sys
from benchmarks import meters, reference
meters.run_under_valgrind([sys.executable, "-c", {code!r}])
"""
_COUNTED = """
from benchmarks import reference
from benchmarks.meters import METERS
for _ in range(50):
    reference.work()
with METERS["valgrind"].reading() as read:
    readings = [read()]
    for times in (0, 10, 10):
        for _ in range(times):
            reference.work()
        readings.append(read())
print(*(after - before for before, after in zip(readings, readings[1:])))
"""


@pytest.mark.skipif(not METERS["valgrind"].is_available(), reason="valgrind is not installed")
def test_valgrind_counts_the_same_instructions_each_time() -> None:
    code = _UNDER_VALGRIND.format(code=_COUNTED)
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    nothing, first, second = (float(number) for number in ended.stdout.split())
    assert first - nothing > 1_000_000
    assert (second - nothing) / (first - nothing) == pytest.approx(1, abs=0.05)
