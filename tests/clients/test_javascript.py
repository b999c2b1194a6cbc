"""The official JavaScript clients, as their users write it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import node_program
from tests.clients.test_python import text
from tests.gateway import Gateway


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [node_program("node"), "stream.mjs", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("way", ["whole", "stream", "helper"])
@pytest.mark.parametrize("library", ["elasticsearch8", "elasticsearch9"])
def test_transport_request_and_stream_completion_stream(
    openai_completion: Gateway, javascript: Path, library: str, way: str
) -> None:
    finished = run(javascript, library, openai_completion.url, openai_completion.key, way)
    assert finished.returncode == 0, finished.stderr
    assert text(finished.stdout) == "What is Elastic?"


@pytest.mark.parametrize("library", ["elasticsearch8", "elasticsearch9"])
def test_a_wrong_key_is_a_response_error(openai_completion: Gateway, javascript: Path, library: str) -> None:
    finished = run(javascript, library, openai_completion.url, "bm8tc3VjaDprZXk=", "whole")
    assert finished.returncode != 0
    assert "security_exception" in finished.stderr
