"""A gateway as its users run it: the real command, the real server, a port of its own, spoken to over sockets."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, out of JSON or out of one error event."""
        text = self.body.decode().partition("data: ")[2] or self.body.decode()
        error: dict[str, Any] = json.loads(text)["error"]
        return error


class Stream:
    """An open answer, read piece by piece; `comments` has those that were passed over."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self.comments: list[str] = []
        self._connection = connection
        self.response = response
        self.status = response.status

    def event(self) -> tuple[str, str]:
        """Return name and data of the next event; ("", "") at the end of the body."""
        name, data = "", ""
        while line := self.response.readline().decode():
            if line == "\n" and (name or data):
                return name, data
            if line.startswith(":"):
                self.comments.append(line.rstrip("\n"))
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data += value
        return name, data

    def events(self) -> Iterator[tuple[str, str]]:
        while (event := self.event()) != ("", ""):
            yield event

    def text(self) -> str:
        """Read to the end and return the text of all deltas."""
        return "".join(deltas(data) for name, data in self.events() if name == "message" and data != "[DONE]")

    def leave(self) -> None:
        """Close the connection, whatever is still to come."""
        sock = self._connection.sock
        if sock is not None:
            sock.close()
        self.response.close()
        self._connection.close()


def deltas(data: str) -> str:
    """Return the text in the data of one `message` event."""
    return "".join(part["delta"] for part in json.loads(data)["completion"])


class Gateway:
    def __init__(self, process: subprocess.Popen[str], port: int, printed: str) -> None:
        self.process = process
        self.port = port
        self.printed = printed
        self.url = f"http://127.0.0.1:{port}"
        self.key = _found(r"API key: +(\S+)", printed)
        self.password = _found(r"user admin, password (\S+)", printed)
        self.log = ""

    @classmethod
    @contextmanager
    def started(cls, data_dir: Path | None = None, **environment: str) -> Iterator[Gateway]:
        """Start a gateway and stop it at the end; `environment` is added to what a fresh machine has."""
        with tempfile.TemporaryDirectory(prefix="gateway-") as temporary:
            port = free_port()
            variables = _bare_environment() | {
                "GATEWAY_DATA_DIR": str(data_dir or temporary),
                "GATEWAY_PORT": str(port),
                "GATEWAY_PRIVATE_HOSTS": "127.0.0.1",
                **environment,
            }
            log = Path(temporary) / "log"
            with log.open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, "manage.py", "serve"],
                    cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True,
                )  # fmt: skip
            try:
                printed = _wait_until_it_answers(process, port, log)
                gateway = cls(process, port, printed)
                gateway._log = log
                gateway.data_dir = Path(variables["GATEWAY_DATA_DIR"])
                yield gateway
            finally:
                stop(process)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, key: str = "-"
    ) -> Answer:
        """Send one request and return the answer; a body that is not bytes is sent as JSON."""
        with self._sent(method, path, body, headers, key) as response:
            return Answer(response.status, response.headers, response.read())

    @contextmanager
    def stream(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, *, key: str = "-"
    ) -> Iterator[Stream]:
        connection = self._connection()
        response = self._send(connection, "POST", path, body, headers, key)
        opened = Stream(connection, response)
        try:
            yield opened
        finally:
            opened.leave()

    def login(self, username: str = "admin", password: str = "") -> dict[str, str]:
        """Return the header of a user; without a password that of `admin`."""
        credentials = f"{username}:{password or self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}

    def put(self, service: str, task_type: str = "completion", **service_settings: Any) -> str:
        """Create an endpoint and return its id."""
        inference_id = f"{service}-{task_type.replace('_', '-')}-{next(_numbers)}"
        body = {"service": service, "service_settings": service_settings}
        answer = self.call("PUT", f"/_inference/{task_type}/{inference_id}", body)
        assert answer.status == 200, answer.body
        return inference_id

    def memory(self) -> int:
        """Return the resident memory of the process, in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Return how many files and sockets the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def read_log(self) -> str:
        return self._log.read_text()

    _log: Path
    data_dir: Path

    @contextmanager
    def _sent(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None, key: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            yield self._send(connection, method, path, body, headers, key)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None,
        key: str,
    ) -> http.client.HTTPResponse:
        sent = dict(headers or {})
        if key:
            sent.setdefault("Authorization", f"ApiKey {self.key if key == '-' else key}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, sent)
        return connection.getresponse()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _bare_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _wait_until_it_answers(process: subprocess.Popen[str], port: int, log: Path) -> str:
    """Return what the command printed before it began to serve."""
    assert process.stdout is not None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                break
        except OSError:
            time.sleep(0.05)
    else:
        raise AssertionError(f"the gateway did not start: {log.read_text()}")
    # Not more than there is: the process goes on, and the pipe stays open.
    os.set_blocking(process.stdout.fileno(), False)
    try:
        return os.read(process.stdout.fileno(), 65_536).decode()
    except BlockingIOError:
        return ""


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
