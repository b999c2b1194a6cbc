"""`chunking_settings`: how long inputs of embedding endpoints are cut, kept for clients that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wire.errors import SettingsInvalid

TASK_TYPES = ("text_embedding", "sparse_embedding", "embedding")
DEFAULT = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}
_STRATEGIES = ("none", "recursive", "sentence", "word")
_SEPARATOR_GROUPS = ("markdown", "plaintext")
_LARGEST = 2**31 - 1
_SCOPE = "[chunking_settings]"


def parse(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return complete chunking settings. Raise SettingsInvalid with every problem."""
    if given is None:
        return dict(DEFAULT)
    reader = _Reader(given)
    strategy = reader.choice("strategy", _STRATEGIES)
    settings = {"strategy": strategy} | _PARSERS.get(strategy or "", lambda _: {})(reader)
    # With a wrong strategy nobody knows which other settings would be right.
    if strategy is not None:
        reader.refuse_the_rest()
    if reader.problems:
        raise SettingsInvalid(*reader.problems, fields=["chunking_settings"] * len(reader.problems))
    return settings


class _Reader:
    """Takes settings out of what was given, and collects what is wrong."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.left = dict(given)
        self.problems: list[str] = []

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.left.pop(name, None)
        if value is None:
            self.problems.append(f"{_SCOPE} does not contain the required setting [{name}]")
        elif not isinstance(value, str) or value.lower() not in allowed:
            self.problems.append(
                f"{_SCOPE} Invalid value [{str(value)[:80]}] received. [{name}] must be one of [{', '.join(allowed)}]"
            )
        else:
            return value.lower()
        return None

    def integer(self, name: str, low: int, high: int = _LARGEST) -> int | None:
        value = self.left.pop(name, None)
        if value is None:
            self.problems.append(f"{_SCOPE} does not contain the required setting [{name}]")
        elif not isinstance(value, int) or isinstance(value, bool):
            self.problems.append(
                f"field [{name}] is not of the expected type. "
                f"The value [{str(value)[:80]}] cannot be converted to a [Integer]"
            )
        elif value < low:
            self.problems.append(f"{_SCOPE} Invalid value [{value}]. [{name}] must be greater than or equal to [{low}]")
        elif value > high:
            self.problems.append(f"{_SCOPE} Invalid value [{value}]. [{name}] must be less than or equal to [{high}]")
        else:
            return value
        return None

    def refuse_the_rest(self) -> None:
        self.problems.extend(f"{_SCOPE} does not allow the setting [{name[:80]}]" for name in sorted(self.left))


def _sentence(reader: _Reader) -> dict[str, Any]:
    overlap = reader.integer("sentence_overlap", 0, 1) if "sentence_overlap" in reader.left else 1
    return {"max_chunk_size": reader.integer("max_chunk_size", 20), "sentence_overlap": overlap}


def _word(reader: _Reader) -> dict[str, Any]:
    size = reader.integer("max_chunk_size", 10)
    return {"max_chunk_size": size, "overlap": reader.integer("overlap", 0, (size or _LARGEST) // 2)}


def _recursive(reader: _Reader) -> dict[str, Any]:
    settings: dict[str, Any] = {"max_chunk_size": reader.integer("max_chunk_size", 10)}
    group = reader.choice("separator_group", _SEPARATOR_GROUPS) if "separator_group" in reader.left else None
    separators = reader.left.pop("separators", None)
    if (group is None) == (separators is None):
        reader.problems.append(f"{_SCOPE} needs exactly one of [separators, separator_group]")
    elif separators is not None and not _are_texts(separators):
        reader.problems.append(f"{_SCOPE} Invalid value. [separators] must be a non-empty list of strings")
    return settings | ({"separator_group": group} if separators is None else {"separators": separators})


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


_PARSERS: dict[str, Callable[[_Reader], dict[str, Any]]] = {
    "sentence": _sentence,
    "word": _word,
    "recursive": _recursive,
}
