"""`chunking_settings`: how long inputs of embedding endpoints are cut, kept for clients that ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from endpoints.providers import _settings
from endpoints.providers._settings import Problem, Setting, Settings, setting

TASK_TYPES = ("text_embedding", "sparse_embedding", "embedding")
DEFAULT: Mapping[str, Any] = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}


def _max_chunk_size(minimum: int) -> Any:
    return setting("Maximum Chunk Size", "Words in a chunk, at most.", required=True, updatable=True, minimum=minimum)


@dataclass(frozen=True, kw_only=True)
class Strategy(Settings):
    scope = "chunking_settings"

    strategy: str = setting(
        "Strategy",
        "What texts are cut into.",
        required=True,
        updatable=True,
        allowed=("none", "recursive", "sentence", "word"),
    )


@dataclass(frozen=True, kw_only=True)
class Sentence(Strategy):
    max_chunk_size: int = _max_chunk_size(20)
    sentence_overlap: int = setting(
        "Sentence Overlap",
        "Sentences that a chunk shares with the one before.",
        updatable=True,
        minimum=0,
        maximum=1,
        default=1,
    )


@dataclass(frozen=True, kw_only=True)
class Word(Strategy):
    max_chunk_size: int = _max_chunk_size(10)
    overlap: int = setting(
        "Overlap", "Words that a chunk shares with the one before.", required=True, updatable=True, minimum=0
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        overlap, size = values["overlap"], values["max_chunk_size"]
        if overlap is not None and size is not None and overlap > size // 2:
            text = f"[{cls.scope}] Invalid value [{overlap}]. [overlap] must be less than or equal to [{size // 2}]"
            yield Problem("overlap", text)


@dataclass(frozen=True, kw_only=True)
class Recursive(Strategy):
    max_chunk_size: int = _max_chunk_size(10)
    separator_group: str | None = setting(
        "Separator Group", "Where texts of a kind are cut.", updatable=True, allowed=("markdown", "plaintext")
    )
    separators: tuple[str, ...] | None = setting(
        "Separators", "Regular expressions to cut at, best first.", updatable=True
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        if (values["separators"] is None) == (values["separator_group"] is None):
            yield Problem("separator_group", f"[{cls.scope}] needs exactly one of [separators, separator_group]")


STRATEGIES: Mapping[str, type[Strategy]] = {
    "none": Strategy,
    "recursive": Recursive,
    "sentence": Sentence,
    "word": Word,
}


def settings() -> dict[str, tuple[Setting, list[str]]]:
    """Return each setting by its key, with the names of the strategies that have it."""
    found: dict[str, tuple[Setting, list[str]]] = {}
    for name, declaration in STRATEGIES.items():
        for one in _settings.declared(declaration):
            found.setdefault(one.key, (one, []))[1].append(name)
    return found


def parse(given: Mapping[str, Any] | None, largest: int | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """Return complete chunking settings and all problems; an absent or empty section stands for the default.

    No chunk may have more than `largest` words.
    """
    if not given:
        return dict(DEFAULT), []
    named = _settings.parse(Strategy, "", given)
    if named.problems:
        # Nobody knows which other settings would be right.
        return {}, named.problems
    declaration = STRATEGIES[named.values["strategy"]]
    parsed = _settings.parse(declaration, "", given)
    refused = [
        Problem(key, f"[{Strategy.scope}] does not allow the setting [{key[:80]}] for this strategy")
        for key in sorted(parsed.unknown)
    ]
    size = parsed.values.get("max_chunk_size")
    if largest is not None and size is not None and size > largest:
        text = f"[{Strategy.scope}] Invalid value [{size}]. [max_chunk_size] must be less than or equal to [{largest}]"
        refused.append(Problem("max_chunk_size", text))
    return _settings.nested(declaration, parsed.values, ""), [*parsed.problems, *refused]
