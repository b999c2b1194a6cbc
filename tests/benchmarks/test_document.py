"""Tables of a run replace those of the one before, and nothing else on the page."""

from __future__ import annotations

import pytest

from benchmarks.document import PAGE, with_tables

_PAGE = "before\n<!-- run: made by `make bench-docs` -->\nold\n<!-- run: end -->\nbehind\n"


def test_what_stands_between_the_marks_is_replaced() -> None:
    page = with_tables(_PAGE, "run", ["| new |", r"|\1|", ""])
    assert page == _PAGE.replace("old", "\n| new |\n|\\1|\n")
    assert with_tables(page, "run", ["| new |", r"|\1|"]) == page


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no .*stores"):
        with_tables(_PAGE, "stores", [])


@pytest.mark.parametrize("name", ["run", "stores"])
def test_the_page_has_marks_for_all_tables(name: str) -> None:
    assert "| new |" in with_tables(PAGE.read_text(), name, ["| new |"])
