"""Four users that every test of this room knows, and the API as they call it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.test import Client

from access import keys, passwords
from access.models import User

PASSWORD = "correct horse"
Call = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def _no_failures(_fresh_process: None) -> None:
    passwords.forget()


@pytest.fixture
def users(db: None) -> dict[str, User]:
    """root is a superuser, ada an inference_admin, bob an inference_user; norman has no role."""
    made = {"root": User.objects.create_superuser("root", PASSWORD)}
    for name, role in (("ada", "inference_admin"), ("bob", "inference_user"), ("norman", "")):
        made[name] = User.objects.create_user(name, PASSWORD)
        made[name].groups.set(Group.objects.filter(name=role))
    return made


@pytest.fixture
def call() -> Call:
    """Return a function that sends one request as a user (a name), with a key, or with a header as it stands."""

    def send(
        method: str, path: str, body: Any = None, *, user: str = "", key: str = "", header: str = "", **extra: Any
    ) -> HttpResponse:
        if user:
            header = basic(user)
        if key:
            header = f"ApiKey {key}"
        if header:
            extra["HTTP_AUTHORIZATION"] = header
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        content_type = "application/json" if content else ""
        response: HttpResponse = Client(raise_request_exception=True).generic(
            method, path, content, content_type, **extra
        )  # type: ignore[assignment]
        return response

    return send


def basic(username: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def new_key(owner: User, **fields: Any) -> str:
    """Return the `encoded` value of a new key."""
    return keys.create(owner_id=owner.pk, name="test", **fields).encoded
