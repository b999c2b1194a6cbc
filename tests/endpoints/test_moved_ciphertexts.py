"""Ciphertexts that somebody moves in the database: a running gateway opens none of them, and sends nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway

OAUTH = {"client_id": "c", "scopes": ["s"], "client_secret": "the client secret"}
READ = """SELECT ciphertext FROM endpoints_endpointsecret
WHERE endpoint_id = (SELECT id FROM endpoints_endpoint WHERE inference_id = ?) AND name = ?"""
WRITE = """UPDATE endpoints_endpointsecret SET ciphertext = ?
WHERE endpoint_id = (SELECT id FROM endpoints_endpoint WHERE inference_id = ?) AND name = ?"""
doors = pytest.mark.parametrize("door", ["", "/_stream"])


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider.running() as provider:
        yield provider


def make(gateway: Gateway, fake: FakeProvider, **settings: Any) -> str:
    """Create an endpoint with a key, or with what `settings` have, and a header; return its id."""
    credentials = settings or {"api_key": API_KEY}
    inference_id = gateway.put("openai", model_id="m", url=f"{fake.url}/v1/chat/completions", **credentials)
    update = {"task_settings": {"headers": {"X-Tenant": "t1"}}}
    assert gateway.call("PUT", f"/_inference/{inference_id}/_update", update).status == 200
    fake.requests.clear()
    return inference_id


@contextmanager
def database(gateway: Gateway) -> Iterator[sqlite3.Connection]:
    """Yield the database of the gateway; what is written there is no news to it, so the endpoint is not loaded yet."""
    with closing(sqlite3.connect(gateway.data_dir / "gateway.sqlite3", timeout=20)) as connection, connection:
        yield connection


def swap(gateway: Gateway, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Let the ciphertexts of two secrets, each of them an inference id and a name, change their places."""
    with database(gateway) as connection:
        texts = [connection.execute(READ, secret).fetchone()[0] for secret in (one, other)]
        for text, secret in zip(texts, (other, one), strict=True):
            assert connection.execute(WRITE, (text, *secret)).rowcount == 1


def redirect(gateway: Gateway, inference_id: str, key: str, url: str) -> None:
    with database(gateway) as connection:
        read = "SELECT service_settings FROM endpoints_endpoint WHERE inference_id = ?"
        settings = json.loads(connection.execute(read, (inference_id,)).fetchone()[0])
        write = "UPDATE endpoints_endpoint SET service_settings = ? WHERE inference_id = ?"
        connection.execute(write, (json.dumps({**settings, key: url}), inference_id))


def check_unusable(gateway: Gateway, inference_id: str, door: str, *names: str) -> None:
    answer = gateway.call("POST", f"/_inference/completion/{inference_id}{door}", {"input": "x"})
    assert (answer.status, answer.error["type"]) == (500, "status_exception")
    reason = answer.error["reason"]
    assert reason.startswith(f"Inference endpoint [{inference_id}] cannot be used as it is stored, update it: ")
    assert [
        name for name in names if f"secret [{name}] was stored for another endpoint or another host" not in reason
    ] == []
    assert API_KEY not in reason


@doors
def test_keys_that_change_places_between_endpoints_are_sent_to_nobody(
    gateway: Gateway, fake: FakeProvider, door: str
) -> None:
    one, other = make(gateway, fake), make(gateway, fake)
    swap(gateway, (one, "api_key"), (other, "api_key"))
    check_unusable(gateway, one, door, "api_key")
    check_unusable(gateway, other, door, "api_key")
    assert fake.requests == []


@doors
def test_secrets_that_change_places_within_an_endpoint_are_sent_to_nobody(
    gateway: Gateway, fake: FakeProvider, door: str
) -> None:
    """Their host is the same: a header would be sent as the key."""
    inference_id = make(gateway, fake)
    swap(gateway, (inference_id, "api_key"), (inference_id, "headers"))
    check_unusable(gateway, inference_id, door, "api_key", "headers")
    assert fake.requests == []


@doors
@pytest.mark.parametrize(("key", "names"), [("url", ("api_key", "headers")), ("token_url", ("client_secret",))])
def test_no_secret_goes_to_a_host_that_was_put_into_the_row(
    gateway: Gateway, fake: FakeProvider, key: str, names: tuple[str, ...], door: str
) -> None:
    oauth = {**OAUTH, "token_url": f"{fake.url}/token"} if key == "token_url" else {}
    inference_id = make(gateway, fake, **oauth)
    with FakeProvider.running() as thief:
        redirect(gateway, inference_id, key, f"{thief.url}/v1/chat/completions")
        check_unusable(gateway, inference_id, door, *names)
        assert thief.requests == []
    assert fake.requests == []
