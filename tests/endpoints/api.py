"""The management API as a caller sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from access import keys
from access.models import User
from tests.fakes.provider import API_KEY, FakeProvider


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def reason(self) -> str:
        reason: str = self.body["error"]["reason"]
        return reason

    @property
    def type(self) -> str:
        name: str = self.body["error"]["type"]
        return name

    @property
    def problems(self) -> list[str]:
        """The numbered problems of a validation."""
        assert self.reason.startswith("Validation Failed: 1: ")
        numbered = re.split(r";(?=\d+: )", self.reason.removeprefix("Validation Failed: ")[:-1])
        return [one.partition(": ")[2] for one in numbered]


class Api:
    """Calls the API with one key. A body that is not bytes is sent as JSON."""

    def __init__(self, encoded: str) -> None:
        self._client = Client(raise_request_exception=True)
        self._encoded = encoded

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        content_type = headers.pop("content_type", "application/json" if content else "")
        headers.setdefault("authorization", f"ApiKey {self._encoded}")
        response: Any = self._client.generic(method, f"/_inference{path}", content, content_type, headers=headers)
        return Answer(response.status_code, response.headers, response.content.decode())

    def get(self, path: str = "", **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PUT", path, body, **headers)

    def update(self, path: str, body: Any) -> Answer:
        return self.call("PUT", f"{path}/_update", body)

    def delete(self, path: str) -> Answer:
        return self.call("DELETE", path)


def api_of(role: str, **key: Any) -> Api:
    """Return the API as a new user with `role` ("superuser" or a group's name, "" for none) calls it."""
    name = f"{role or 'nobody'}-{User.objects.count()}"
    user = User.objects.create_user(name, "correct horse", is_superuser=role == "superuser")
    user.groups.set(Group.objects.filter(name=role))
    return Api(keys.create(owner_id=user.pk, name="test", **key).encoded)


ECHO: dict[str, Any] = {"service": "echo", "service_settings": {}}


def openai(fake: FakeProvider, *, model: str = "gpt-fake", **body: Any) -> dict[str, Any]:
    """Return a body that makes a completion endpoint of the fake provider."""
    service_settings = {"api_key": API_KEY, "model_id": model, "url": f"{fake.url}/v1/chat/completions"}
    return {"service": "openai", "service_settings": {**service_settings, **body.pop("service_settings", {})}, **body}


def embeddings(fake: FakeProvider, **body: Any) -> dict[str, Any]:
    given = body.pop("service_settings", {})
    return openai(fake, service_settings={"url": f"{fake.url}/v1/embeddings", **given}, **body)
