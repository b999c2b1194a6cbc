"""Starting and stopping, as `make run` does it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.gateway import Gateway, stop


def test_a_first_start_prints_what_a_newcomer_needs_and_a_second_changes_nothing(tmp_path: Path) -> None:
    with Gateway.started(tmp_path) as first:
        assert first.key
        assert first.password
        assert "curl -N" in first.printed
        before = first.call("GET", "/_inference").json()
        assert [one["inference_id"] for one in before["endpoints"]] == ["echo-completion"]
    with Gateway.started(tmp_path) as second:
        assert second.key == ""
        assert second.password == ""
        assert "curl -N -u admin" in second.printed
        assert second.call("GET", "/_inference", key=first.key).json() == before


def test_a_given_password_is_used_and_not_printed(tmp_path: Path) -> None:
    with Gateway.started(tmp_path, GATEWAY_ADMIN_PASSWORD="open sesame") as gateway:
        assert "open sesame" not in gateway.printed
        login = gateway.login("admin", "open sesame")
        assert gateway.call("GET", "/_security/_authenticate", headers=login, key="").json()["username"] == "admin"


def test_an_openai_key_makes_its_endpoint_and_is_not_printed(tmp_path: Path) -> None:
    with Gateway.started(tmp_path, OPENAI_API_KEY="sk-canary-1234567890") as gateway:
        shown = gateway.call("GET", "/_inference/openai-completion")
        assert shown.json()["endpoints"][0]["service"] == "openai"
        assert b"sk-canary" not in shown.body
        assert "sk-canary" not in gateway.printed + gateway.read_log()
    database = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.sqlite3*"))
    assert b"sk-canary" not in database


def test_sigterm_lets_a_running_stream_finish(tmp_path: Path) -> None:
    with Gateway.started(tmp_path) as gateway:
        words = " ".join(f"word{number}" for number in range(12))
        with gateway.stream("/_inference/completion/echo-completion/_stream", {"input": words}) as stream:
            stream.event()
            gateway.process.send_signal(signal.SIGTERM)
            assert [data for _, data in stream.events()][-1] == "[DONE]"
        assert gateway.process.wait(10) == 0 or gateway.process.returncode == -signal.SIGTERM


def test_a_stream_that_outlasts_the_drain_gets_an_error_event_and_a_clean_end(tmp_path: Path) -> None:
    with Gateway.started(tmp_path, GATEWAY_DRAIN_SECONDS="1") as gateway:
        words = "word " * 1000
        with gateway.stream("/_inference/completion/echo-completion/_stream", {"input": words}) as stream:
            stream.event()
            asked = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            name, data = list(stream.events())[-1]
            assert name == "error"
            assert '"status":503' in data
            assert 0.8 < time.monotonic() - asked < 4
        gateway.process.wait(10)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_server_leaves_no_process_behind(tmp_path: Path, workers: int) -> None:
    with Gateway.started(tmp_path, GATEWAY_WORKERS=str(workers)) as gateway:
        assert gateway.call("GET", "/livez", key="").status == 200
        children = _children(gateway.process.pid)
        assert len(children) >= workers - 1
        stop(gateway.process)
    deadline = time.monotonic() + 5
    while alive := [pid for pid in children if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    listing = os.popen("ps -eo pid=,ppid=").read()  # noqa: S605
    return [int(child) for child, parent in re.findall(r"(\d+)\s+(\d+)", listing) if int(parent) == pid]


def test_health_needs_no_login_and_tells_of_the_drain(tmp_path: Path) -> None:
    with Gateway.started(tmp_path) as gateway:
        assert gateway.call("GET", "/livez", key="").json() == {"status": "ok"}
        assert gateway.call("GET", "/readyz", key="").json() == {"status": "ok"}
