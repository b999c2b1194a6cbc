"""Four users that every test of this room knows, and the API as they call it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from access import cache, keys, passwords
from access.models import User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

PASSWORD = "correct horse"
Call = Callable[..., "Response"]


@pytest.fixture(autouse=True)
def _no_login_has_failed(_fresh_process: None) -> None:
    passwords.forget()


@pytest.fixture
def users(db: None) -> dict[str, User]:
    """root is a superuser, ada an inference_admin, bob an inference_user; norman has no role."""
    made = {"root": User.objects.create_superuser("root", PASSWORD)}
    for name, role in (("ada", "inference_admin"), ("bob", "inference_user"), ("norman", "")):
        made[name] = User.objects.create_user(name, PASSWORD)
        made[name].groups.set(Group.objects.filter(name=role))
    # A test that commits begins with the rows of a new database; the version number has gone back with them.
    cache.forget()
    return made


@pytest.fixture
def call() -> Call:
    """Return a function that sends one request as a user (a name), with a key, or with a header as it stands."""

    def send(
        method: str, path: str, body: Any = None, *, user: str = "", key: str = "", header: str = "", **extra: Any
    ) -> Response:
        if user:
            header = basic(user)
        if key:
            header = f"ApiKey {key}"
        if header:
            extra["HTTP_AUTHORIZATION"] = header
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        content_type = "application/json" if content else ""
        return Client().generic(method, path, content, content_type, **extra)

    return send


def basic(username: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def new_key(owner: User, **fields: Any) -> str:
    """Return the `encoded` value of a new key."""
    return keys.create(owner_id=owner.pk, name="test", **fields).encoded
