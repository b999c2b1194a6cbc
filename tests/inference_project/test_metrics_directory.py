"""The directory of the workers' numbers: one for each gateway that runs, and none of those that do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_django import Settings

from inference_project import metrics_directory
from usage.series import DIRECTORY


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def directories(data_dir: Path) -> set[Path]:
    return set(data_dir.glob("metrics-*"))


def test_it_is_there_for_as_long_as_the_block_runs(data_dir: Path) -> None:
    with metrics_directory.made():
        assert directories(data_dir) == {Path(os.environ[DIRECTORY])}
    assert directories(data_dir) == set()
    assert DIRECTORY not in os.environ


def test_what_a_killed_gateway_left_is_removed(data_dir: Path) -> None:
    for name, file in (("metrics-begun", None), ("metrics-used", "1-a.names")):
        (data_dir / name).mkdir()
        if file:
            (data_dir / name / file).touch()
    with metrics_directory.made():
        assert directories(data_dir) == {Path(os.environ[DIRECTORY])}


def test_that_of_another_gateway_that_runs_is_left_alone(data_dir: Path) -> None:
    with metrics_directory.made():
        first = directories(data_dir)
        with metrics_directory.made():
            assert len(directories(data_dir) - first) == 1
            assert first < directories(data_dir)
        assert directories(data_dir) == first
