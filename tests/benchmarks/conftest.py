"""A provider of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.processes import Program, fake_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Program]:
    with fake_provider() as running:
        yield running
