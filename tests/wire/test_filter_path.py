"""The `filter_path` parameter."""

from __future__ import annotations

from typing import Any

import pytest

from wire import filter_path

ANSWER: dict[str, Any] = {
    "endpoints": [
        {"inference_id": "a", "service_settings": {"model_id": "m", "rate_limit": {"requests_per_minute": 1}}},
        {"inference_id": "b", "service_settings": {}},
    ],
    "took": 3,
}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("took", {"took": 3}),
        ("endpoints.inference_id", {"endpoints": [{"inference_id": "a"}, {"inference_id": "b"}]}),
        ("took,endpoints.inference_id", {"endpoints": [{"inference_id": "a"}, {"inference_id": "b"}], "took": 3}),
        ("endpoints.*.model_id", {"endpoints": [{"service_settings": {"model_id": "m"}}]}),
        ("**.requests_per_minute", {"endpoints": [{"service_settings": {"rate_limit": {"requests_per_minute": 1}}}]}),
        ("endpoints.*_id", {"endpoints": [{"inference_id": "a"}, {"inference_id": "b"}]}),
        ("-endpoints", {"took": 3}),
        ("-**.requests_per_minute,-took,-**.inference_id", {"endpoints": [{"service_settings": {"model_id": "m"}}, {"service_settings": {}}]}),
        ("endpoints.inference_id,-took", {"endpoints": [{"inference_id": "a"}, {"inference_id": "b"}]}),
        ("nothing.here", {}),
        ("[a-z]ook", {}),
        ("t?ok", {}),
        (" , ", ANSWER),
        ("**", ANSWER),
    ],
)  # fmt: skip
def test_a_filter_keeps_what_it_names(paths: str, expected: dict[str, Any]) -> None:
    assert filter_path.apply(ANSWER, paths) == expected


def test_a_list_at_the_top_is_looked_through() -> None:
    assert filter_path.apply([{"a": 1, "b": 2}, {"b": 3}], "a") == [{"a": 1}]


def test_patterns_without_end_cost_little() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = {"a": deep, "b": deep}
        if len(str(deep)) > 10_000:
            deep = {"a": "x"}
    filter_path.apply(deep, ",".join(["**." * 500 + "a"] * 500))
