"""What was asked, in numbers for Prometheus.

Names and labels are those of OpenTelemetry's conventions for generative AI where they fit, and begin with `gateway_`
elsewhere. A label holds nothing that a caller or a provider chose freely: each has few values, known beforehand.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from endpoints.providers import names
from endpoints.providers._base import TASK_TYPES
from usage.series import Family, Series

if TYPE_CHECKING:
    from usage.record import Record

# Doubling, as OpenTelemetry advises for durations; three buckets more than there, since a long answer may take
# GATEWAY_TOTAL_SECONDS, and a model that thinks first may take minutes to its first word.
_SECONDS = tuple(0.01 * 2**power for power in range(17))
# Around 150 µs, which is the aim, up to an event loop that is overloaded.
_OVERHEAD_SECONDS = (0.0001, 0.00015, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
# From a moment to longer than any client waits.
_WAIT_SECONDS = (0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# OpenTelemetry's, without what is larger than any context.
_TOKENS = tuple(float(4**power) for power in range(12))
# OpenTelemetry's names, where they are not those of Elasticsearch's API.
_OPERATIONS = {
    "completion": "text_completion",
    "chat_completion": "chat",
    "text_embedding": "embeddings",
    "sparse_embedding": "embeddings",
    "embedding": "embeddings",
}
_PROVIDERS = {
    "azureaistudio": "azure.ai.inference",
    "azureopenai": "azure.ai.openai",
    "googleaistudio": "gcp.gemini",
    "googlevertexai": "gcp.vertex_ai",
    "watsonxai": "ibm.watsonx.ai",
}
_ENDPOINT = ("service", "task_type")
_OPERATION = ("gen_ai_operation_name", "gen_ai_provider_name")

_requests = Family(
    "counter",
    "gateway_requests",
    "Inference requests that are over.",
    (*_ENDPOINT, "stream", "outcome", "status"),
)
_open_requests = Family("gauge", "gateway_open_requests", "Inference requests that are not over.", ("stream",))
_waiting = Family("gauge", "gateway_waiting_requests", "Requests that wait for their turn under a rate limit.")
_wait = Family(
    "histogram",
    "gateway_wait_seconds",
    "Time in the queue of a rate limit, of requests that had to wait and got their turn.",
    ("service",),
    _WAIT_SECONDS,
)
_overhead = Family(
    "histogram",
    "gateway_overhead_seconds",
    "From the arrival of a request to the first request to its provider, without waits under a rate limit.",
    _ENDPOINT,
    _OVERHEAD_SECONDS,
)
_deltas = Family("counter", "gateway_deltas", "Deltas sent to callers.", _ENDPOINT)
_retries = Family("counter", "gateway_retries", "Requests that were sent to a provider once more.", ("service",))
_refusals = Family("counter", "gateway_refusals", "Requests that met a bound of the gateway.", ("reason",))
time_to_first_token = Family(
    "histogram",
    "gen_ai_server_time_to_first_token_seconds",
    "From the arrival of a request to its first delta.",
    _OPERATION,
    _SECONDS,
)
_duration = Family(
    "histogram",
    "gen_ai_server_request_duration_seconds",
    "From the arrival of a request that was not refused to its end.",
    (*_OPERATION, "error_type"),
    _SECONDS,
)
_tokens = Family(
    "histogram",
    "gen_ai_client_token_usage",
    "Tokens of a request, as its provider counted them.",
    (*_OPERATION, "gen_ai_token_type"),
    _TOKENS,
)

_SERVICES = frozenset(names())
_STATUSES = frozenset(HTTPStatus)
_REASONS = frozenset({"streams", "caller_streams", "waiting", "rate_limit", "draining"})
_open = {stream: _open_requests.labelled(str(stream).lower()) for stream in (False, True)}
waiting = _waiting.labelled()
"""Requests in the queues of rate limits: who enters one adds 1, and -1 however it leaves."""


class _Endpoints:
    """The series of one service and task type. To find them by their labels costs more than to count."""

    def __init__(self, service: str, task_type: str) -> None:
        self.operation = (_OPERATIONS.get(task_type, task_type), _PROVIDERS.get(service, service))
        self.wait = _wait.labelled(service)
        self.overhead = _overhead.labelled(service, task_type)
        self.deltas = _deltas.labelled(service, task_type)
        self.retries = _retries.labelled(service)
        self.time_to_first_token = time_to_first_token.labelled(*self.operation)
        self.input_tokens = _tokens.labelled(*self.operation, "input")
        self.output_tokens = _tokens.labelled(*self.operation, "output")


@cache
def _endpoints(service: str, task_type: str) -> _Endpoints:
    return _Endpoints(service, task_type)


@cache
def _over(service: str, task_type: str, stream: bool, outcome: str, status: int) -> Series:
    return _requests.labelled(service, task_type, str(stream).lower(), outcome, str(status))


@cache
def _ended(endpoints: _Endpoints, outcome: str) -> Series:
    return _duration.labelled(*endpoints.operation, "" if outcome == "complete" else outcome)


def begin(stream: bool) -> None:
    """Count a request that has come, until `count` is called for it."""
    _open[stream].add()


def count(record: Record) -> None:
    """Count one request that is over."""
    _open[record.stream].add(-1.0)
    service = record.service if record.service in _SERVICES else ""
    task_type = record.task_type if record.task_type in TASK_TYPES else ""
    status = record.status if record.status in _STATUSES else record.status // 100 * 100
    _over(service, task_type, record.stream, record.outcome, status).add()
    if record.refusal in _REASONS:
        _refusals.labelled(record.refusal).add()
    if service:
        endpoints = _endpoints(service, task_type)
        _count_work(record, endpoints)
        _count_answer(record, endpoints)


def _count_work(record: Record, endpoints: _Endpoints) -> None:
    """Count what it took."""
    if record.waited:
        endpoints.wait.observe(record.waited)
    if record.progress.retries:
        endpoints.retries.add(record.progress.retries)
    if record.progress.asked_at is not None:
        endpoints.overhead.observe(max(0.0, record.progress.asked_at - record.began - record.waited))
    if record.outcome != "refused":
        _ended(endpoints, record.outcome).observe(record.ended - record.began)


def _count_answer(record: Record, endpoints: _Endpoints) -> None:
    if record.first_delta_at is not None:
        endpoints.time_to_first_token.observe(record.first_delta_at - record.began)
        endpoints.deltas.add(record.deltas)
    if record.input_tokens:
        endpoints.input_tokens.observe(record.input_tokens)
    if record.output_tokens:
        endpoints.output_tokens.observe(record.output_tokens)
