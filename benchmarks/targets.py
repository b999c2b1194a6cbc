"""What is measured: the gateway with endpoints of one service, and the fake provider behind them, asked directly.

A service is added to SERVICES.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import wires
from benchmarks.processes import Program
from benchmarks.wires import Wire
from tests.gateway import Gateway

# As long as a short question is; an order stands before it.
_QUESTION = "What is the capital of the country whose flag has a maple leaf, and how many people live there?"


@dataclass(frozen=True)
class Answer:
    """What is streamed: so many deltas, all at once, at once after a while, or so many seconds apart."""

    deltas: int
    seconds_apart: float = 0.0
    seconds_before: float = 0.0

    @property
    def order(self) -> str:
        """What a prompt has in it to make the provider answer so; see benchmarks.provider."""
        if self.seconds_apart:
            return f"pace:{self.seconds_apart}:{self.deltas}"
        return f"late:{self.seconds_before}:{self.deltas}" if self.seconds_before else f"burst:{self.deltas}"

    @property
    def words(self) -> str:
        """A text that has one word for each delta, for services that repeat it."""
        return " ".join(["word"] * self.deltas)


@dataclass(frozen=True)
class Service:
    """`wire` is what its provider speaks, None for a service without one. `settings` are the service settings of an
    endpoint that gives an answer, with the provider's URL; services whose address is no setting take it from
    GATEWAY_SERVICE_URLS, under their own name and that of their token service."""

    wire: Wire | None
    settings: Callable[[Answer, str], Mapping[str, Any]]
    task_settings: Mapping[str, Any] = field(default_factory=dict)

    def prompt(self, answer: Answer) -> str:
        return answer.words if self.wire is None else f"{answer.order} {_QUESTION}"


@cache
def service_account() -> str:
    """Return a key file of Google's with a key that was just made."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "0",
            "private_key": pem,
            "client_email": "benchmark@project.iam.gserviceaccount.com",
            "client_id": "0",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


_KEY = {"api_key": "benchmark-key"}
SERVICES = {
    "echo": Service(
        None,
        lambda answer, _: {"words_per_second": 1 / answer.seconds_apart} if answer.seconds_apart else {},
    ),
    "openai": Service(
        wires.OPENAI,
        lambda _, provider: {**_KEY, "model_id": "gpt-5", "url": f"{provider}{wires.OPENAI.path}"},
    ),
    "azureopenai": Service(
        wires.OPENAI,
        lambda *_: {**_KEY, "resource_name": "resource", "deployment_id": "gpt-5", "api_version": "2024-10-21"},
    ),
    "azureaistudio": Service(
        wires.OPENAI,
        lambda _, provider: {**_KEY, "target": provider, "provider": "cohere", "endpoint_type": "token"},
    ),
    "hugging_face": Service(
        wires.OPENAI,
        lambda _, provider: {**_KEY, "url": f"{provider}{wires.OPENAI.path}"},
    ),
    "anthropic": Service(
        wires.ANTHROPIC,
        lambda _, provider: {**_KEY, "model_id": "claude", "url": f"{provider}{wires.ANTHROPIC.path}"},
        {"max_tokens": 10_000},
    ),
    "cohere": Service(
        wires.COHERE,
        lambda _, provider: {**_KEY, "model_id": "command", "url": provider},
    ),
    "googleaistudio": Service(
        wires.GEMINI,
        lambda *_: {**_KEY, "model_id": "gemini"},
    ),
    "googlevertexai": Service(
        wires.GEMINI,
        lambda *_: {
            "service_account_json": service_account(),
            "project_id": "project",
            "location": "us-central1",
            "model_id": "gemini",
        },
    ),
    "watsonxai": Service(
        wires.WATSONX,
        lambda _, provider: {
            **_KEY,
            "url": provider,
            "api_version": "2024-05-31",
            "model_id": "llama",
            "project_id": "project",
        },
    ),
}


def service_urls(provider: Program) -> str:
    """Return GATEWAY_SERVICE_URLS, by which every service finds the provider."""
    url = f"http://127.0.0.1:{provider.port}"
    return ",".join(f"{name}={url},{name}.token={url}" for name, service in SERVICES.items() if service.wire)


# High enough to hold nothing up; each service has a limit of its own otherwise.
_NO_LIMIT = 1_000_000_000


class Target(Protocol):
    """A program that streams. `delta` are the bytes that begin each of its deltas; `stamped` says whether paced ones
    show when they were written."""

    program: Program
    delta: bytes
    stamped: bool

    def request(self, answer: Answer) -> bytes:
        """Return the HTTP request that makes it stream `answer`."""


class GatewayTarget:
    """The gateway; it gets an endpoint for each kind of answer that needs other settings, when one is asked for."""

    delta = b'{"delta":"'

    def __init__(
        self,
        gateway: Gateway,
        service: str,
        provider: Program | None,
        *,
        requests_per_minute: int = _NO_LIMIT,
        endpoints: dict[str, str] | None = None,
    ) -> None:
        """`endpoints` remembers those that were made, for a gateway that starts again with the same data."""
        self.program = Program(gateway.process.pid, gateway.port)
        self._gateway = gateway
        self._name = service
        self._service = SERVICES[service]
        self._provider = f"http://127.0.0.1:{provider.port}" if provider else ""
        self._rate_limit = {"requests_per_minute": requests_per_minute}
        self._endpoints = {} if endpoints is None else endpoints
        self.stamped = self._service.wire is not None

    def request(self, answer: Answer) -> bytes:
        path = f"{self._endpoint(answer)}/_stream"
        authorization = f"Authorization: ApiKey {self._gateway.key}\r\n"
        return _request(self.program.port, path, {"input": self._service.prompt(answer)}, authorization)

    def _endpoint(self, answer: Answer) -> str:
        """Return the path of the endpoint that gives `answer`."""
        settings = {**self._service.settings(answer, self._provider), "rate_limit": self._rate_limit}
        body = {"service": self._name, "service_settings": settings, "task_settings": self._service.task_settings}
        key = json.dumps(body)
        if key not in self._endpoints:
            path = f"/_inference/completion/{self._name}-{len(self._endpoints)}"
            put = self._gateway.call("PUT", path, body)
            assert put.status == 200, put.body
            self._endpoints[key] = path
        return self._endpoints[key]


class OpenAITarget:
    """Whatever is asked as OpenAI is. `headers` are added to the request, as they stand in it."""

    stamped = True

    def __init__(
        self, program: Program, path: str = wires.OPENAI.path, headers: str = "", delta: bytes = b'"content":" '
    ) -> None:
        self.program = program
        self.delta = delta
        self._path = path
        self._headers = headers

    def request(self, answer: Answer) -> bytes:
        prompt = {"role": "user", "content": f"{answer.order} {_QUESTION}"}
        body = {"model": "gpt-5", "messages": [prompt], "stream": True}
        return _request(self.program.port, self._path, body, self._headers)


class RelayTarget:
    """The relay that reads what it passes on; it has one address and asks for no key."""

    delta = GatewayTarget.delta
    stamped = True

    def __init__(self, program: Program) -> None:
        self.program = program

    def request(self, answer: Answer) -> bytes:
        return _request(self.program.port, "/", {"input": f"{answer.order} {_QUESTION}"})


class ProviderTarget:
    """The fake provider, asked without a gateway."""

    stamped = True

    def __init__(self, provider: Program, wire: Wire) -> None:
        self.program = provider
        self.delta = wire.marker
        self._path = wire.path

    def request(self, answer: Answer) -> bytes:
        return _request(self.program.port, self._path, {"prompt": f"{answer.order} {_QUESTION}"})


def _request(port: int, path: str, body: Mapping[str, Any], headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
