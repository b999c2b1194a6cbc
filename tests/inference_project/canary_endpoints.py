"""Endpoints of all services whose secrets are canaries, and providers that repeat what they are sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from endpoints.providers import load
from endpoints.providers._settings import Setting, declared
from tests.fakes.behaviours import answer
from tests.fakes.indiscreet import Indiscreet
from tests.fakes.provider import FakeProvider
from tests.inference_project.canaries import Canaries
from tests.streaming.test_services import ROWS, Row

MANY = {"rate_limit": {"requests_per_minute": 1_000_000}}


@dataclass
class CanaryEndpoints:
    """What makes the endpoints, with a fake for each service. `covered` has service and name of each secret so far."""

    secrets: Canaries
    fakes: Mapping[str, FakeProvider]
    said: Mapping[str, Indiscreet]
    covered: set[tuple[str, str]] = field(default_factory=set)

    @property
    def service_urls(self) -> dict[str, str]:
        """Where the services are, by the names that GATEWAY_SERVICE_URLS has for them."""
        return {name: fake.url for service, fake in self.fakes.items() for name in (service, f"{service}.token")}

    def set_mode(self, mode: str) -> None:
        for one in self.said.values():
            one.mode = mode

    def body(self, row: Row, task_type: str) -> dict[str, Any]:
        """Return the body that makes an endpoint whose secrets are canaries."""
        url = self.fakes[row.service].url
        given = {**row.settings, **row.tasks[task_type]}
        settings = {key: one.replace("{url}", url) if isinstance(one, str) else one for key, one in given.items()}
        provider = load(row.service)
        for one in declared(provider.service_settings):
            if one.secret and one.key in settings:
                settings[one.key] = self._secret(row, one, settings[one.key])
        masked = [one for one in declared(provider.task_settings) if one.masked and one.applies_to(task_type)]
        self.covered.update((row.service, one.name) for one in masked)
        tasks = {**row.task_settings, **{one.key: {"X-Canary": self.secrets.awkward()} for one in masked}}
        return {"service": row.service, "service_settings": {**settings, **MANY}, "task_settings": tasks}

    def _secret(self, row: Row, one: Setting, value: str) -> str:
        self.covered.add((row.service, one.name))
        if one.multiline:
            return self._key_file(value)
        key = self.fakes[row.service].api_key
        return self.secrets.awkward() if one.name == "client_secret" else key

    def _key_file(self, text: str) -> str:
        info = json.loads(text)
        for line in info["private_key"].splitlines()[1:-2]:
            self.secrets.add("private key", line)
        return text

    def learn_what_was_sent(self) -> None:
        """Look for what was made of the secrets too: tokens, and what they were asked with."""
        for one in self.said.values():
            for value in one.sent:
                self.secrets.add("sent to a provider", value)


@contextmanager
def canary_endpoints(secrets: Canaries) -> Iterator[CanaryEndpoints]:
    with ExitStack() as stack:
        said = {name: Indiscreet(_respond(name)) for name in dict.fromkeys(row.service for row in ROWS)}
        fakes = {
            name: stack.enter_context(FakeProvider.running(secrets.awkward(), respond=one))
            for name, one in said.items()
        }
        yield CanaryEndpoints(secrets, fakes, said)


def _respond(service: str) -> Any:
    return answer if service == "openai" else import_module(f"tests.fakes.{service}").respond
