"""Four processes of one gateway: a change counts at once in the process that makes it, and soon in all others."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway

_WORKERS = 4
# The promise is 1 s; the other one is for a machine that stands still at times.
_NEWS_SECONDS = 1.0 + 1.0
_CHAT = "/_inference/completion/echo-completion"
_PASSWORDS = {"old": "the old one", "new": "the new one"}


@dataclass
class Worker:
    """One process, over a connection that it holds."""

    pid: int
    connection: http.client.HTTPConnection

    def status(self, method: str, path: str, body: Any, header: str) -> int:
        headers = {"Authorization": header, "Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        with self.connection.getresponse() as response:
            response.read()
            return response.status

    def statuses(self, asks: Mapping[str, tuple[str, str]]) -> dict[str, int]:
        """Ask for a completion with each path and `Authorization` header."""
        return {what: self.status("POST", path, {"input": "a"}, header) for what, (path, header) in asks.items()}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def four_processes(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    url: str = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    environment: dict[str, str] = {
        "GATEWAY_WORKERS": str(_WORKERS),
        "GATEWAY_SKIP_VALIDATION": "true",
        "DATABASE_URL": url,
    }
    with Gateway.started(None, **environment) as gateway:
        yield gateway


def workers_of(gateway: Gateway) -> list[Worker]:
    """Open connections until each process holds one."""
    found: dict[int, Worker] = {}
    deadline = time.monotonic() + 30
    while len(found) < _WORKERS:
        assert time.monotonic() < deadline, f"only {len(found)} of {_WORKERS} processes took a connection"
        with ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(lambda _: connected(gateway), range(8)))
        holders = holder_of_each_port(gateway)
        for connection in opened:
            pid = holders.get(connection.sock.getsockname()[1])
            if pid is None or pid in found:
                connection.close()
            else:
                found[pid] = Worker(pid, connection)
    return list(found.values())


def connected(gateway: Gateway) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", "/livez")
    with connection.getresponse() as response:
        response.read()
    return connection


def holder_of_each_port(gateway: Gateway) -> dict[int, int]:
    """Return which process holds the connection to each of our ports."""
    holders: dict[int, int] = {}
    for process in psutil.Process(gateway.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            holders |= {one.raddr.port: process.pid for one in process.net_connections("tcp") if one.raddr}
    return holders


def made_key(gateway: Gateway, name: str, login: dict[str, str]) -> dict[str, str]:
    made: dict[str, str] = gateway.call("POST", "/_security/api_key", {"name": name}, login, key="").json()
    return made


def basic(gateway: Gateway, username: str, password: str) -> str:
    return gateway.login(username, password)["Authorization"]


def test_what_is_taken_is_gone_at_once_in_one_process_and_soon_in_all(four_processes: Gateway) -> None:
    gateway = four_processes
    admin = f"ApiKey {gateway.key}"
    for name in ("demoted", "disabled", "renewed"):
        user = {"password": _PASSWORDS["old"], "roles": ["inference_user"]}
        assert gateway.call("PUT", f"/_security/user/{name}", user).status == 200
    revoked = made_key(gateway, "revoked", gateway.login())
    keys = {name: made_key(gateway, name, gateway.login(name, _PASSWORDS["old"])) for name in ("demoted", "disabled")}
    with FakeProvider.running() as provider:
        url = f"{provider.url}/v1/chat/completions"
        changed = gateway.put("openai", api_key=provider.api_key, model_id="m", url=url)
        deleted = gateway.put("echo")
        asks: dict[str, tuple[str, str]] = {
            "endpoint changed": (f"/_inference/{changed}", admin),
            "endpoint deleted": (f"/_inference/{deleted}", admin),
            "key revoked": (_CHAT, f"ApiKey {revoked['encoded']}"),
            "role taken": (_CHAT, f"ApiKey {keys['demoted']['encoded']}"),
            "user disabled": (_CHAT, basic(gateway, "disabled", _PASSWORDS["old"])),
            "key of a disabled user": (_CHAT, f"ApiKey {keys['disabled']['encoded']}"),
            "password changed": (_CHAT, basic(gateway, "renewed", _PASSWORDS["old"])),
        }
        changes: dict[str, tuple[str, str, Any]] = {
            "endpoint changed": ("PUT", f"/_inference/{changed}/_update", {"service_settings": {"api_key": "wrong"}}),
            "endpoint deleted": ("DELETE", f"/_inference/{deleted}", None),
            "key revoked": ("DELETE", "/_security/api_key", {"ids": [revoked["id"]]}),
            "role taken": ("PUT", "/_security/user/demoted", {"roles": []}),
            "user disabled": ("PUT", "/_security/user/disabled", {"roles": ["inference_user"], "enabled": False}),
            "password changed": ("PUT", "/_security/user/renewed/_password", {"password": _PASSWORDS["new"]}),
        }
        after = {
            "endpoint changed": 401, "endpoint deleted": 404, "key revoked": 401, "role taken": 403,
            "user disabled": 401, "key of a disabled user": 401, "password changed": 401,
        }  # fmt: skip
        workers = workers_of(gateway)
        # From here on every process remembers all of it.
        assert {worker.pid: worker.statuses(asks) for worker in workers} == {
            worker.pid: dict.fromkeys(asks, 200) for worker in workers
        }
        writer = workers[0]
        for method, path, body in changes.values():
            assert writer.status(method, path, body, admin) == 200
        written = time.monotonic()
        assert writer.statuses(asks) == after
        time.sleep(max(0.0, written + _NEWS_SECONDS - time.monotonic()))
        assert {worker.pid: worker.statuses(asks) for worker in workers} == {worker.pid: after for worker in workers}
        for worker in workers:
            worker.connection.close()
