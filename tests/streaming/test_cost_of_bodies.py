"""One request must not keep the others waiting, whatever its body or its filter is made of."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.gateway import Gateway
from wire import filter_path

# To decode ten megabytes of brackets takes a second or two, in which nothing else runs; it must not be more than that.
LONGEST_WAIT = 4.0


def longest_wait_of_others(gateway: Gateway, asking: threading.Thread) -> float:
    """Return how long the slowest answer of `/livez` takes while `asking` runs."""
    longest = 0.0
    asking.start()
    while asking.is_alive():
        began = time.monotonic()
        assert gateway.call("GET", "/livez", key="").status == 200
        longest = max(longest, time.monotonic() - began)
    return longest


@pytest.mark.parametrize(
    "body",
    [
        b'{"' + b"k" * 9_000_000 + b'": 1}',
        b'{"input": "x", "task_settings": {"a": [' + b"[]," * 2_500_000 + b"[]]}}",
        b'{"input": [' + b'"",' * 2_500_000 + b'""]}',
    ],
    ids=["a name of megabytes", "settings of megabytes", "millions of inputs"],
)
def test_a_large_body_keeps_nobody_waiting(gateway: Gateway, body: bytes) -> None:
    path = "/_inference/completion/echo-completion/_stream"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(gateway.call("POST", path, body)))
    assert longest_wait_of_others(gateway, asking) < LONGEST_WAIT
    assert answers[0].status == 400
    assert len(answers[0].body) < 10_000


def test_a_deep_filter_is_applied_at_once() -> None:
    vectors = {"text_embedding": [{"embedding": [0.5] * 1536} for _ in range(500)]}
    patterns = ",".join(f"**.**.**.**.**.a{number}" for number in range(50))
    began = time.monotonic()
    assert filter_path.apply(vectors, patterns) == {}
    assert time.monotonic() - began < 1
    assert json.dumps(filter_path.apply(vectors, "text_embedding.embedding")) == json.dumps(vectors)
