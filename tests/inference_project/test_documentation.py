"""The pages in `docs/` are current: what they name exists, and what is generated is what would be generated now."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands

from endpoints.providers._events import EventReader
from endpoints.providers._http_provider import HttpProvider
from endpoints.providers._settings import Settings
from inference_project.management.commands.document_services import DOCUMENT, render
from tests.gateway import ROOT

PAGE = (ROOT / "docs" / "adding-a-service.md").read_text()
# A service that has each of the files.
EXAMPLE = "anthropic"
CODE = [code for code in re.findall(r"`([^`\n]+)`", PAGE) if code != "<case>.json"]
TABLES = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))


def test_the_page_about_services_is_current() -> None:
    assert DOCUMENT.read_text() == render(), "run `python manage.py document_services`"


@pytest.mark.parametrize("path", sorted({code for code in CODE if "/" in code}))
def test_the_files_that_it_names_exist(path: str) -> None:
    assert (ROOT / path.replace("<service>", EXAMPLE)).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+)`", TABLES))))
def test_a_provider_has_the_attributes_and_methods_that_its_tables_name(name: str) -> None:
    assert hasattr(HttpProvider, name) or name in HttpProvider.__mro__[1].__annotations__


@pytest.mark.parametrize(("owner", "name"), [(Settings, "check"), (Settings, "destinations"), (EventReader, "take"), (HttpProvider, "address")])  # fmt: skip
def test_what_else_it_names_exists(owner: type, name: str) -> None:
    assert f"`{name}`" in PAGE
    assert hasattr(owner, name)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`python manage.py (\w+)`", PAGE))))
def test_the_commands_that_it_names_exist(command: str) -> None:
    assert command in get_commands()


@pytest.mark.parametrize("case", re.findall(r"`(\w+)`", re.search(r"`<case>\.json`:(.*?)\.", PAGE, re.DOTALL)[1]))  # type: ignore[index]
def test_the_recordings_that_it_names_exist(case: str) -> None:
    assert (ROOT / "tests" / "providers" / "recorded" / "openai" / f"{case}.stream").exists()


def test_it_is_one_page() -> None:
    assert len(PAGE.splitlines()) < 80
