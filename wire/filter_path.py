"""The `filter_path` parameter: a comma list of dotted paths with `*` and `**`; a leading `-` leaves out."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

_NOTHING = object()
_MAX_PATTERNS = 30
_MAX_STEPS = 20

Pattern = tuple[str, ...]


def apply(value: Any, filter_path: str) -> Any:
    """Return what `filter_path` leaves of `value`; lists are looked through, as if each item stood for itself."""
    words = [word.strip() for word in filter_path.split(",") if word.strip()][:_MAX_PATTERNS]
    excluded = [_steps(word[1:]) for word in words if word.startswith("-")]
    included = [_steps(word) for word in words if not word.startswith("-")]
    if included:
        value = _include(value, included)
    if excluded and value is not _NOTHING:
        value = _exclude(value, excluded)
    return {} if value is _NOTHING else value


def _steps(word: str) -> Pattern:
    steps = word.split(".")[:_MAX_STEPS]
    # Two `**` in a row say no more than one, and cost a search each.
    return tuple(step for place, step in enumerate(steps) if not (place and step == steps[place - 1] == "**"))


def _include(value: Any, patterns: list[Pattern]) -> Any:
    """Return the parts of `value` that a pattern reaches, or _NOTHING."""
    if any(not pattern or pattern == ("**",) for pattern in patterns):
        return value
    if isinstance(value, list):
        if not any(isinstance(item, (dict, list)) for item in value):
            return _NOTHING
        kept = [part for item in value if (part := _include(item, patterns)) is not _NOTHING]
        return kept or _NOTHING
    if not isinstance(value, dict):
        return _NOTHING
    left = ((key, item, _below(patterns, key)) for key, item in value.items())
    chosen = {key: _include(item, below) for key, item, below in left if below}
    return {key: item for key, item in chosen.items() if item is not _NOTHING} or _NOTHING


def _exclude(value: Any, patterns: list[Pattern]) -> Any:
    if isinstance(value, list):
        if not any(isinstance(item, (dict, list)) for item in value):
            return value
        return [part for item in value if (part := _exclude(item, patterns)) is not _NOTHING]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        below = _below(patterns, key)
        if () in below:
            continue
        part = _exclude(item, below) if below else item
        if part is not _NOTHING and not (below and part in ({}, []) and item):
            kept[key] = part
    return kept


def _below(patterns: list[Pattern], key: str) -> list[Pattern]:
    """Return what is left of each pattern after `key`; `**` stands for any number of steps, none included."""
    left: set[Pattern] = set()
    for pattern in patterns:
        if not pattern:
            continue
        if pattern[0] == "**":
            left.add(pattern)
            left.update(_below([pattern[1:]], key))
        elif fnmatchcase(key, pattern[0].replace("[", "[[]").replace("?", "[?]")):
            left.add(pattern[1:])
    return list(left)
