"""The rooms and their floors: a module imports from its own floor or a lower one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import ROOT

FLOORS = {"wire": 0, "endpoints.providers": 1, "access": 2, "endpoints": 3, "usage": 4, "streaming": 5}
TOP = {"inference_project": 6}


def modules() -> Iterator[Path]:
    for room in ("wire", "access", "endpoints", "usage", "streaming", "inference_project"):
        yield from (ROOT / room).rglob("*.py")


def room_of(dotted: str) -> str | None:
    """Return the room that a dotted name lies in, None for a library's."""
    rooms = [room for room in FLOORS | TOP if dotted == room or dotted.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from endpoints import providers` names a room of its own.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", [pytest.param(path, id=dotted(path)) for path in modules()])
def test_a_module_imports_from_its_own_floor_or_a_lower_one(path: Path) -> None:
    floors = FLOORS | TOP
    own = room_of(dotted(path))
    assert own is not None
    above = [name for name in imports(path) if (room := room_of(name)) and floors[room] > floors[own]]
    assert above == []


def test_the_providers_know_no_django() -> None:
    knowing = [
        dotted(path)
        for path in (ROOT / "endpoints" / "providers").rglob("*.py")
        if any(name.split(".")[0] in ("django", "rest_framework") for name in imports(path))
    ]
    assert knowing == []


def test_no_file_is_named_after_nothing() -> None:
    nameless = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [str(path) for path in modules() if path.name in nameless] == []


def test_every_file_of_the_gateway_fits_in_a_head() -> None:
    long = {str(path): lines for path in modules() if (lines := len(path.read_text().splitlines())) > 350}
    assert {name: lines for name, lines in long.items() if "migrations" not in name} == {}
