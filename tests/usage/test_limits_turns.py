"""Who waits, in which order, how long, and who is refused; with a clock that jumps to whatever comes next."""

from __future__ import annotations

import asyncio
import functools
import gc
import selectors
from collections.abc import Awaitable, Callable

import pytest

from endpoints.providers._base import RateLimit
from usage import rate_limits
from usage.rate_limits import RateLimits
from wire.errors import TooManyRequests

PER_MINUTE = 3
LIMIT = RateLimit(PER_MINUTE, "group")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait for its timers: where nothing is left to do, it is the time of the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits, and no timer runs"
        self._loop.now += timeout
        return super().select(0)


def jumping(test: Callable[[pytest.MonkeyPatch], Awaitable[None]]) -> Callable[[pytest.MonkeyPatch], None]:
    @functools.wraps(test)
    def run(monkeypatch: pytest.MonkeyPatch) -> None:
        loop = JumpingLoop()
        monkeypatch.setattr(rate_limits, "monotonic", loop.time)
        try:
            loop.run_until_complete(asyncio.wait_for(test(monkeypatch), 100_000))
        finally:
            loop.close()

    return run


@jumping
async def test_below_the_limit_nobody_waits_and_nothing_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(10)
    for _ in range(PER_MINUTE):
        turn = limits.turn(LIMIT, "x", now() + 30)
        # Not one suspension: the coroutine ends at its first step.
        with pytest.raises(StopIteration) as ended:
            turn.send(None)
        assert ended.value.value == 0.0


@jumping
async def test_requests_over_the_limit_wait_in_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, order = RateLimits(100), list[tuple[int, float]]()
    began = now()

    async def ask(number: int) -> None:
        waited = await limits.turn(LIMIT, "x", None)
        assert waited == pytest.approx(now() - began, abs=0.01)
        order.append((number, waited))

    await asyncio.gather(*(ask(number) for number in range(10)))
    assert [number for number, _ in order] == list(range(10))
    assert [waited for _, waited in order] == pytest.approx([0] * 3 + [60] * 3 + [120] * 3 + [180], abs=0.1)
    assert limits.waiting == 0


@jumping
async def test_who_comes_later_does_not_overtake_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, order = RateLimits(100), list[str]()

    async def ask(name: str) -> None:
        await limits.turn(LIMIT, "x", None)
        order.append(name)

    first = [asyncio.create_task(ask(f"early {number}")) for number in range(5)]
    # At this moment there are places again, and those who wait for them are not awake yet.
    await asyncio.sleep(60.0)
    limits._lines["group"].window._moments.clear()
    await asyncio.gather(*first, ask("late"))
    assert order == [*(f"early {number}" for number in range(5)), "late"]


@jumping
async def test_groups_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(100)
    waiting = [asyncio.create_task(limits.turn(LIMIT, "x", None)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await limits.turn(RateLimit(1, "other"), "y", None) == 0.0
    await asyncio.gather(*waiting)


@jumping
async def test_a_turn_that_would_come_after_the_deadline_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(100)
    for _ in range(PER_MINUTE):
        await limits.turn(LIMIT, "x", now() + 30)
        await asyncio.sleep(10)
    before = now()
    with pytest.raises(TooManyRequests) as refused:
        # The first place is free 30 seconds from now.
        await limits.turn(LIMIT, "my-chat", now() + 20)
    assert now() == before
    error = refused.value
    assert (error.status, error.refusal, error.headers) == (429, "rate_limit", {"Retry-After": "30"})
    assert error.reason == (
        "Inference endpoint [my-chat] has a rate limit of [3] requests per minute, and its turn would come after the "
        "[timeout] of the request; try again later or give it a longer one"
    )
    assert await limits.turn(LIMIT, "x", now() + 31) == pytest.approx(30, abs=0.01)


@jumping
async def test_those_who_wait_already_count_in_what_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(100)
    waiting = [asyncio.create_task(limits.turn(LIMIT, "x", None)) for _ in range(2 * PER_MINUTE)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as refused:
        await limits.turn(LIMIT, "x", now() + 100)
    assert refused.value.headers == {"Retry-After": "120"}
    await asyncio.gather(*waiting)


@jumping
async def test_the_first_in_line_is_refused_as_soon_as_it_finds_its_turn_too_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = RateLimits(100)
    for _ in range(PER_MINUTE):
        await limits.turn(LIMIT, "x", None)
    began, first = now(), asyncio.create_task(limits.turn(LIMIT, "x", now() + 70))
    await asyncio.sleep(30)
    # Whatever takes the places away that were seen coming: with Redis, another process.
    limits._lines["group"].window._moments.extend([now()] * PER_MINUTE)
    with pytest.raises(TooManyRequests) as refused:
        await first
    assert now() - began == pytest.approx(60, abs=0.1)
    assert refused.value.headers == {"Retry-After": "30"}
    assert limits.waiting == 0


@jumping
async def test_one_who_waits_behind_others_is_refused_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(100)
    for _ in range(PER_MINUTE):
        await limits.turn(LIMIT, "x", None)
    head = asyncio.create_task(limits.turn(LIMIT, "x", None))
    behind = asyncio.create_task(limits.turn(LIMIT, "x", now() + 70))
    await asyncio.sleep(59)
    limits._lines["group"].window._moments.extend([now()] * PER_MINUTE)
    began = now()
    with pytest.raises(TooManyRequests) as refused:
        await behind
    assert now() - began == pytest.approx(11, abs=0.2)
    assert refused.value.refusal == "rate_limit"
    assert refused.value.retry_after >= 47
    await head
    assert limits.waiting == 0


@jumping
async def test_where_too_many_wait_the_next_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(2)
    waiting = [asyncio.create_task(limits.turn(LIMIT, "x", None)) for _ in range(PER_MINUTE + 2)]
    await asyncio.sleep(0)
    before = now()
    with pytest.raises(TooManyRequests) as refused:
        await limits.turn(LIMIT, "x", None)
    assert now() == before
    error = refused.value
    assert (error.status, error.refusal, error.headers) == (429, "waiting", {"Retry-After": "60"})
    assert "[2] requests wait for their turn already, the most that GATEWAY_MAX_WAITING allows" in error.reason
    # The bound is one for all groups; below their limits they do not feel it.
    assert await limits.turn(RateLimit(1, "other"), "y", None) == 0.0
    with pytest.raises(TooManyRequests):
        await limits.turn(RateLimit(1, "other"), "y", None)
    await asyncio.gather(*waiting)


@jumping
async def test_one_who_leaves_gives_the_place_in_the_line_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(600)
    for _ in range(PER_MINUTE):
        await limits.turn(LIMIT, "x", None)
    waiting = [asyncio.create_task(limits.turn(LIMIT, "x", None)) for _ in range(600)]
    await asyncio.sleep(1)
    stays = waiting.pop(300)
    before = now()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert now() == before
    assert all(task.cancelled() for task in waiting)
    assert await stays == pytest.approx(60, abs=0.1)
    assert limits.waiting == 0
    assert limits._lines["group"].waiting == 0
    assert not limits._lines["group"].turn.locked()


@jumping
async def test_the_place_of_the_first_in_line_goes_to_the_next_when_the_first_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = RateLimits(10)
    for _ in range(PER_MINUTE):
        await limits.turn(LIMIT, "x", None)
    first, second = (asyncio.create_task(limits.turn(LIMIT, "x", None)) for _ in range(2))
    await asyncio.sleep(59.9)
    first.cancel()
    assert await second == pytest.approx(60, abs=0.1)


@jumping
async def test_a_very_high_limit_is_kept_by_the_second_and_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(10)
    per_minute = rate_limits.BY_THE_SECOND + 1
    moments = list[float]()
    for _ in range(10_000):
        await limits.turn(RateLimit(per_minute, "group"), "x", None)
        moments.append(now())
    assert max(moments.count(moment) for moment in set(moments)) == per_minute // 61
    (line,) = limits._lines.values()
    assert len(line.window._moments) <= 2 * per_minute // 61
    for _ in range(1000):
        assert await limits.turn(RateLimit(10**30, "more"), "x", None) == 0.0


@jumping
async def test_groups_that_nobody_asks_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(10)
    for number in range(10_000):
        await limits.turn(RateLimit(1, f"group {number}"), "x", None)
    await asyncio.sleep(61)
    await limits.turn(RateLimit(1, "held"), "x", None)
    await limits.turn(RateLimit(1, "held"), "x", None)
    await asyncio.sleep(61)
    gc.collect()
    await limits.turn(RateLimit(1, "last"), "x", None)
    assert len(limits._lines) <= 2


def now() -> float:
    return asyncio.get_running_loop().time()
