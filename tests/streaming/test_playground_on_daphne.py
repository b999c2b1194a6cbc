"""The playground under `manage.py runserver`, which is daphne."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.fakes.provider import FakeProvider
from tests.gateway import ROOT, Gateway, _bare_environment, free_port, stop
from tests.streaming.browser import Browser
from tests.streaming.test_live_streams import running
from tests.streaming.test_live_streams import stop as stop_running

MEGABYTE = 2**20
# As small as the kernel lets it be.
RECEIVE_BYTES = 1


@contextmanager
def runserver(data_dir: Path) -> Iterator[SimpleNamespace]:
    """Serve a data directory that a gateway made."""
    port = free_port()
    environment = _bare_environment() | {
        "GATEWAY_DATA_DIR": str(data_dir),
        "GATEWAY_PRIVATE_HOSTS": "127.0.0.1",
    }
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}", pid=process.pid)
    finally:
        stop(process)


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Any, FakeProvider, str]]:
    """A development server with an endpoint of a provider whose answer takes long: server, provider, inference id."""
    with tempfile.TemporaryDirectory() as directory, FakeProvider.running() as provider:
        with Gateway.started(Path(directory), GATEWAY_SKIP_VALIDATION="true") as gateway:
            url = f"{provider.url}/v1/chat/completions"
            inference_id, flooding = (
                gateway.put("openai", api_key=provider.api_key, model_id=model, url=url)
                for model in ("tick:0.05:2000", "flood:1000")
            )
        with runserver(Path(directory)) as server:
            server.password, server.flooding = gateway.password, flooding
            yield server, provider, inference_id


def test_it_streams_and_stop_closes_the_connection_to_the_provider(made: tuple[Any, FakeProvider, str]) -> None:
    server, provider, inference_id = made
    with Browser(server).playground() as page:
        assert page.answer("echo-completion", text="one two").text == "one two"
        page.start(inference_id)
        assert page.message(1)["type"] == "event"
        page.stop()
        assert provider.wait_closed(count=1)
        assert page.ended().end["outcome"] == "client_gone"
        page.start(inference_id)
        assert page.message(1)["type"] == "event"
    assert provider.wait_closed(count=2)


def test_live_streams_are_shown_and_stopped(made: tuple[Any, FakeProvider, str]) -> None:
    server, _, inference_id = made
    browser = Browser(server)
    with browser.playground() as page:
        page.start(inference_id)
        assert page.message(1)["type"] == "event"
        (one,) = running(browser)
        assert stop_running(browser, one)
        assert page.ended().end["outcome"] == "drained"


def memory(process: int) -> int:
    """Return the resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_page_that_reads_nothing_slows_the_provider_down(made: tuple[Any, FakeProvider, str]) -> None:
    server, provider, _ = made
    asked, left = len(provider.requests), provider.abandoned
    start = {"type": "start", "id": 1, "inference_id": server.flooding, "input": "x"}
    with Browser(server).unread_playground(start, RECEIVE_BYTES) as page:
        assert provider.wait_requests(asked + 1)
        assert page.recv(1)
        before = memory(server.pid)
        assert not provider.wait_closed(4, left + 1)
        assert memory(server.pid) - before < 30 * MEGABYTE
    assert provider.wait_closed(10, left + 1)


def test_another_origin_and_no_session_are_refused(made: tuple[Any, FakeProvider, str]) -> None:
    browser = Browser(made[0])
    for options in ({"origin": "http://evil.example"}, {"origin": None}, {"cookies": ""}):
        with pytest.raises(InvalidStatus) as refused, browser.playground(**options):
            pass
        assert refused.value.response.status_code == 403
