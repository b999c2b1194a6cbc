"""Elasticsearch's time values: `30s`, `1d`, `500ms`; `0` and `-1` need no unit."""

from __future__ import annotations

import re

from wire.errors import BadRequest

_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_VALUE = re.compile(r"(-?\d+)(nanos|micros|ms|s|m|h|d)", re.ASCII)
_FRACTION = re.compile(r"-?\d+\.\d+(?:nanos|micros|ms|s|m|h|d)", re.ASCII)
_LARGEST = 2**63 - 1


def seconds(name: str, text: str) -> float | None:
    """Return `text` in seconds, None for `-1` (no limit). Raise BadRequest that names the parameter `name`."""
    text = text.strip().lower()
    if text == "-1":
        return None
    if text == "0":
        return 0.0
    match = _VALUE.fullmatch(text)
    if match is None:
        raise BadRequest(_problem(name, text))
    # A number of more digits than this is out of range in every unit; int() refuses very long ones by itself.
    if len(match[1]) > 19 or int(match[1]) * _SECONDS[match[2]] > _LARGEST / 1e9:
        raise BadRequest(f"{_refused(name, text)}: too large")
    if match[1].startswith("-"):
        raise BadRequest(f"{_refused(name, text)}: negative durations are not supported")
    return int(match[1]) * _SECONDS[match[2]]


def _problem(name: str, text: str) -> str:
    if _FRACTION.fullmatch(text):
        return f"failed to parse [{text[:40]}], fractional time values are not supported"
    if re.search(r"(?:nanos|micros|ms|s|m|h|d)$", text):
        return f"failed to parse [{text[:40]}]"
    return f"{_refused(name, text)}: unit is missing or unrecognized"


def _refused(name: str, text: str) -> str:
    return f"failed to parse setting [{name}] with value [{text[:40]}] as a time value"


def elastic(value: float) -> str:
    """Return `value` seconds in the largest unit that holds it as a whole number, as in `30s`."""
    nanos = round(value * 1e9)
    for unit, size in reversed(_SECONDS.items()):
        if nanos and nanos % round(size * 1e9) == 0:
            return f"{nanos // round(size * 1e9)}{unit}"
    return "0s"
