"""The judge can say no: a gateway with one sin is caught at it, and the same gateway without one is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance import processes
from conformance.dialects import OpenAI
from conformance.promises import Limits
from conformance.provider.catalog import FAULTS
from conformance.runner import Runner, Verdict
from tests.conformance.bad_gateway import LIMIT_SECONDS, BadGateway

SINS = [
    ("says [DONE]", "reset-mid-event", "one ending"),
    ("says error and [DONE]", "reset-mid-event", "one ending"),
    ("ends silently", "close-between-events", "one ending"),
    ("breaks off", "close-between-events", "one ending"),
    ("hangs", "close-between-events", "within limits"),
    ("has no limit", "silent-mid-stream", "within limits"),
    ("says 200", "refused-400", "one ending"),
    ("shows the key", "refused-401", "no secret"),
    ("loses a delta", "ten-events-in-one-read", "exact text"),
    ("swaps deltas", "deltas-held", "exact text"),
    ("garbles text", "deltas-held", "exact text"),
    ("buffers", "deltas-held", "on time"),
    ("asks again midway", "reset-between-events", "asked once"),
    ("keeps the provider", "client-leaves-in-silence", "released"),
    ("keeps the provider", "client-resets-in-silence", "released"),
    ("reads ahead", "client-stops-reading", "held back"),
    ("dies", "many-headers", "alive"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with processes.provider() as url:
        yield url


@pytest.mark.parametrize(("sin", "fault", "promise"), SINS)
async def test_a_gateway_with_a_sin_is_caught(provider: str, sin: str, fault: str, promise: str) -> None:
    verdict = await judged(provider, fault, sin)
    assert promise in [name for name, _ in verdict.problems]


@pytest.mark.parametrize("fault", sorted({fault for _, fault, _ in SINS}))
async def test_the_same_gateway_without_it_is_not(provider: str, fault: str) -> None:
    verdict = await judged(provider, fault)
    assert list(verdict.problems) == []


async def test_a_fault_that_needs_an_unknown_limit_is_skipped(provider: str) -> None:
    verdict = await judged(provider, "silent-mid-stream", limits=Limits())
    assert verdict.skipped == "the limit [idle] of the gateway is not known"


async def test_a_gateway_that_is_silent_as_long_as_its_provider_sends_no_heartbeats(provider: str) -> None:
    limits = Limits(idle=LIMIT_SECONDS, heartbeat=1)
    verdict = await judged(provider, "silent-mid-stream", limits=limits)
    assert [name for name, _ in verdict.problems] == ["heartbeats"]


async def test_a_gateway_that_is_not_there_keeps_no_promise(provider: str) -> None:
    gateway = BadGateway(provider)
    async with gateway.running():
        pass
    verdict = await verdict_of(provider, gateway.url, "ordinary")
    assert [name for name, _ in verdict.problems] == ["one ending", "exact text", "asked once"]


async def judged(provider: str, fault: str, sin: str = "", limits: Limits | None = None) -> Verdict:
    async with BadGateway(provider, sin).running() as gateway:
        return await verdict_of(provider, gateway.url, fault, limits, attempts=1 if sin else 5)


async def verdict_of(provider: str, url: str, fault: str, limits: Limits | None = None, attempts: int = 5) -> Verdict:
    limits = limits or Limits(first_delta=LIMIT_SECONDS, idle=LIMIT_SECONDS, stall=LIMIT_SECONDS)
    dialect = OpenAI(url, "", provider, "sk-provider", model="{fault}")
    verdict, _ = await Runner(dialect, provider, limits, patience=6.0, attempts=attempts).run(
        [(FAULTS[fault], "openai")]
    )
    return verdict
