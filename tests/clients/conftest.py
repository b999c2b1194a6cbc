"""What the official clients talk to, and where the JavaScript ones come from."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import ROOT, Gateway

_SOURCES = Path(__file__).parent / "javascript"
_INSTALL_SECONDS = 300


@pytest.fixture(scope="session")
def openai_completion(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway with the endpoint `openai-completion`, whose provider repeats the prompt."""
    with FakeProvider.running() as provider:
        settings = {"api_key": provider.api_key, "model_id": "gpt-echo", "url": f"{provider.url}/v1/chat/completions"}
        body = {"service": "openai", "service_settings": settings}
        answer = gateway.call("PUT", "/_inference/completion/openai-completion", body)
        assert answer.status == 200, answer.body
        yield gateway
        gateway.call("DELETE", "/_inference/openai-completion")


@pytest.fixture(scope="session")
def javascript() -> Path:
    """A directory with the programs of `tests/clients/javascript` and the official clients that they import."""
    package = (_SOURCES / "package.json").read_bytes()
    directory = ROOT / ".venv" / f"javascript-{hashlib.sha256(package).hexdigest()[:12]}"
    finished = directory / "installed"
    if not finished.exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_bytes(package)
        npm = [node_program("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, cwd=directory, check=True, timeout=_INSTALL_SECONDS, capture_output=True)
        finished.touch()
    for program in _SOURCES.glob("*.mjs"):
        shutil.copy(program, directory)
    return directory


def node_program(name: str) -> str:
    """Return the path of `node` or `npm` from the wheel, which stand beside this Python."""
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    assert program, f"{name} is missing; `make test` installs it"
    return program
