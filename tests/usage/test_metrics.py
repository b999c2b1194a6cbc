"""The numbers at `/metrics`: right for each way in which a request ends, with one worker and with several."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.provider import FakeProvider
from tests.gateway import Answer, Gateway

TOKEN = "token-of-prometheus"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
ECHO = "/_inference/completion/echo-completion"


@contextmanager
def metered(data_dir: Path, **environment: str) -> Iterator[Gateway]:
    settings = {"GATEWAY_METRICS_TOKEN": TOKEN, "GATEWAY_SKIP_VALIDATION": "true", "GATEWAY_IDLE_SECONDS": "1"}
    with Gateway.started(data_dir, **settings, **environment) as gateway:
        yield gateway


@pytest.fixture(scope="module", params=[1, 3], ids=["one worker", "three workers"])
def metered_gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    data_dir = tmp_path_factory.mktemp("data")
    with metered(data_dir, GATEWAY_WORKERS=str(request.param)) as gateway:
        await_workers(gateway, request.param)
        yield gateway
    assert list(data_dir.glob("metrics-*")) == []


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that lets one request in at a time."""
    with metered(tmp_path_factory.mktemp("data"), GATEWAY_MAX_STREAMS="1") as gateway:
        yield gateway


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider.running() as running:
        yield running


class Samples:
    """All samples of one answer."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200, answer.body
        families = text_string_to_metric_families(answer.body.decode())
        self.all = [sample for family in families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of `name` that have these labels, among others."""
        return sum(
            sample.value
            for sample in self.all
            if sample.name == name and all(sample.labels.get(label) == value for label, value in labels.items())
        )


def scrape(gateway: Gateway) -> Samples:
    return Samples(gateway.call("GET", "/metrics", headers=WITH_TOKEN, key=""))


class Since:
    """What was counted since now; a request is counted a moment after its last byte was sent."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._before = scrape(gateway)
        self._after = self._before

    def of(self, name: str, **labels: str) -> float:
        return self._after.sum(name, **labels) - self._before.sum(name, **labels)

    def until(self, requests: int, **labels: str) -> Since:
        """Wait until so many requests with these labels are over."""
        return self.until_true(lambda: self.of("gateway_requests_total", **labels) >= requests)

    def until_true(self, condition: Callable[[], bool], seconds: float = 10) -> Since:
        deadline = time.monotonic() + seconds
        self._after = scrape(self._gateway)
        while not condition():
            assert time.monotonic() < deadline, [s for s in self._after.all if s.name == "gateway_requests_total"]
            time.sleep(0.05)
            self._after = scrape(self._gateway)
        return self


def endpoint(gateway: Gateway, provider: FakeProvider, model: str) -> str:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id=model, url=url)
    return f"/_inference/completion/{inference_id}"


def test_a_stream_is_counted_once_with_all_that_it_took(metered_gateway: Gateway, provider: FakeProvider) -> None:
    path = endpoint(metered_gateway, provider, "tick:0.01:7")
    since = Since(metered_gateway)
    with metered_gateway.stream(f"{path}/_stream", {"input": "canary"}) as stream:
        stream.text()
    since.until(1)
    asked = {"service": "openai", "task_type": "completion"}
    assert since.of("gateway_requests_total", **asked, stream="true", outcome="complete", status="200") == 1
    assert since.of("gateway_deltas_total", **asked) == 7
    assert since.of("gateway_overhead_seconds_count", **asked) == 1
    assert (
        0 < since.of("gateway_overhead_seconds_sum", **asked) < since.of("gen_ai_server_request_duration_seconds_sum")
    )
    told = {"gen_ai_operation_name": "text_completion", "gen_ai_provider_name": "openai"}
    assert since.of("gen_ai_server_time_to_first_token_seconds_count", **told) == 1
    assert since.of("gen_ai_server_request_duration_seconds_count", **told, error_type="") == 1
    assert since.of("gateway_requests_total") == 1


def test_tokens_are_those_that_the_provider_counted(metered_gateway: Gateway) -> None:
    since = Since(metered_gateway)
    assert metered_gateway.call("POST", ECHO, {"input": "one two three"}).status == 200
    since.until(1)
    assert since.of("gateway_requests_total", stream="false", outcome="complete") == 1
    for kind in ("input", "output"):
        assert since.of("gen_ai_client_token_usage_sum", gen_ai_token_type=kind) == 3
        assert since.of("gen_ai_client_token_usage_count", gen_ai_token_type=kind) == 1


@pytest.mark.parametrize(
    ("model", "outcome", "status"),
    [
        ("error:400", "upstream_error", "400"),
        ("raw:error-midway", "upstream_error", "200"),
        ("cut", "upstream_cut", "200"),
        ("idle:30", "stalled", "200"),
        ("late:30", "timed_out", "408"),
    ],
)
def test_a_stream_that_fails_has_the_outcome_of_its_failure(
    metered_gateway: Gateway, provider: FakeProvider, model: str, outcome: str, status: str
) -> None:
    path = endpoint(metered_gateway, provider, model)
    since = Since(metered_gateway)
    with metered_gateway.stream(f"{path}/_stream?timeout=700ms", {"input": "x"}) as stream:
        list(stream.events())
    since.until(1)
    assert since.of("gateway_requests_total", service="openai", outcome=outcome, status=status) == 1
    assert since.of("gen_ai_server_request_duration_seconds_count", error_type=outcome) == 1
    assert since.of("gateway_requests_total") == 1


@pytest.mark.parametrize(("door", "model"), [("/_stream", "tick:0.05:1000"), ("/_stream", "late:30"), ("", "slow-headers:30")])  # fmt: skip
def test_who_leaves_is_counted_as_gone_and_is_open_until_then(
    metered_gateway: Gateway, provider: FakeProvider, door: str, model: str
) -> None:
    path = endpoint(metered_gateway, provider, model) + door
    stream = "true" if door else "false"
    since = Since(metered_gateway)
    connection = metered_gateway._connection()
    connection.request("POST", path, b'{"input": "x"}', {"Authorization": f"ApiKey {metered_gateway.key}", "Content-Type": "application/json"})  # fmt: skip
    since.until_true(lambda: since.of("gateway_open_requests", stream=stream) == 1)
    assert provider.wait_requests(1)
    connection.close()
    since.until(1)
    assert since.of("gateway_requests_total", outcome="client_gone") == 1
    assert since.of("gateway_open_requests") == 0


def test_who_is_refused_is_counted_without_an_endpoint_that_was_not_found(metered_gateway: Gateway) -> None:
    since = Since(metered_gateway)
    metered_gateway.call("POST", "/_inference/completion/canary-id/_stream", {"input": "x"})
    metered_gateway.call("POST", ECHO, {"input": "x"}, key="")
    metered_gateway.call("POST", ECHO, {"canary": "x"})
    since.until(3, outcome="refused")
    refused = [(labels["service"], labels["status"]) for labels in newly_refused(since)]
    assert sorted(refused) == [("", "400"), ("", "401"), ("", "404")]
    assert since.of("gen_ai_server_request_duration_seconds_count") == 0


def newly_refused(since: Since) -> list[dict[str, str]]:
    return [
        sample.labels
        for sample in since._after.all
        if sample.name == "gateway_requests_total"
        and sample.labels["outcome"] == "refused"
        and since.of(sample.name, **sample.labels)
    ]


def test_counting_is_exact_under_concurrency(metered_gateway: Gateway, provider: FakeProvider) -> None:
    path = endpoint(metered_gateway, provider, "burst:5")
    since = Since(metered_gateway)

    def ask(number: int) -> int:
        body = {"input": "x"}
        if number % 3 == 0:
            return metered_gateway.call("POST", "/_inference/completion/missing", body).status
        with metered_gateway.stream(f"{path}/_stream", body) as stream:
            stream.text()
            return stream.status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(ask, range(240)))
    since.until(240)
    assert (statuses.count(200), statuses.count(404)) == (160, 80)
    assert since.of("gateway_requests_total", outcome="complete") == 160
    assert since.of("gateway_requests_total", outcome="refused", status="404") == 80
    assert since.of("gateway_deltas_total", service="openai") == 800
    assert since.of("gen_ai_server_request_duration_seconds_bucket", le="+Inf") == 160
    assert since.of("gateway_open_requests") == 0


def test_retries_are_counted(metered_gateway: Gateway, provider: FakeProvider) -> None:
    path = endpoint(metered_gateway, provider, "error:503:1")
    since = Since(metered_gateway)
    with metered_gateway.stream(f"{path}/_stream", {"input": "x"}) as stream:
        assert stream.status == 200
        stream.text()
    since.until(1, outcome="complete")
    assert since.of("gateway_retries_total", service="openai") == 1


def test_a_bound_that_is_met_is_counted_by_its_name(narrow: Gateway, provider: FakeProvider) -> None:
    path = endpoint(narrow, provider, "tick:0.05:1000")
    since = Since(narrow)
    with narrow.stream(f"{path}/_stream", {"input": "x"}) as stream:
        stream.event()
        assert narrow.call("POST", ECHO, {"input": "x"}).status == 429
    since.until(2)
    assert since.of("gateway_refusals_total", reason="streams") == 1
    assert since.of("gateway_requests_total", outcome="refused", status="429", service="echo") == 1


def test_who_waits_for_a_turn_is_counted_until_then(narrow: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/chat/completions"
    limit = {"requests_per_minute": 1}
    inference_id = narrow.put("openai", api_key=provider.api_key, model_id="m", url=url, rate_limit=limit)
    since = Since(narrow)
    assert narrow.call("POST", f"/_inference/{inference_id}", {"input": "x"}).status == 200
    since.until(1)
    connection = narrow._connection()
    headers = {"Authorization": f"ApiKey {narrow.key}", "Content-Type": "application/json"}
    connection.request("POST", f"/_inference/{inference_id}?timeout=90s", b'{"input": "x"}', headers)
    since.until_true(lambda: since.of("gateway_waiting_requests") == 1)
    connection.close()
    since.until(1, outcome="client_gone")
    assert since.of("gateway_waiting_requests") == 0


def test_no_answer_holds_what_a_caller_or_a_provider_said(metered_gateway: Gateway, provider: FakeProvider) -> None:
    path = endpoint(metered_gateway, provider, "error:418")
    since = Since(metered_gateway)
    metered_gateway.call("POST", path, {"input": "canary"}, {"X-Opaque-Id": "canary"})
    metered_gateway.call("POST", "/_inference/canary/canary", {"canary": "canary"})
    since.until(2)
    text = metered_gateway.call("GET", "/metrics", headers=WITH_TOKEN, key="").body.decode()
    for secret in ("canary", provider.api_key, metered_gateway.key, "error:418", path.rpartition("/")[2]):
        assert secret not in text


@pytest.mark.parametrize("metered_gateway", [3], ids=["three workers"], indirect=True)
def test_what_a_killed_worker_counted_stays_and_what_it_had_open_is_over(
    metered_gateway: Gateway, provider: FakeProvider
) -> None:
    path = endpoint(metered_gateway, provider, "tick:0.05:1000")
    since = Since(metered_gateway)
    for _ in range(12):
        assert metered_gateway.call("POST", ECHO, {"input": "x"}).status == 200
    since.until(12)
    with metered_gateway.stream(f"{path}/_stream", {"input": "x"}) as stream:
        stream.event()
        since.until_true(lambda: since.of("gateway_open_requests", stream="true") == 1)
        killed = await_workers(metered_gateway, 3)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    await_workers(metered_gateway, 3, but=killed)
    for _ in range(2):
        since.until(12)
        assert since.of("gateway_requests_total") == 12
        assert since.of("gateway_open_requests") == 0
    assert metered_gateway.call("POST", ECHO, {"input": "x"}).status == 200
    since.until(13)
    (directory,) = metered_gateway.data_dir.glob("metrics-*")
    assert not {pid for pid in killed for _ in directory.glob(f"{pid}-*")}


def await_workers(gateway: Gateway, count: int, but: frozenset[int] = frozenset()) -> frozenset[int]:
    """Wait until so many workers count, none of them one of `but`; return their processes."""
    deadline = time.monotonic() + 120
    pids: frozenset[int] = frozenset()
    while len(pids) != count or pids & but:
        assert time.monotonic() < deadline, pids
        time.sleep(0.1)
        with suppress(OSError, http.client.HTTPException):
            told = (sample for sample in scrape(gateway).all if sample.name == "process_open_fds")
            # One process alone does not say which it is.
            pids = frozenset(int(sample.labels.get("pid", gateway.process.pid)) for sample in told)
    return pids
