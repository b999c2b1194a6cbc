from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from usage.windows import Window

gaps = st.lists(st.floats(0, 5, allow_nan=False), max_size=80)


@given(gaps, st.integers(1, 6))
def test_no_window_of_its_length_ever_holds_more_than_the_limit_and_none_is_refused_below_it(
    gaps: list[float], limit: int
) -> None:
    window, now, taken = Window(6.0), 0.0, list[float]()
    for gap in gaps:
        now += gap
        within = sum(1 for moment in taken if moment >= now - 6.0)
        assert window.take(limit, now) == (within < limit)
        if within < limit:
            taken.append(now)


@given(gaps, st.integers(1, 6), st.integers(0, 20))
def test_the_foreseen_moment_is_that_of_the_turn_behind_all_others(gaps: list[float], limit: int, ahead: int) -> None:
    window, now = Window(6.0), 0.0
    for gap in gaps:
        now += gap
        window.take(limit, now)
    foreseen = window.free_at(limit, now, ahead)
    # Each of those ahead, and then the request itself, takes its place as early as there is one.
    for _ in range(ahead + 1):
        now = max(now, window.free_at(limit, now))
        while not window.take(limit, now):
            now += 1e-6
    assert abs(now - foreseen) < 1e-3


def test_endpoints_with_other_limits_are_judged_by_their_own_over_the_same_moments() -> None:
    window = Window(60.0)
    assert [window.take(2, 0.0) for _ in range(3)] == [True, True, False]
    assert [window.take(4, 1.0) for _ in range(3)] == [True, True, False]
    # Two moments of second 1 are still in the window when those of second 0 have left it.
    assert [window.take(2, 60.5), window.take(4, 60.5)] == [False, True]


def test_moments_that_are_over_and_not_yet_forgotten_hide_none_that_count() -> None:
    window = Window(60.0)
    assert all(window.take(100, moment) for moment in [0.0] * 10 + [30.0] * 2)
    assert not window.take(2, 61.0)


def test_a_place_that_was_given_back_is_free_again() -> None:
    window = Window(60.0)
    window.take(2, 1.0)
    window.take(2, 2.0)
    window.give_back(1.0)
    assert window.free_at(2, 3.0) == 3.0
    assert [window.take(2, 3.0), window.take(2, 3.0)] == [True, False]
    assert window.free_at(2, 3.0) == 62.0


def test_a_window_forgets_what_is_over_while_requests_go_on() -> None:
    window = Window(60.0)
    for number in range(10_000):
        window.take(10**9, number / 10_000)
    for number in range(10_000):
        window.take(10**9, 61.0 + number)
    assert len(window._moments) <= 61 + 1
    assert sys.getsizeof(window._moments) < 10_000
