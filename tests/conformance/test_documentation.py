"""docs/conformance.md is what `make conformance-docs` writes."""

from __future__ import annotations

import pytest

from conformance.promises import PROMISES
from conformance.provider.catalog import FAULTS
from tests.gateway import ROOT

PAGE = (ROOT / "docs" / "conformance.md").read_text()


def test_the_page_has_every_fault_as_it_is_declared() -> None:
    rows = [f"| `{fault.name}` | {fault.does.removesuffix('.')} | {fault.must} |" for fault in FAULTS.values()]
    assert [row for row in rows if row not in PAGE] == []


@pytest.mark.parametrize("promise", PROMISES)
def test_the_page_has_every_promise(promise: str) -> None:
    assert f"- **{promise}**: " in PAGE
