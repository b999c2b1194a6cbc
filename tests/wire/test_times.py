"""Time values: numbers with a unit, as Elasticsearch reads and writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import times
from wire.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("7micros", 7e-6),
        ("5nanos", 5e-9),
        (" 30S ", 30.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_time_value_is_read_in_seconds(text: str, seconds: float) -> None:
    assert times.seconds("timeout", text) == pytest.approx(seconds)


def test_minus_one_is_no_limit() -> None:
    assert times.seconds("timeout", "-1") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("30", "failed to parse setting [timeout] with value [30] as a time value: unit is missing or unrecognized"),
        ("", "failed to parse setting [timeout] with value [] as a time value: unit is missing or unrecognized"),
        ("5x", "failed to parse setting [timeout] with value [5x] as a time value: unit is missing or unrecognized"),
        ("1.5m", "failed to parse [1.5m], fractional time values are not supported"),
        ("xs", "failed to parse [xs]"),
        ("ms", "failed to parse [ms]"),
        ("-5s", "failed to parse setting [timeout] with value [-5s] as a time value: negative durations are not supported"),
        ("-2", "failed to parse setting [timeout] with value [-2] as a time value: unit is missing or unrecognized"),
        ("1000000000000d", "failed to parse setting [timeout] with value [1000000000000d] as a time value: too large"),
        ("٣s", "failed to parse [٣s]"),
    ],
)  # fmt: skip
def test_a_wrong_time_value_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        times.seconds("timeout", text)
    assert caught.value.reason == reason


def test_a_number_too_long_for_python_is_too_large() -> None:
    with pytest.raises(BadRequest, match="too large"):
        times.seconds("timeout", "9" * 5000 + "s")


@given(st.text())
def test_any_text_is_a_number_of_seconds_or_a_bad_request(text: str) -> None:
    try:
        value = times.seconds("timeout", text)
    except BadRequest:
        return
    assert value is None or 0 <= value < 1e10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30.0, "30s"),
        (120.0, "2m"),
        (90.0, "90s"),
        (3600.0, "1h"),
        (86400.0, "1d"),
        (0.5, "500ms"),
        (0.57, "570ms"),
        (0.001, "1ms"),
        (0.000007, "7micros"),
        (0.0, "0s"),
    ],
)
def test_seconds_are_written_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert times.elastic(seconds) == text
