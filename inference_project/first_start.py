"""What an empty gateway needs to be of use: someone to administer it, a key to call it with, something to call."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Generator, Iterator
from typing import Any

from django.conf import settings
from django.db import transaction

from access import actors, keys
from access.models import User
from endpoints import lifecycle
from endpoints.models import Endpoint
from wire.errors import ApiError

_PROMPT = "The quick brown fox jumps over the lazy dog, and then it walks all the way home."
_ECHO = {"service": "echo", "service_settings": {"words_per_second": 8, "first_word_delay_ms": 200}}


def run() -> Generator[str, None, None]:
    """Yield what is to be printed. Makes something only where there is no user yet.

    Print each line before the next is asked for: a password that could not be shown must not be stored.
    """
    address = _address()
    yield f"Inference gateway: {address}/"
    if User.objects.exists():
        yield f"Admin:             {address}/admin/"
        yield "Stream (asks for the password of admin):"
        yield f"  {_curl(address, '-u admin')}"
        return
    password = settings.ENVIRONMENT.admin_password.get_secret_value()
    chosen = password or secrets.token_urlsafe(12)
    shown = "from GATEWAY_ADMIN_PASSWORD" if password else f"{chosen} (shown this once)"
    with transaction.atomic():
        admin = User.objects.create_superuser("admin", chosen)
        encoded = keys.create(owner_id=admin.pk, name="first key").encoded
        yield f"Admin:             {address}/admin/ user admin, password {shown}"
        yield f"API key:           {encoded} (shown this once)"
    yield from _endpoints()
    yield "Stream:"
    header = shlex.quote(f"Authorization: ApiKey {encoded}")
    yield f"  {_curl(address, f'-H {header}')}"


def _endpoints() -> Iterator[str]:
    yield from _create("echo-completion", _ECHO)
    key = settings.ENVIRONMENT.openai_api_key.get_secret_value()
    if key:
        service_settings = {"api_key": key, "model_id": "gpt-4o-mini"}
        yield from _create("openai-completion", {"service": "openai", "service_settings": service_settings})


def _create(inference_id: str, body: dict[str, Any]) -> Iterator[str]:
    if Endpoint.objects.filter(inference_id=inference_id).exists():
        return
    try:
        # Without asking the provider: a start must not depend on one.
        lifecycle.create(inference_id, "completion", body, validate=False, by=actors.of_command("first start"))
    except ApiError as error:
        yield f"Endpoint:          {inference_id} was not made: {error.reason}"
    else:
        yield f"Endpoint:          {inference_id}"


def _address() -> str:
    environment = settings.ENVIRONMENT
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(environment.host, environment.host)  # noqa: S104
    return environment.public_url or f"http://{host}:{environment.port}"


def _curl(address: str, credentials: str) -> str:
    body = shlex.quote(f'{{"input":"{_PROMPT}"}}')
    return (
        f"curl -N {credentials} -H 'Content-Type: application/json' -d {body} "
        f"{address}/_inference/completion/echo-completion/_stream"
    )
