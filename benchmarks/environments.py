"""Where other gateways are installed: each in an environment of its own, made once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.gateway import ROOT

DIRECTORY = ROOT / "var" / "benchmarks"
# Hidden, so that no linter takes others' code for ours.
_ENVIRONMENTS = DIRECTORY / ".environments"
_INSTALL_SECONDS = 900
# Written when all of it is there.
_INSTALLED = "installed.txt"


class Unavailable(Exception):
    """A gateway cannot be measured here; says why, in one line."""


def python(name: str, *packages: str) -> Path:
    """Return the directory of a virtual environment with the newest versions of packages. Raise Unavailable."""
    path = _ENVIRONMENTS / name
    if not _has(path, wanted := " ".join(packages)):
        _run([sys.executable, "-m", "venv", str(path)])
        _run([str(path / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])
        (path / _INSTALLED).write_text(wanted)
    return path


def npm(name: str, package: str, overrides: Mapping[str, str]) -> Path:
    """Return the directory of an installed npm package; `overrides` fix the versions of what it needs itself.

    Raise Unavailable.
    """
    path = _ENVIRONMENTS / name
    wanted = json.dumps({"private": True, "dependencies": {package: "*"}, "overrides": dict(overrides)})
    if not _has(path, wanted):
        path.mkdir(parents=True, exist_ok=True)
        (path / "package.json").write_text(wanted)
        _run([program("npm"), "install", "--prefix", str(path), "--no-audit", "--no-fund"])
        (path / _INSTALLED).write_text(wanted)
    return path / "node_modules" / package


def program(name: str) -> str:
    """Return the path of a program of this machine. Raise Unavailable."""
    # Not every user has the second one in the path, where servers are.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable(f"there is no {name} on this machine")
    return found


def python_version(environment: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    command = [str(environment / "bin" / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def npm_version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def _has(path: Path, wanted: str) -> bool:
    """Return whether this was installed there, to its end."""
    return (path / _INSTALLED).exists() and (path / _INSTALLED).read_text() == wanted


def _run(command: Sequence[str]) -> None:
    print(f"{' '.join(command)} …", file=sys.stderr, flush=True)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"could not be installed: {error}") from error
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip() or "no reason given").splitlines()[-1]
        raise Unavailable(f"could not be installed: {last[:200]}")
