from __future__ import annotations

import pytest

from usage.slots import Slots
from wire.errors import TooManyRequests


def test_no_more_requests_are_open_than_a_process_may_have() -> None:
    slots = Slots(2, 2)
    first = slots.take("a")
    slots.take("b")
    with pytest.raises(TooManyRequests) as refused:
        slots.take("c")
    error = refused.value
    assert (error.status, error.refusal, error.headers) == (429, "streams", {"Retry-After": "1"})
    assert "[2] requests open" in error.reason
    assert "GATEWAY_MAX_STREAMS " in error.reason
    first.release()
    slots.take("c")


def test_no_caller_has_more_open_than_one_may_have_and_others_do_not_feel_it() -> None:
    slots = Slots(10, 1)
    held = slots.take("a")
    with pytest.raises(TooManyRequests) as refused:
        slots.take("a")
    error = refused.value
    assert (error.status, error.refusal, error.headers) == (429, "caller_streams", {"Retry-After": "1"})
    assert "GATEWAY_MAX_STREAMS_PER_CALLER" in error.reason
    slots.take("b").release()
    held.release()
    slots.take("a")


def test_a_slot_is_given_back_once_however_often_it_is_released() -> None:
    slots = Slots(2, 2)
    slot = slots.take("a")
    slots.take("a")
    slot.release()
    slot.release()
    assert slots.open == 1
    slots.take("a")
    with pytest.raises(TooManyRequests):
        slots.take("a")


def test_a_refused_request_holds_nothing_and_callers_without_requests_are_forgotten() -> None:
    slots = Slots(1000, 1)
    for number in range(500):
        slot = slots.take(f"caller {number}")
        with pytest.raises(TooManyRequests):
            slots.take(f"caller {number}")
        slot.release()
    assert (slots.open, slots._by_caller) == (0, {})
