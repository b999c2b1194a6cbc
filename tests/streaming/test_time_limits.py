"""The time limits of a stream: those of all endpoints, those of one, and what each is told the caller."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings

from endpoints import catalog, lifecycle, time_limits
from endpoints.models import Endpoint
from endpoints.providers._base import Batch, Choice, Chunk, Delta
from endpoints.time_limits import TimeLimits
from streaming.relay import Relay
from streaming.watch import Watch
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway, Stream
from usage.record import Record
from wire.errors import ProviderError, StatusError
from wire.sse import Framing

LIMITS = TimeLimits(
    connect_seconds=5,
    first_delta_seconds=5,
    idle_seconds=5,
    stall_seconds=5,
    total_seconds=5,
    write_seconds=5,
)


@pytest.fixture(scope="module")
def stalling() -> Iterator[Gateway]:
    """A gateway for which a second without a delta is too long."""
    with Gateway.started(GATEWAY_SKIP_VALIDATION="true", GATEWAY_STALL_SECONDS="1") as running:
        yield running


def ask(gateway: Gateway, provider: FakeProvider, model: str) -> Any:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id=model, url=url)
    return gateway.stream(f"/_inference/completion/{inference_id}/_stream", {"input": "x"})


def last_error(stream: Stream) -> dict[str, Any]:
    """Read to the end and return the body of the error that the stream ends with."""
    *_, (name, data) = stream.events()
    assert name == "error", data
    body: dict[str, Any] = json.loads(data)
    return body


def test_comments_of_a_provider_do_not_hide_that_it_says_nothing(stalling: Gateway, provider: FakeProvider) -> None:
    with ask(stalling, provider, "comments:0.1") as stream:
        body = last_error(stream)
    assert body["status"] == 408
    assert body["error"]["reason"] == "The stream was ended since the provider said nothing for [1s]"
    assert provider.wait_closed(2)
    assert "stalled" in stalling.read_log()


def test_thoughts_of_a_model_are_no_silence(stalling: Gateway, provider: FakeProvider) -> None:
    with ask(stalling, provider, "think:2.5") as stream:
        assert stream.text() == "yes"


def test_deltas_that_come_in_time_are_no_silence(stalling: Gateway, provider: FakeProvider) -> None:
    with ask(stalling, provider, "tick:0.4:6") as stream:
        assert stream.text() == " 0 1 2 3 4 5"


def test_a_timeout_shorter_than_a_second_is_exact(stalling: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = stalling.put("openai", api_key=provider.api_key, model_id="late:30", url=url)
    began = time.monotonic()
    answer = stalling.call("POST", f"/_inference/{inference_id}/_stream?timeout=200ms", {"input": "x"})
    assert (answer.status, answer.error["reason"]) == (408, "Request timed out after [200ms]")
    assert 0.2 <= time.monotonic() - began < 1.5


@pytest.mark.parametrize("name", list(time_limits.MEANINGS))
def test_each_limit_is_that_of_the_endpoint_or_of_the_environment(name: str) -> None:
    default = getattr(settings.ENVIRONMENT, name)
    assert getattr(time_limits.of(Endpoint(task_type="completion")), name) == default
    assert getattr(time_limits.of(Endpoint(task_type="completion", **{name: 1.5})), name) == 1.5


def test_what_is_no_completion_has_half_a_minute_as_in_elasticsearch() -> None:
    assert time_limits.of(Endpoint(task_type="rerank")).first_delta_seconds == 30


@pytest.mark.django_db(transaction=True)
def test_limits_are_stored_with_an_endpoint_and_reach_the_path_of_its_requests() -> None:
    body = {"service": "echo", "service_settings": {}}
    lifecycle.create("mine", "completion", body, gateway={"stall_seconds": 7.0})

    async def stall_seconds() -> float:
        entry = await catalog.get("mine")
        assert entry is not None
        return entry.limits.stall_seconds

    assert async_to_sync(stall_seconds)() == 7
    lifecycle.update("mine", None, {"service_settings": {}}, gateway={"stall_seconds": None, "total_seconds": 3.0})
    assert async_to_sync(stall_seconds)() == settings.ENVIRONMENT.stall_seconds
    assert Endpoint.objects.get().total_seconds == 3


async def words(*seconds: float) -> AsyncGenerator[Batch, None]:
    """Yield a word after each of the waits."""
    for number, wait in enumerate(seconds):
        await asyncio.sleep(wait)
        yield [Chunk(choices=[Choice(Delta(content=str(number)))])]


async def read(source: AsyncGenerator[Batch, None], limits: TimeLimits, heartbeat_seconds: float = 0.0) -> Relay:
    relay = Relay(source, Framing(), Watch(limits, heartbeat_seconds), Record(stream=True))
    try:
        await relay.open(limits.first_delta_seconds)
        async for _ in relay.events():
            pass
    finally:
        await relay.aclose()
    return relay


def limits(**seconds: float) -> TimeLimits:
    return TimeLimits(**{name: seconds.get(name, 5) for name in time_limits.MEANINGS})


@pytest.mark.parametrize(
    ("source", "own", "outcome"),
    [
        (words(0, 0, 0), {}, "complete"),
        (words(0, 3), {"stall_seconds": 0.1}, "stalled"),
        (words(0, 0.15, 0.15, 3), {"stall_seconds": 0.3}, "stalled"),
        (words(*[0.05] * 100), {"total_seconds": 0.3}, "timed_out"),
        # The limit of the first delta does not count any more.
        (words(0, 0.3), {"first_delta_seconds": 0.1}, "complete"),
    ],
)
async def test_the_outcome_names_the_limit(
    source: AsyncGenerator[Batch, None], own: dict[str, float], outcome: str
) -> None:
    relay = await read(source, limits(**own))
    assert relay.record.outcome == outcome
    assert not Relay.live


async def test_a_late_first_delta_is_refused_with_its_status() -> None:
    with pytest.raises(StatusError, match=r"^Request timed out after \[100ms\]$") as error:
        await read(words(3), limits(first_delta_seconds=0.1))
    assert error.value.status == 408


async def test_a_stream_sets_no_timer_for_each_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Watch] = []
    monkeypatch.setattr(Watch, "_look", looks.append)
    await read(words(*[0.002] * 200), LIMITS, 15.0)
    assert not looks


async def refused(seconds: float) -> AsyncGenerator[Batch, None]:
    await asyncio.sleep(seconds)
    raise ProviderError("no", status=400)
    yield []


async def test_a_failure_between_an_early_head_and_its_first_event_is_told() -> None:
    relay = Relay(refused(0.1), Framing(), Watch(LIMITS, 0.0), Record(stream=True))
    try:
        await relay.open_within(0.02, relay.open(5))
        await asyncio.sleep(0.3)
        events = [event async for event in relay.events()]
    finally:
        await relay.aclose()
    assert [event[:12] for event in events] == [b"event: error"]
    assert relay.record.outcome == "upstream_error"
