"""What the README says exists."""

from __future__ import annotations

import re

import pytest

from endpoints.providers import names
from inference_project import environment
from tests.gateway import ROOT

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"^\|.*\| `([\w/]+/)` \|$", README, re.MULTILINE))))
def test_the_map_names_rooms_that_exist(path: str) -> None:
    assert (ROOT / path).is_dir()


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`(GATEWAY_[A-Z_]+)", README))))
def test_the_readme_names_no_setting_that_does_not_exist(variable: str) -> None:
    assert variable in environment.names().values()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE))))
def test_the_readme_names_make_targets_that_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("service", names())
def test_every_service_is_in_the_readme(service: str) -> None:
    assert f"`{service}`" in README
