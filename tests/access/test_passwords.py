"""How passwords are checked: in a bounded pool, once for all who wait, and remembered only while they are right."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from statistics import median

import pytest
from django.contrib.auth.hashers import make_password
from pytest_django import Settings

from access import passwords
from access.models import User
from access.passwords import Login
from tests.access.conftest import PASSWORD, Call, basic
from wire.errors import SettingsInvalid, StatusError

WHO = "/_security/_authenticate"


class Gate:
    """A password check that waits until the test opens it, and counts how often it was asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.calls = 0

    def __call__(self, password: str, encoded: str) -> bool:
        self.calls += 1
        self.entered.release()
        self.open.wait(10)
        return password == "right"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setattr(passwords, "check_password", made)
    yield made
    made.open.set()
    # What a test left in the pool must not count in the next one.
    wait(passwords._running.values(), 10)


async def outcome(login: Login) -> bool | int:
    """Return whether the password is right, or the status of a refusal."""
    try:
        return await passwords.is_right(login, "hash")
    except StatusError as error:
        return error.status


async def test_the_event_loop_goes_on_while_a_password_is_checked(gate: Gate) -> None:
    task = asyncio.create_task(outcome(Login("bob", "right")))
    assert await asyncio.wait([task], timeout=0.2) == (set(), {task})
    gate.open.set()
    assert await task is True


async def test_the_same_login_is_checked_once_for_all_who_wait(gate: Gate) -> None:
    tasks = [asyncio.create_task(outcome(Login("bob", "right"))) for _ in range(100)]
    await asyncio.sleep(0.05)
    gate.open.set()
    assert await asyncio.gather(*tasks) == [True] * 100
    assert gate.calls == 1


async def test_who_leaves_does_not_take_the_answer_from_the_others(gate: Gate) -> None:
    first, second = (asyncio.create_task(outcome(Login("bob", "right"))) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    gate.open.set()
    assert await second is True


async def test_two_are_checked_64_wait_and_the_next_is_429(gate: Gate) -> None:
    logins = [Login("bob", "right", f"192.0.2.{number}") for number in range(67)]
    tasks = [asyncio.create_task(outcome(login)) for login in logins]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert ([task.result() for task in done], len(waiting)) == ([429], 66)
    assert gate.entered.acquire(timeout=10)
    assert gate.entered.acquire(timeout=10)
    assert not gate.entered.acquire(timeout=0.05)
    gate.open.set()
    await asyncio.wait(waiting)
    assert await outcome(Login("later", "right")) is True


async def flood(address: str) -> set[asyncio.Task[bool | int]]:
    """Send 100 logins of made-up names and return those that were not refused at once."""
    tasks = [asyncio.create_task(outcome(Login(f"user{number}", "guess", address))) for number in range(100)]
    done, waiting = await asyncio.wait(tasks, timeout=0.2)
    assert {task.result() for task in done} == {429}
    return waiting


async def test_a_flood_from_one_address_locks_no_other_address_out(gate: Gate) -> None:
    waiting = await flood("192.0.2.1")
    assert len(waiting) == 8
    task = asyncio.create_task(outcome(Login("bob", "right", "192.0.2.2")))
    await asyncio.sleep(0.05)
    gate.open.set()
    assert await task is True
    await asyncio.wait(waiting)
    # The flood is over, and with it the bound.
    assert await outcome(Login("bob", "right", "192.0.2.1")) is True


async def test_addresses_of_one_ipv6_network_share_one_bound(gate: Gate) -> None:
    waiting = await flood("2001:db8::1")
    assert await outcome(Login("bob", "right", "2001:db8::2")) == 429
    gate.open.set()
    await asyncio.wait(waiting)


async def test_a_new_password_does_not_wait_for_logins(gate: Gate) -> None:
    waiting = await flood("192.0.2.1")
    assert await asyncio.wait_for(asyncio.to_thread(passwords.hashed, PASSWORD), 5)
    gate.open.set()
    await asyncio.wait(waiting)


def test_new_passwords_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = threading.Event()
    monkeypatch.setattr(passwords, "make_password", lambda password: opened.wait(5) and password)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(passwords.hashed, PASSWORD) for _ in range(8)]
        wait(waiting, 0.2)
        with pytest.raises(StatusError, match="too many new passwords at once, try again") as raised:
            passwords.hashed(PASSWORD)
        opened.set()
        assert [future.result(10) for future in waiting] == [PASSWORD] * 8
    assert raised.value.status == 429


async def test_guesses_that_wait_are_refused_once_ten_have_failed(gate: Gate) -> None:
    guesses = [Login("bob", f"guess {number}") for number in range(8)]
    for _ in range(9):
        passwords.failures.add(guesses[0].pair)
    tasks = [asyncio.create_task(outcome(guess)) for guess in guesses]
    await asyncio.sleep(0.05)
    gate.open.set()
    outcomes = await asyncio.gather(*tasks)
    # Two are checked at once.
    assert 1 <= outcomes.count(False) <= 2
    assert outcomes.count(429) == 8 - outcomes.count(False)


async def test_a_right_password_is_remembered_for_a_minute(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.open.set()
    login = Login("bob", "right")
    assert await passwords.is_right(login, "hash")
    assert await passwords.is_right(login, "hash")
    assert gate.calls == 1
    later = time.monotonic() + passwords.REMEMBERED_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert await passwords.is_right(login, "hash")
    assert gate.calls == 2


async def test_another_stored_hash_ends_the_memory(gate: Gate) -> None:
    gate.open.set()
    await passwords.is_right(Login("bob", "right"), "hash")
    assert await passwords.is_right(Login("bob", "right"), None) is False
    await passwords.is_right(Login("bob", "right"), "another hash")
    assert gate.calls == 3


async def test_a_remembered_password_does_not_pass_a_pair_that_has_to_wait(gate: Gate) -> None:
    """Else an attacker could go on guessing while the user works: the right guess would answer at once."""
    gate.open.set()
    await passwords.is_right(Login("bob", "right"), "hash")
    for number in range(10):
        await passwords.is_right(Login("bob", f"guess {number}"), "hash")
    assert await outcome(Login("bob", "right")) == 429


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert Login("bob", "", "2001:db8::1").pair == Login("bob", "", "2001:db8::ffff:2").pair
    assert Login("bob", "", "2001:db8::1").pair != Login("bob", "", "2001:db8:0:1::1").pair


def test_a_short_password_is_not_stored() -> None:
    with pytest.raises(SettingsInvalid, match=r"passwords must be at least \[6\] characters long"):
        passwords.hashed("12345")


def test_an_unknown_user_costs_as_much_as_a_wrong_password(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    encoded = make_password(PASSWORD)

    def seconds(stored: str | None) -> float:
        times = []
        for number in range(3):
            started = time.process_time()
            passwords.is_right_sync(Login("bob", f"wrong {number}", str(stored)), stored)
            times.append(time.process_time() - started)
        return median(times)

    wrong, unknown = seconds(encoded), seconds(None)
    assert 0.3 < unknown / wrong < 3


@pytest.mark.django_db
def test_the_eleventh_guess_is_429_for_that_user_and_address_only(users: dict[str, User], call: Call) -> None:
    for number in range(10):
        assert call("GET", WHO, header=basic("bob", f"guess {number}")).status_code == 401
    response = call("GET", WHO, user="bob")
    assert response.status_code == 429
    assert response.json()["error"]["type"] == "status_exception"
    assert 0 < int(response["Retry-After"]) <= 60
    assert "X-Elastic-Product" in response
    assert call("GET", WHO, user="bob", REMOTE_ADDR="192.0.2.7").status_code == 200
    assert call("GET", WHO, user="ada").status_code == 200


@pytest.mark.django_db
def test_a_key_is_let_in_whatever_its_owner_failed(users: dict[str, User], call: Call) -> None:
    created = call("POST", "/_security/api_key", {"name": "x"}, user="bob").json()
    for number in range(11):
        call("GET", WHO, header=basic("bob", f"guess {number}"))
    assert call("GET", WHO, key=created["encoded"]).status_code == 200
    for _ in range(30):
        assert call("GET", WHO, key="bm9wZTpub3Bl").status_code == 401
    assert call("GET", WHO, key=created["encoded"]).status_code == 200


@pytest.mark.django_db
def test_guesses_at_names_that_do_not_exist_are_counted_too(call: Call) -> None:
    statuses = [call("GET", WHO, header=basic("nobody", f"guess {number}")).status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]
