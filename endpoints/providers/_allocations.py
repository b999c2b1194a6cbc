"""How many copies of a model run inside the gateway: what `elasticsearch` and `elser` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from endpoints.providers._settings import Problem, Settings, setting

_MOST_THREADS = 32
_ADAPTIVE = ("adaptive_enabled", "adaptive_minimum", "adaptive_maximum")
_NEITHER = "[service_settings] does not contain one of the required settings [num_allocations, adaptive_allocations]"


def num_allocations(**listing: Any) -> Any:
    return setting("Number Allocations", "How many copies of the model run.", updatable=True, minimum=1, **listing)


def num_threads(**facts: Any) -> Any:
    return setting(
        "Number Threads",
        "How many threads each copy computes with; a power of two.",
        minimum=1,
        maximum=_MOST_THREADS,
        **facts,
    )


def adaptive(label: str, description: str, key: str, minimum: int | None = None) -> Any:
    return setting(label, description, key=f"adaptive_allocations.{key}", updatable=True, minimum=minimum, listed=False)


def adaptive_enabled() -> Any:
    return adaptive("Adaptive Allocations", "Whether the number of copies follows the load.", "enabled")


def adaptive_minimum() -> Any:
    text = "The fewest copies; without it, there may be none for a while."
    return adaptive("Minimum Number of Allocations", text, "min_number_of_allocations", 0)


def adaptive_maximum() -> Any:
    return adaptive("Maximum Number of Allocations", "The most copies.", "max_number_of_allocations", 1)


def with_enabled(service_settings: dict[str, Any]) -> dict[str, Any]:
    """Say that `adaptive_allocations`, where it is there, is not enabled, unless it says that itself."""
    given = service_settings.get("adaptive_allocations")
    if isinstance(given, dict):
        return {**service_settings, "adaptive_allocations": {"enabled": False, **given}}
    return service_settings


class AllocationSettings(Settings):
    """The rules; a deployment that is already there brings allocations and threads with it."""

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        if values.get("deployment_id") is None and not _given(values):
            yield Problem("num_allocations", _NEITHER)
        threads = values.get("num_threads")
        if threads is not None and threads & (threads - 1):
            text = f"Invalid value [{threads}]. [num_threads] must be a power of two"
            yield Problem("num_threads", f"[{cls.scope}] {text}")
        fewest, most = values.get("adaptive_minimum"), values.get("adaptive_maximum")
        if fewest is not None and most is not None and fewest > most:
            key = "adaptive_allocations.max_number_of_allocations"
            text = f"Invalid value [{most}]. [{key}] must be greater than or equal to [min_number_of_allocations]"
            yield Problem(key, f"[{cls.scope}] {text}")

    @classmethod
    def check_given(cls, given: Mapping[str, Any]) -> Iterator[Problem]:
        if "num_threads" in given:
            yield Problem("num_threads", "[num_threads] cannot be updated")
        if not {"num_allocations", *_ADAPTIVE} & given.keys():
            yield Problem("num_allocations", _NEITHER)
        if _given(given) > 1:
            text = "[num_allocations] cannot be set if [adaptive_allocations] is set"
            yield Problem("num_allocations", text)


def _given(values: Mapping[str, Any]) -> int:
    """Return how many of both ways to say how many copies run are there."""
    adaptive = any(values.get(name) is not None for name in _ADAPTIVE)
    return adaptive + (values.get("num_allocations") is not None)
