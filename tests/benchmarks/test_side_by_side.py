"""A run measures everybody who is there, and goes on without those who are not; what it measured is not judged here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from benchmarks import environments, report
from benchmarks.__main__ import main
from benchmarks.contenders import DIRECT, FLOOR, OURS, Contender, Start
from benchmarks.environments import Unavailable
from benchmarks.processes import Program
from benchmarks.run import Places, Record, Run, Size
from benchmarks.targets import Answer, OpenAITarget, Target
from tests.gateway import ROOT

_FIGURES = {
    "request_cpu",
    "requests_per_second",
    "burst_cpu",
    "late_cpu",
    "late_first_p99",
    "added_first_p50",
    "start_cpu",
    "idle_memory",
    "slow_8_memory",
    "slow_8_threads",
    "slow_8_cpu",
    "left_open",
    "paced_4x20_cpu",
    "paced_4x20_late_p50",
    "paced_4x20_late_p99",
}
_TINY = Size(rounds=1, seconds=0.1, streams=(), slow_rounds=0, paces=((2, 50),))


def test_every_contender_that_is_there_has_every_figure(tmp_path: Path) -> None:
    written = tmp_path / "run.json"
    ours = f"{OURS}, SQLite"
    command = [sys.executable, "-m", "benchmarks", "--json", str(written), "--only", "byte relay", FLOOR, ours]
    command += ["--rounds", "1", "--seconds", "0.3", "--streams", "8", "--paces", "4x20"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    record = Record.read(written)
    assert [name for name, _, _ in record.contenders] == [DIRECT, "byte relay", FLOOR, ours]
    assert not record.left_out
    assert not record.failures
    for name in ("byte relay", FLOOR, ours):
        assert record.rounds[0][name].keys() >= _FIGURES
        assert record.rounds[0][name]["left_open"] == 0
    for table in ("Short answers", "CPU for each delta", "Lateness", "Open, slow streams: memory", "Start"):
        assert f"### {table}\n" in ended.stdout


def test_a_run_that_is_told_to_stop_stops_all_that_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--json", str(tmp_path / "run.json"), "--only", "byte relay"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    while "byte relay" not in run.stderr.readline():
        assert run.poll() is None
    started = psutil.Process(run.pid).children(recursive=True)
    assert started
    run.terminate()
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert not psutil.wait_procs(started, 10)[1]
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--paces", "20", "is not streams and deltas a second"), ("--rounds", "0", "is not a number above 0")],
)
def test_an_option_that_makes_no_sense_is_named(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([option, value])
    assert f"argument {option}: [{value}] {words}" in capsys.readouterr().err


def test_who_does_not_start_is_left_out_and_the_others_go_on(provider: Program) -> None:
    record = _run(provider, [_contender("broken", _breaks), _contender("other", _answers)])
    assert record.left_out == {"broken": "did not start: no such thing"}
    assert record.rounds[0].keys() == {"other"}
    assert "broken was left out: did not start: no such thing." in "\n".join(report.lines(record))


def test_who_cannot_be_installed_is_left_out_by_its_reason(provider: Program) -> None:
    record = _run(provider, [_contender("missing", _answers, _missing), _contender("other", _answers)])
    assert record.left_out == {"missing": "there is no such-program on this machine"}
    assert [name for name, _, _ in record.contenders] == ["other"]


def test_a_load_that_fails_leaves_its_cell_empty_and_is_told(provider: Program) -> None:
    record = _run(provider, [_contender("lossy", _loses_deltas), _contender("other", _answers)])
    assert "late_cpu" not in record.rounds[0]["lossy"]
    assert record.rounds[0]["lossy"]["request_cpu"] > 0
    assert "- lossy, late answers: a stream of 4 deltas had 3" in "\n".join(report.lines(record))


@pytest.mark.parametrize("commands", [["python", "-c", "import sys; sys.exit('no network')"], ["no-such-program"]])
def test_an_installation_that_fails_says_why(commands: list[str]) -> None:
    with pytest.raises(Unavailable, match=r"^could not be installed: .*no.(network|such)"):
        environments._run([sys.executable, *commands[1:]] if commands[0] == "python" else commands)


def test_what_was_installed_for_other_wishes_is_installed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(environments, "_ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(environments, "_run", lambda command: ran.append(command[-1]))
    (tmp_path / "peer").mkdir()
    for packages in (["one"], ["one"], ["one", "two"]):
        environments.python("peer", *packages)
    assert [last for last in ran if not last.endswith("peer")] == ["one", "two"]


def _run(provider: Program, contenders: list[Contender]) -> Record:
    record = Record.new("python -m benchmarks", _TINY)
    run = Run(record, _TINY, provider, Places.here(), most_streams=100)
    run.round([contender for contender in contenders if run.present(contender)])
    return record


def _contender(name: str, start: Start, version: object = lambda: "1") -> Contender:
    assert callable(version)
    return Contender(name, "as it is", start, version)


@contextmanager
def _answers(provider: Program, open_files: int) -> Iterator[Target]:
    yield OpenAITarget(provider)


@contextmanager
def _breaks(provider: Program, open_files: int) -> Iterator[Target]:
    raise RuntimeError("did not start: no such thing")
    yield


@contextmanager
def _loses_deltas(provider: Program, open_files: int) -> Iterator[Target]:
    yield _Lossy(provider)


def _missing() -> str:
    return environments.program("such-program")


class _Lossy(OpenAITarget):
    """Gets a delta less than it is asked for, where the provider waits."""

    def request(self, answer: Answer) -> bytes:
        return super().request(answer).replace(b"late:0.05:4", b"late:0.05:3")
