"""One value of a request: read as the type that its setting has, and judged. The messages are Elasticsearch's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from endpoints.providers._settings import Setting

_LONGEST_TEXT = 2000
_LARGEST_INTEGER = 2**31 - 1
MASK = "***"
"""What stands for a secret value that is shown by its name only."""
# Names under which a secret may stand in a wrong place, misspelt ones among them.
_SECRET_NAME = re.compile(
    r"key$|secret|passw|credential|authorization|service_account|^headers$|(^|_)token$|entra_id", re.IGNORECASE
)


def java_text(value: Any) -> str:
    """Return `value` as Elasticsearch prints it in messages: `{a=1, b=x, c={d=e}}`, `[1, 2]`, `true`, `null`.

    What is called like a secret is masked. Long values are cut, since a request of megabytes may stand where a
    setting should.
    """
    pieces: list[str] = []
    length = 0
    for piece in _java_pieces(value):
        pieces.append(piece)
        length += len(piece)
        if length > _LONGEST_TEXT:
            return "".join(pieces)[:_LONGEST_TEXT] + "..."
    return "".join(pieces)


def _java_pieces(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield f"{', ' if number else ''}{key}="
            if _SECRET_NAME.search(str(key)):
                yield MASK
            else:
                yield from _java_pieces(item)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield "["
        for number, item in enumerate(value):
            if number:
                yield ", "
            yield from _java_pieces(item)
        yield "]"
    elif isinstance(value, bool) or value is None:
        yield {True: "true", False: "false", None: "null"}[value]
    else:
        yield str(value)


def wrong_type(key: str, shown: str, expected: str) -> str:
    return f"field [{key}] is not of the expected type. The value [{shown}] cannot be converted to a [{expected}]"


def read(scope: str, one: Setting, raw: Any) -> tuple[Any, str]:
    """Return the value and "", or None and what is wrong."""
    shown = MASK if one.is_encrypted else java_text(raw)[:200]
    value = _convert(one.kind, raw)
    if value is None:
        return None, wrong_type(one.key, shown, one.java_name)
    problem = _judge(scope, one, value, shown)
    return (None, problem) if problem else (_as_declared(one, value), "")


def _as_declared(one: Setting, value: Any) -> Any:
    """Return a value of which only some are allowed as the declaration spells it; requests may use any case."""
    return next((name for name in one.allowed if name.lower() == value.lower()), value) if one.allowed else value


def _convert(kind: str, raw: Any) -> Any:
    """Return `raw` as `kind`, None where it is another type."""
    if kind == "str":
        return raw if isinstance(raw, str) else None
    if kind == "bool":
        return raw if isinstance(raw, bool) else None
    if kind == "int":
        return raw if isinstance(raw, int) and not isinstance(raw, bool) else None
    if kind == "float":
        return _float(raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else None
    if kind == "list":
        return tuple(raw) if isinstance(raw, list) and all(isinstance(item, str) for item in raw) else None
    return raw if isinstance(raw, dict) and all(isinstance(item, str) for item in raw.values()) else None


def _float(raw: float) -> float | None:
    try:
        return float(raw)
    except OverflowError:
        # An integer of hundreds of digits.
        return None


def _judge(scope: str, one: Setting, value: Any, shown: str) -> str:
    if isinstance(value, str):
        return _judge_text(scope, one, value, shown)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _judge_number(scope, one, value, shown)
    if isinstance(value, tuple) and not value:
        return f"[{scope}] Invalid value empty list. [{one.key}] must be a non-empty list"
    return ""


def _judge_text(scope: str, one: Setting, value: str, shown: str) -> str:
    if not value.strip():
        return f"[{scope}] Invalid value empty string. [{one.key}] must be a non-empty string"
    if one.allowed and value.lower() not in {name.lower() for name in one.allowed}:
        allowed = ", ".join(sorted(one.allowed))
        return f"[{scope}] Invalid value [{shown}] received. [{one.key}] must be one of [{allowed}]"
    if one.url:
        # What stands before an @ may be a password.
        shown = MASK if "@" in value else shown
        reason = _url_problem(one.as_url(value), shown)
        return f"[{scope}] Invalid url [{shown}] received for field [{one.key}]. Error: {reason}" if reason else ""
    if one.multiline:
        value = " ".join(value.split())
    if one.secret and not (value.isascii() and value.isprintable()):
        return f"[{scope}] Invalid value received. [{one.key}] must be printable ASCII without line ends"
    return ""


def _judge_number(scope: str, one: Setting, value: float, shown: str) -> str:
    if one.minimum == 1 and value < 1:
        return f"[{scope}] Invalid value [{shown}]. [{one.key}] must be a positive integer"
    if one.minimum is not None and value < one.minimum:
        return f"[{scope}] Invalid value [{shown}]. [{one.key}] must be greater than or equal to [{one.minimum}]"
    maximum = _LARGEST_INTEGER if one.maximum is None else one.maximum
    if value > maximum:
        return f"[{scope}] Invalid value [{shown}]. [{one.key}] must be less than or equal to [{maximum}]"
    return ""


def _url_problem(value: str, shown: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        return f"unable to parse url [{shown}]. Reason: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return f"unable to parse url [{shown}]. Reason: expected http(s)://host[:port]/path"
    if any(character.isspace() or not character.isprintable() for character in value):
        return f"unable to parse url [{shown}]. Reason: it contains white space or control characters"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return f"unable to parse url [{shown}]. Reason: a user, a password or a fragment is not allowed in it"
    return ""
