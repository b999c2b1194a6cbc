"""What is measured: the gateway with endpoints of one service, and the fake provider behind them, asked directly.

A service is added to SERVICES.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.processes import Program
from tests.gateway import Gateway


@dataclass(frozen=True)
class Answer:
    """What is streamed: so many deltas, all at once or so many seconds apart."""

    deltas: int
    seconds_apart: float = 0.0

    @property
    def model(self) -> str:
        """The model that makes the fake provider answer so."""
        return f"tick:{self.seconds_apart}:{self.deltas}" if self.seconds_apart else f"burst:{self.deltas}"

    @property
    def prompt(self) -> str:
        """A text that has one word for each delta, for services that repeat it."""
        return " ".join(["word"] * self.deltas)


@dataclass(frozen=True)
class Direct:
    """How the fake provider is asked without a gateway; `delta` are the bytes that begin each delta it sends."""

    path: str
    body: Callable[[Answer], Mapping[str, Any]]
    delta: bytes


@dataclass(frozen=True)
class Service:
    """`settings` are the service settings of an endpoint that gives an answer, with the provider's URL, if any."""

    settings: Callable[[Answer, str], Mapping[str, Any]]
    direct: Direct | None = None


_OPENAI = Direct(
    "/v1/chat/completions",
    lambda answer: {
        "messages": [{"role": "user", "content": answer.prompt}],
        "model": answer.model,
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    b'"delta": {"content"',
)
SERVICES = {
    "openai": Service(
        lambda answer, provider: {
            "api_key": "sk-benchmark",
            "model_id": answer.model,
            "url": f"{provider}{_OPENAI.path}",
        },
        _OPENAI,
    ),
    "echo": Service(
        lambda answer, _: {"words_per_second": 1 / answer.seconds_apart} if answer.seconds_apart else {},
    ),
}

# High enough to hold nothing up; each service has a limit of its own otherwise.
_NO_LIMIT = {"requests_per_minute": 1_000_000_000}


class Target(Protocol):
    """A program that streams; `delta` are the bytes that begin each of its deltas."""

    program: Program
    delta: bytes

    def request(self, answer: Answer) -> bytes:
        """Return the HTTP request that makes it stream `answer`."""


class GatewayTarget:
    """The gateway; it gets an endpoint for each answer, when that is asked for the first time."""

    delta = b'{"delta":"'

    def __init__(self, gateway: Gateway, service: str, provider: Program | None) -> None:
        self.program = Program(gateway.process.pid, gateway.port)
        self._gateway = gateway
        self._service = service
        self._provider = f"http://127.0.0.1:{provider.port}" if provider else ""
        self._endpoints: dict[Answer, str] = {}

    def request(self, answer: Answer) -> bytes:
        path = f"/_inference/completion/{self._endpoint(answer)}/_stream"
        authorization = f"Authorization: ApiKey {self._gateway.key}\r\n"
        return _request(self.program.port, path, {"input": answer.prompt}, authorization)

    def _endpoint(self, answer: Answer) -> str:
        if answer not in self._endpoints:
            settings = SERVICES[self._service].settings(answer, self._provider)
            self._endpoints[answer] = self._gateway.put(self._service, **settings, rate_limit=_NO_LIMIT)
        return self._endpoints[answer]


class ProviderTarget:
    """The fake provider, asked without a gateway."""

    def __init__(self, provider: Program, direct: Direct) -> None:
        self.program = provider
        self.delta = direct.delta
        self._direct = direct

    def request(self, answer: Answer) -> bytes:
        return _request(self.program.port, self._direct.path, self._direct.body(answer))


def _request(port: int, path: str, body: Mapping[str, Any], headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
