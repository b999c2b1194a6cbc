"""The table of failed logins."""

from __future__ import annotations

import time

import pytest

from access.failures import LIMIT, Failures
from wire.errors import StatusError

BOB = ("bob", "192.0.2.1")


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def fail(failures: Failures, pair: tuple[str, str], times: int) -> None:
    for _ in range(times):
        failures.add(pair)


def test_nine_failures_are_free(clock: Clock) -> None:
    failures = Failures()
    fail(failures, BOB, LIMIT - 1)
    failures.check(BOB)


def test_after_ten_the_pair_waits_for_the_rest_of_the_minute(clock: Clock) -> None:
    failures = Failures()
    failures.add(BOB)
    clock.now += 20
    fail(failures, BOB, LIMIT - 1)
    with pytest.raises(StatusError) as refused:
        failures.check(BOB)
    error = refused.value
    assert (error.status, error.type, error.headers) == (429, "status_exception", {"Retry-After": "40"})
    assert error.reason == "too many failed logins of user [bob] from this address, try again in [40s]"
    clock.now += 40
    failures.check(BOB)


def test_a_new_minute_counts_from_zero(clock: Clock) -> None:
    failures = Failures()
    fail(failures, BOB, LIMIT)
    clock.now += 60
    fail(failures, BOB, LIMIT - 1)
    failures.check(BOB)
    failures.add(BOB)
    assert failures.seconds_left(BOB) == 60


@pytest.mark.parametrize("other", [("ada", BOB[1]), (BOB[0], "192.0.2.2")])
def test_other_users_and_other_addresses_do_not_wait(clock: Clock, other: tuple[str, str]) -> None:
    failures = Failures()
    fail(failures, BOB, LIMIT)
    failures.check(other)


def test_the_table_drops_the_oldest(clock: Clock) -> None:
    failures = Failures(size=3)
    fail(failures, BOB, LIMIT)
    for number in range(3):
        failures.check((f"user {number}", ""))
        failures.add((f"user {number}", ""))
    assert len(failures) == 3
    failures.check(BOB)
