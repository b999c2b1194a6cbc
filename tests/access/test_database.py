"""Who waits for something else than the database has no connection in hand, of which PostgreSQL's pool has ten."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import pytest

from access import database, passwords
from access.passwords import Login
from tests.access.conftest import PASSWORD
from tests.gateway import Gateway

_STRANGERS = 20


class Connection:
    """Django's connection, as far as it can be given back."""

    def __init__(self, in_atomic_block: bool) -> None:
        self.in_atomic_block = in_atomic_block
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_login_is_checked_and_a_password_hashed_without_a_connection_but_in_a_transaction(
    monkeypatch: pytest.MonkeyPatch, in_transaction: bool
) -> None:
    seen: list[bool] = []

    def working(password: str, encoded: str = "") -> bool:
        # The thread that waits gives its connection back a moment after the work began.
        deadline = time.monotonic() + (0.1 if in_transaction else 5)
        while not connection.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(connection.closed)
        return True

    monkeypatch.setattr(passwords, "check_password", working)
    monkeypatch.setattr(passwords, "make_password", working)
    for wait_for in (
        lambda: passwords.is_right_sync(Login("bob", "right"), "hash"),
        lambda: passwords.hashed(PASSWORD),
    ):
        connection = Connection(in_transaction)
        monkeypatch.setattr(database, "connection", connection)
        assert wait_for()
    assert seen == [not in_transaction] * 2


def test_strangers_with_wrong_passwords_take_the_database_from_nobody(postgresql: str) -> None:
    """Twice as many strangers as the pool has connections wait for the check of a password."""
    with (
        Gateway.started(DATABASE_URL=postgresql, GATEWAY_TRUSTED_PROXIES="127.0.0.1") as gateway,
        ThreadPoolExecutor(_STRANGERS) as threads,
    ):

        def guess(number: int) -> int:
            headers = gateway.login(f"stranger{number}", "a guess") | {"X-Forwarded-For": f"192.0.2.{number}"}
            return gateway.call("GET", "/", headers=headers, key="").status

        # The owner's key is known, so that the look at the table is the first thing that needs the database.
        assert gateway.call("GET", "/_inference").status == 200
        guesses: list[Future[int]] = [threads.submit(guess, number) for number in range(_STRANGERS)]
        wait(guesses, return_when=FIRST_COMPLETED)
        assert gateway.call("GET", "/_inference").status == 200
        user = {"password": PASSWORD, "roles": []}
        assert gateway.call("PUT", "/_security/user/newcomer", user).status == 200
        assert sum(future.done() for future in guesses) < _STRANGERS / 2
        assert [future.result() for future in guesses] == [401] * _STRANGERS
