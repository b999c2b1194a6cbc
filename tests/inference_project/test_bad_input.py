"""Generated requests, right and wrong ones, against a running gateway: each is answered, in the API's own words.

`BAD_INPUT_REQUESTS=10000 make test ARGS=tests/inference_project/test_bad_input.py` sends ten times as many as a plain
run does. What is sent depends on nothing but that number.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from inference_project.openapi.document import document
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway, free_port
from tests.inference_project import hostile_requests

# Hypothesis warns where it shows a large body that went wrong.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
REQUESTS = int(os.environ.get("BAD_INPUT_REQUESTS", "1000"))
LONGEST_SECONDS = 10.0
MAX_BODY_BYTES = 2**20
MEMORY = 64 * 2**20

UNREACHABLE = "unreachable"
MODELS = {"sparse": "sparse_embedding", "e5": "text_embedding"}
OPENAI = {
    "fake": "completion",
    "fake-vectors": "text_embedding",
    "fake-embedding": "embedding",
    "to-update": "completion",
}
ASKED = {"echo-completion": "completion", **OPENAI, **MODELS}
# The unreachable one is seldom asked, since it is tried several times with waits between.
TURNS = [*ASKED.items()] * 4 + [("gone", "any"), (UNREACHABLE, "completion")]

Case = schemathesis.Case[Any]
_DOCUMENT = document()
_SCHEMA = schemathesis.openapi.from_dict(_DOCUMENT)
_OPERATIONS = {
    operation.label: operation
    for operation in (result.ok() for result in _SCHEMA.get_all_operations() if isinstance(result, Ok))
    if operation.definition.raw["parameters"]
}
# Most of the code is behind those that ask and make; the body of a key takes long to make, a password to hash.
_WEIGHTS = {
    label: 3.0
    if label.startswith(("POST /_inference", "PUT /_inference"))
    else 0.3
    if re.search("_password|api_key", label)
    else 1.0
    for label in _OPERATIONS
}
# What the server itself answers to a method that is no HTTP method.
_NO_HTTP = b"Invalid HTTP request received."
_CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]
_error_shape = jsonschema_rs.validator_for(
    {
        "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Error", "PlainError")],
        "components": _DOCUMENT["components"],
    }
)


Send = Callable[..., None]


def _share(part: float, *what: str) -> Callable[[Send], Send]:
    """Let a test send `part` of all requests: for `what` always the same ones, and others than for anything else."""
    decorate = settings(
        max_examples=max(1, round(REQUESTS * part)),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    chosen = seed(zlib.crc32(" ".join(what).encode()))
    return lambda send: chosen(decorate(send))


@dataclass
class Target:
    gateway: Gateway
    session: requests.Session
    keeper: dict[str, str]
    statuses: Counter[int] = field(default_factory=Counter)
    memory: int = 0

    def credentials(self, path: str) -> dict[str, str]:
        """Return the header to send: one request may not make the key of all others useless."""
        return self.keeper if path.startswith("/_security/api_key") else {"Authorization": f"ApiKey {self.gateway.key}"}

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        """Send one request as it stands, and look at the answer."""
        started = time.monotonic()
        sent = {**self.credentials(path), **headers}
        if body is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        with _said(method, path, sent, body):
            answer = self.gateway.call(method, path, body, sent, key="")
            self.judge(answer.status, answer.headers.get("Content-Type", ""), answer.body, time.monotonic() - started)

    def judge(self, status: int, content_type: str, body: bytes, seconds: float) -> None:
        self.statuses[status] += 1
        if self.statuses.total() == 100:
            self.memory = self.gateway.memory()
        assert seconds < LONGEST_SECONDS
        assert b"Traceback" not in body
        if status >= 500:
            assert _may_fail(status, body.decode()), body
        if content_type.startswith("text/event-stream"):
            _judge_events(status, body)
        elif status >= 400 and body not in (b"", _NO_HTTP) and "error" in (answer := json.loads(body)):
            _error_shape.validate(answer)


@contextmanager
def _said(*request: Any) -> Iterator[None]:
    """Let what goes wrong say which request it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The request: {request!r}"[:3000])
        raise


def _may_fail(status: int, body: str) -> bool:
    """Whether an answer of 500 or more is right: an unreachable provider is named, and nothing runs the built-in models."""
    if status == 500:
        return f"from inference entity id [{UNREACHABLE}] to [127.0.0.1:" in body
    return status == 503 and any(f"[model-of-{name}]" in body for name in MODELS)


def _judge_events(status: int, body: bytes) -> None:
    events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", body.decode())
    name, data = events[-1]
    assert body.decode() == "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events)
    assert [one for one, _ in events[:-1]] == ["message"] * (len(events) - 1)
    if name == "error":
        _error_shape.validate(json.loads(data))
    else:
        assert (status, data) == (200, "[DONE]")


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A gateway that asks no provider before it stores an endpoint: generated settings name those of the world."""
    started = Gateway.started(
        GATEWAY_SKIP_VALIDATION="true", GATEWAY_MAX_BODY_BYTES=str(MAX_BODY_BYTES), GATEWAY_CONNECT_SECONDS="2"
    )
    with FakeProvider.running() as provider, started as gateway, requests.Session() as session:
        _make_endpoints(gateway, provider.url)
        for name, roles in (("keeper", ["inference_admin"]), ("victim", [])):
            gateway.call("PUT", f"/_security/user/{name}", {"password": "of-the-user", "roles": roles})
        yield Target(gateway, session, gateway.login("keeper", "of-the-user"))


def _make_endpoints(gateway: Gateway, url: str) -> None:
    paths = {"completion": "chat/completions", "text_embedding": "embeddings", "embedding": "embeddings"}
    unlimited = {"requests_per_minute": 1_000_000}
    for inference_id, task_type in OPENAI.items():
        settings = {
            "api_key": API_KEY,
            "model_id": "any",
            "url": f"{url}/v1/{paths[task_type]}",
            "rate_limit": unlimited,
        }
        _make(gateway, task_type, inference_id, "openai", settings)
    closed = f"http://127.0.0.1:{free_port()}/v1/chat/completions"
    _make(gateway, "completion", UNREACHABLE, "openai", {"api_key": API_KEY, "model_id": "any", "url": closed})
    for inference_id, task_type in MODELS.items():
        _make(
            gateway,
            task_type,
            inference_id,
            "elasticsearch",
            {"model_id": f"model-of-{inference_id}", "num_threads": 1, "num_allocations": 1},
        )


def _make(gateway: Gateway, task_type: str, inference_id: str, service: str, service_settings: dict[str, Any]) -> None:
    body = {"service": service, "service_settings": service_settings}
    answer = gateway.call("PUT", f"/_inference/{task_type}/{inference_id}", body)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("label", _OPERATIONS)
def test_what_the_document_describes(target: Target, label: str) -> None:
    """Requests as they should be, and with something wrong; each answer is one that the document tells of."""
    operation = _OPERATIONS[label]
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @_share(0.35 * _WEIGHTS[label] / sum(_WEIGHTS.values()), label)
    @given(cases, st.sampled_from(TURNS), st.integers(0, 9))
    def send(case: Case, turn: tuple[str, str], chance: int) -> None:
        # The smallest numbers come up most often.
        if chance < 9:
            _aim(case, label, *turn)
        with _said(label, case.path_parameters, case.query, case.body):
            started = time.monotonic()
            response = case.call(
                target.gateway.url,
                session=target.session,
                headers=target.credentials(case.path),
                timeout=LONGEST_SECONDS,
                allow_redirects=False,
            )
            content_type = response.headers.get("content-type", [""])[0]
            target.judge(response.status_code, content_type, response.content, time.monotonic() - started)
            # What a filter leaves has another shape.
            checks = _CONFORMANCE[:2] if "filter_path" in case.query else _CONFORMANCE
            case.validate_response(response, checks=checks)

    send()


def _aim(case: Case, label: str, inference_id: str, task_type: str) -> None:
    """Let a request meet something that is there. What is made is never asked: its provider may be one of the world."""
    names = case.path_parameters
    if "username" in names and not label.startswith("DELETE"):
        names["username"] = "victim"
    if "inference_id" not in names:
        return
    if label.endswith("_update"):
        inference_id, task_type = "to-update", "completion"
    elif label.startswith(("PUT", "DELETE")):
        inference_id = f"made-{zlib.crc32(repr(names).encode())}"
        task_type = str(case.body.get("task_type", "any")) if isinstance(case.body, dict) else "completion"
    names["inference_id"] = inference_id
    if "task_type" in names:
        names["task_type"] = quote(task_type, safe="")


@pytest.mark.parametrize(("method", "path"), hostile_requests.BODIES)
def test_bodies_that_are_no_json_or_nearly(target: Target, method: str, path: str) -> None:
    @_share(0.45 / len(hostile_requests.BODIES), method, path)
    @given(hostile_requests.bodies(hostile_requests.BODIES[method, path]))
    def send(body: bytes) -> None:
        target.send(method, path, body, {})

    send()


def test_headers_and_packed_bodies(target: Target) -> None:
    @_share(0.1, "headers")
    @given(st.sampled_from(list(hostile_requests.BODIES)), hostile_requests.encoded, hostile_requests.headers)
    def send(address: tuple[str, str], encoded: tuple[bytes, str], headers: dict[str, str]) -> None:
        body, encoding = encoded
        target.send(*address, body, {"Content-Encoding": encoding, **headers})

    send()


def test_addresses(target: Target) -> None:
    @_share(0.1, "addresses")
    @given(hostile_requests.methods, hostile_requests.addresses, st.booleans())
    def send(method: str, path: str, with_body: bool) -> None:
        target.send(method, path, b'{"input":"a"}' if with_body else None, {})

    send()


def test_an_unreachable_provider_is_named(target: Target) -> None:
    answer = target.gateway.call("POST", f"/_inference/completion/{UNREACHABLE}/_stream", {"input": "a"})
    assert answer.status == 500
    assert _may_fail(500, answer.body.decode())


def test_afterwards_the_gateway_is_as_it_was(target: Target) -> None:
    """Runs last, as the last in the file."""
    gateway = target.gateway
    if not target.statuses:
        pytest.skip("nothing was sent")
    assert gateway.process.poll() is None
    assert gateway.call("POST", "/_inference/completion/fake", {"input": "still here"}).json() == {
        "completion": [{"result": "still here"}]
    }
    assert "Traceback" not in gateway.read_log()
    assert not target.memory or gateway.memory() - target.memory < MEMORY
    print(f"{target.statuses.total()} requests were sent and answered: {sorted(target.statuses.items())}")
