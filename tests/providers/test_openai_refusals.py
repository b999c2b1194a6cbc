"""What the refusals of an OpenAI-shaped provider become, and which requests are sent once more."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from endpoints.providers import _transport
from endpoints.providers._base import user_message
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._progress import Progress, progress
from endpoints.providers._retries import Retries
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import openai, streamed, text_of
from wire.elastic import error_body
from wire.errors import ProviderError

REQUEST = "for request from inference entity id [my-endpoint]"
LIMITS = "Token limit [30000], remaining tokens [0]. Request limit [500], remaining requests [499]"
UNKNOWN = "Token limit [unknown], remaining tokens [unknown]. Request limit [unknown], remaining requests [unknown]"


async def refused(fake: FakeProvider, model: str, **options: object) -> ProviderError:
    async with openai(fake, model, **options) as provider:  # type: ignore[arg-type]
        with pytest.raises(ProviderError) as error:
            await streamed(provider)
    return error.value


@pytest.mark.parametrize(
    ("status", "shown", "prefix"),
    [
        (400, 400, "Received a bad request status code"),
        (401, 401, "Received an authentication error status code"),
        (402, 402, "Received an unsuccessful status code"),
        (403, 403, "Received a permission denied error status code"),
        (404, 404, "Resource not found at [URL]"),
        (405, 405, "Received a method not allowed status code"),
        (413, 413, "Received a content too large status code"),
        (422, 422, "Received an input validation error response"),
        (429, 429, f"Received a rate limit status code. {LIMITS}"),
        (499, 400, "Received an unsuccessful status code"),
        (500, 400, "Received a server error status code"),
        (501, 400, "Received a server error status code"),
        (503, 400, "Received a server busy error status code"),
        (529, 400, "Received a server error status code"),
    ],
)
async def test_each_status_has_its_words(fake: FakeProvider, status: int, shown: int, prefix: str) -> None:
    error = await refused(fake, f"error:{status}")
    prefix = prefix.replace("URL", f"{fake.url}/v1/chat/completions")
    assert error.reason == f"{prefix} {REQUEST} status [{status}]. Error message: [fake failure for Bearer ***]"
    assert error.status == shown
    assert (error.code, error.param, error.provider_type) == ("fake_code", None, "fake_error")


async def test_the_providers_own_code_is_not_in_the_standard_body(fake: FakeProvider) -> None:
    error = await refused(fake, "error:400")
    body = error_body(error)
    assert set(body) == {"error", "status"}
    assert set(body["error"]) == {"root_cause", "type", "reason"}
    assert body["error"]["type"] == "status_exception"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("refusal:401:empty", f"Received an authentication error status code {REQUEST} status [401]"),
        ("refusal:400:text", f"Received a bad request status code {REQUEST} status [400]"),
        (
            "refusal:401:string",
            f"Received an authentication error status code {REQUEST} status [401]. Error message: [Unauthorized]",
        ),
        (
            "refusal:422:flat",
            f"Received an input validation error response {REQUEST} status [422]. Error message: [flat message]",
        ),
        ("refusal:400:huge", f"Received a bad request status code {REQUEST} status [400]"),
        (
            "refusal:400:context",
            f"Received a content too large status code {REQUEST} status [400]. "
            "Error message: [This model's maximum context length is 8192 tokens.]",
        ),
        (
            "refusal:429:quota",
            f"Received a rate limit status code. {UNKNOWN} {REQUEST} status [429]. Error message: [no money]",
        ),
    ],
)
async def test_other_bodies_of_refusals_are_read_as_far_as_they_can_be(
    fake: FakeProvider, model: str, reason: str
) -> None:
    assert (await refused(fake, model)).reason == reason


@pytest.mark.parametrize("model", ["broken-refusal", "broken-refusal:3600"])
async def test_a_refusal_counts_though_its_body_does_not_arrive(
    fake: FakeProvider, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transport, "ERROR_SECONDS", 0.1)
    error = await refused(fake, model)
    assert error.reason == f"Received an authentication error status code {REQUEST} status [401]"


async def test_a_long_message_is_cut(fake: FakeProvider) -> None:
    error = await refused(fake, "refusal:400:long")
    assert error.reason.endswith("Error message: [" + "m" * 500 + "]")


async def test_the_query_of_a_url_is_not_shown(fake: FakeProvider) -> None:
    error = await refused(fake, "error:404", url=f"{fake.url}/v1/chat/completions?key=in-the-query")
    assert fake.last.path.endswith("?key=in-the-query")
    assert "in-the-query" not in error.reason


async def test_secrets_of_the_endpoint_are_taken_out_of_messages(fake: FakeProvider) -> None:
    """The fake provider repeats the Authorization header in its message."""
    error = await refused(fake, "error:400", task_settings={"headers": {"X-Fake": "failure for"}})
    assert "[fake *** Bearer ***]" in error.reason


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_a_passing_failure_is_tried_again(fake: FakeProvider, status: int) -> None:
    async with openai(fake, f"error:{status}:2") as provider:
        assert text_of(await streamed(provider, "at last")) == "at last"
    assert len(fake.requests) == 3


async def test_a_whole_answer_is_tried_again_too(fake: FakeProvider) -> None:
    async with openai(fake, "error:503:2") as provider:
        assert (await provider.complete(user_message("at last"))).texts == ["at last"]


@pytest.mark.parametrize("model", ["error:503", "drop"])
async def test_three_attempts_are_all(fake: FakeProvider, model: str) -> None:
    await refused(fake, model)
    assert len(fake.requests) == 3


@pytest.mark.parametrize("model", ["error:400", "error:401", "error:404", "error:501", "refusal:429:quota"])
async def test_a_lasting_failure_is_not_tried_again(fake: FakeProvider, model: str) -> None:
    await refused(fake, model)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("model", ["cut", "raw:error-midway"])
async def test_nothing_is_tried_again_after_the_first_delta(fake: FakeProvider, model: str) -> None:
    await refused(fake, model)
    assert len(fake.requests) == 1


async def test_a_short_wait_that_the_provider_asks_for_is_kept(fake: FakeProvider) -> None:
    async with openai(fake, "error:429:1:0.15") as provider:
        start = time.monotonic()
        await streamed(provider)
    assert time.monotonic() - start > 0.15


async def test_a_long_wait_that_the_provider_asks_for_is_the_callers_to_decide(fake: FakeProvider) -> None:
    await refused(fake, "error:429:1:60")
    assert len(fake.requests) == 1


def test_waits_grow_and_vary_within_their_bounds() -> None:
    retries = Retries(attempts=9)
    waits = [[retries.wait(attempt) or 0.0 for _ in range(50)] for attempt in range(1, 9)]
    assert all(0.375 <= wait <= 0.5 for wait in waits[0])
    assert all(0.75 <= wait <= 1.0 for wait in waits[1])
    assert all(3.75 <= wait <= 5.0 for wait in waits[7])
    assert len(set(waits[0])) > 1
    assert retries.wait(9) is None


def after(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "300", "retry-after": "2"}, 0.3),
        ({"retry-after": after(-100)}, 0.0),
        ({"retry-after": after(100_000)}, None),
        ({"retry-after": "6"}, None),
        ({"x-should-retry": "false"}, None),
    ],
)
def test_the_providers_wish_is_heeded(headers: dict[str, str], wait: float | None) -> None:
    assert Retries().wait_after(1, 429, headers, None) == wait


@pytest.mark.parametrize(("seconds", "wait"), [(60.0, 20.0), (10.0, None)])
async def test_a_wish_is_heeded_up_to_the_deadline_of_the_caller(seconds: float, wait: float | None) -> None:
    before = progress.set(Progress(asyncio.get_running_loop().time() + seconds))
    try:
        assert Retries().wait_after(1, 429, {"retry-after": "20"}, None) == wait
    finally:
        progress.reset(before)


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan", ""])
def test_a_wish_that_makes_no_sense_is_ignored(value: str) -> None:
    wait = Retries().wait_after(1, 429, {"retry-after": value}, None)
    assert wait is not None
    assert 0.375 <= wait <= 0.5


def test_a_status_that_must_not_have_a_body_is_not_passed_on() -> None:
    failures = Failures("OpenAI chat completions", "my-endpoint", "host:443", lambda: ())
    assert failures.refused("Unhandled redirection", 304, ProviderMessage()).status == 400
