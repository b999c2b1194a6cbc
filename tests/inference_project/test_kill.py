"""A gateway that is killed in the middle of writes: what it acknowledged is there afterwards, and nothing is half there.

KILLS=100 python -m pytest tests/inference_project/test_kill.py   kills each database's gateway a hundred times.
"""

from __future__ import annotations

import http.client
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway

_KILLS = int(os.environ.get("KILLS", "3"))
_WRITERS = 4
_LONGEST_SECONDS = 0.6


@dataclass
class Acknowledged:
    """What the gateway said that it stored: API keys, and for each endpoint the provider's keys that it may have now.

    They are two while an update of the endpoint is under way.
    """

    keys: list[str] = field(default_factory=list)
    endpoints: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgresql") if request.param == "postgresql" else ""


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A provider that takes any key, and remembers which."""
    with FakeProvider.running(api_key="") as running:
        yield running


def test_what_was_acknowledged_outlives_a_kill(database: str, provider: FakeProvider, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database, "GATEWAY_SKIP_VALIDATION": "true"}
    endpoints: set[str] = {"echo-completion"}
    stored = Acknowledged()
    administrator = ""
    for run in range(_KILLS + 1):
        with Gateway.started(tmp_path, **environment) as gateway:
            # Only the first start prints one.
            administrator = gateway.key = gateway.key or administrator
            found = check_all_is_there(gateway, provider, stored, f"run{run - 1}-")
            assert found >= endpoints
            endpoints |= set(stored.endpoints)
            if run < _KILLS:
                stored = written_until_killed(gateway, provider, f"run{run}-")
    assert len(endpoints) > _KILLS, "hardly anything was written"


def written_until_killed(gateway: Gateway, provider: FakeProvider, prefix: str) -> Acknowledged:
    stored = Acknowledged()
    with ThreadPoolExecutor(_WRITERS) as pool:
        writing = [pool.submit(write, gateway, provider, f"{prefix}{one}", stored) for one in range(_WRITERS)]
        wait_until(lambda: bool(stored.endpoints) or any(future.done() for future in writing))
        time.sleep(random.uniform(0, _LONGEST_SECONDS))
        gateway.process.kill()
        for future in writing:
            future.result(30)
    return stored


def write(gateway: Gateway, provider: FakeProvider, prefix: str, stored: Acknowledged) -> None:
    """Make keys and endpoints and update the latter, as fast as the gateway answers, until it is gone."""

    def send(method: str, path: str, body: Any) -> Any:
        answer = gateway.call(method, path, body)
        assert answer.status == 200, answer.body
        return answer.json()

    with suppress(OSError, http.client.HTTPException):
        for number in itertools.count():
            inference_id = f"{prefix}-{number}"
            # A key that makes keys has to say that they may do nothing.
            body = {"name": inference_id, "role_descriptors": {"none": {}}}
            stored.keys.append(send("POST", "/_security/api_key", body)["encoded"])
            settings = {"api_key": first(inference_id), "model_id": "m", "url": f"{provider.url}/v1/chat/completions"}
            body = {"service": "openai", "service_settings": settings}
            send("PUT", f"/_inference/completion/{inference_id}", body)
            stored.endpoints[inference_id] = {first(inference_id)}
            stored.endpoints[inference_id].add(second(inference_id))
            send("PUT", f"/_inference/{inference_id}/_update", {"service_settings": {"api_key": second(inference_id)}})
            stored.endpoints[inference_id] = {second(inference_id)}


def first(inference_id: str) -> str:
    return f"sk-first-{inference_id}"


def second(inference_id: str) -> str:
    return f"sk-second-{inference_id}"


def check_all_is_there(gateway: Gateway, provider: FakeProvider, stored: Acknowledged, prefix: str) -> set[str]:
    """Use every key and every endpoint of the last run; return the ids of all endpoints."""
    listed = gateway.call("GET", "/_inference").json()["endpoints"]
    found = {one["inference_id"] for one in listed}
    assert found >= set(stored.endpoints)
    for encoded in stored.keys:
        assert gateway.call("GET", "/_security/_authenticate", key=encoded).status == 200
    # One that was not acknowledged may be there too, but then with its secret.
    for inference_id in sorted(one for one in found if one.startswith(prefix)):
        answer = gateway.call("POST", f"/_inference/{inference_id}", {"input": "a"})
        assert answer.status == 200, (inference_id, answer.body)
        used = provider.last.headers["authorization"].removeprefix("Bearer ")
        assert used in stored.endpoints.get(inference_id, {first(inference_id)})
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
