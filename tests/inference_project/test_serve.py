"""Starting and stopping, as `make run` does it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import ROOT, Gateway, free_port, stop


def refused(tmp_path: Path, **variables: str) -> str:
    """Start a gateway that must not start; return what it says."""
    environment = {"PATH": os.environ["PATH"], "GATEWAY_DATA_DIR": str(tmp_path), "GATEWAY_PORT": str(free_port())}
    ended = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT, env=environment | variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "password" not in ended.stdout
    return ended.stderr


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


@pytest.mark.parametrize(("model", "stream"), [("late:60", "/_stream"), ("slow-headers:60", "")])
def test_who_waits_for_a_first_word_is_told_at_the_end_of_the_drain(tmp_path: Path, model: str, stream: str) -> None:
    environment = {"GATEWAY_DRAIN_SECONDS": "1", "GATEWAY_SKIP_VALIDATION": "true"}
    with FakeProvider.running() as provider, Gateway.started(tmp_path, **environment) as gateway:
        url = f"{provider.url}/v1/chat/completions"
        inference_id = gateway.put("openai", api_key=provider.api_key, model_id=model, url=url)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(gateway.call, "POST", f"/_inference/{inference_id}{stream}", {"input": "x"})
            assert provider.wait_requests(1)
            asked = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            answer = asking.result(20)
        assert (answer.status, answer.error["type"]) == (503, "status_exception")
        assert time.monotonic() - asked < 5
        assert "Traceback" not in gateway.read_log()


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


def test_an_idle_connection_is_kept_longer_than_five_seconds(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for pause in (0, 6):
        time.sleep(pause)
        connection.request("GET", "/livez")
        socket_used = connection.sock
        with connection.getresponse() as response:
            assert response.status == 200
            response.read()
        # http.client forgets a socket that the server closed, and would quietly open another.
        assert connection.sock is socket_used is not None
    connection.close()


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    said = refused(tmp_path, DATABASE_URL=f"postgres://user:canary@127.0.0.1:{free_port()}/gateway")
    assert "DATABASE_URL" in said
    assert "Connection refused" in said
    assert "canary" not in said


def test_a_database_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    assert "DATABASE_URL" in refused(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/missing/gateway.sqlite3")


def test_a_database_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway.sqlite3").write_text("this is no database " * 100)
    assert "GATEWAY_DATA_DIR" in refused(tmp_path)


def test_an_address_that_is_none_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, GATEWAY_HOST="999.1.1.1")
    assert "GATEWAY_HOST" in said
    assert "999.1.1.1" in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_named_before_anything_is_written(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refused(tmp_path, GATEWAY_PORT=port, GATEWAY_WORKERS=workers)
    assert "GATEWAY_PORT" in said
    assert port in said
    assert not (tmp_path / "gateway.sqlite3").exists()


def test_what_is_written_is_for_the_owners_eyes_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Gateway.started(data):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        kept = [*data.glob("gateway.sqlite3*"), data / "secret_key", data / "encryption_key", data / "start.lock"]
        assert len(kept) >= 4
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
