"""JSON bodies: decoded strictly, with the position of what is wrong; encoded compactly or prettily."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from wire.errors import BodyInvalid

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_MAX_DEPTH = 200
_TOKENS = {
    str: "VALUE_STRING",
    bool: "VALUE_BOOLEAN",
    int: "VALUE_NUMBER",
    float: "VALUE_NUMBER",
    dict: "START_OBJECT",
    list: "START_ARRAY",
    type(None): "VALUE_NULL",
}


def decode(body: bytes) -> Any:
    """Return the value in `body`. Raise BodyInvalid for what is not JSON, nests too deep or cannot be stored."""
    try:
        value = _decode(body)
    except RecursionError:
        raise BodyInvalid(f"[1:1] JSON nests deeper than [{_MAX_DEPTH}] levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyInvalid(_malformed(body, str(error))) from None
    # A look at the bytes spares nearly all bodies the walk: a NUL can only be written as an escape, and there is no
    # depth without brackets.
    if b"\\u0000" in body or body.count(b"[") + body.count(b"{") > _MAX_DEPTH:
        _check(value, _MAX_DEPTH)
    return value


def decode_object(body: bytes, parser: str) -> dict[str, Any]:
    """Return the object in `body`; `parser` is the name that Elasticsearch puts into the error."""
    value = decode(body)
    if not isinstance(value, dict):
        raise BodyInvalid(f"[1:1] [{parser}] Expected START_OBJECT but was: {token(value)}")
    return value


def token(value: Any) -> str:
    """Return the name of the JSON token that `value` starts with, as in `VALUE_NUMBER`."""
    return _TOKENS[type(value)]


def encode(value: Any, *, pretty: bool = False) -> bytes:
    if not pretty:
        return _encode(value)
    return json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False).encode() + b"\n"


def key_position(body: bytes, key: str) -> str:
    """Return `[line:column]` of the top-level `key` of the object in `body`, both counted from 1."""
    return _position(body, key, value=False)


def value_position(body: bytes, key: str) -> str:
    """Return `[line:column]` of the value of the top-level `key`."""
    return _position(body, key, value=True)


def _position(body: bytes, wanted: str, *, value: bool) -> str:
    text = body.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    at = text.find("{") + 1
    try:
        while True:
            key_at = text.index('"', at)
            key, at = decoder.raw_decode(text, key_at)
            value_at = _skip_blank(text, text.index(":", at) + 1)
            if key == wanted:
                return _line_column(text, value_at if value else key_at)
            _, at = decoder.raw_decode(text, value_at)
    except (ValueError, RecursionError):
        return "[1:1]"


def _skip_blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


def _line_column(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"[{line}:{at - text.rfind(chr(10), 0, at)}]"


def _malformed(body: bytes, problem: str) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        return f"{_line_column(before, len(before))} Invalid UTF-8"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = _line_column(text, error.pos)
        if error.pos >= len(text):
            return f"{where} Unexpected end-of-input"
        character = text[error.pos]
        return f"{where} Unexpected character ({character!r} (code {ord(character)})): {error.msg}"
    except (ValueError, RecursionError):
        return f"[1:1] {problem}"
    return f"[1:1] {_out_of_range(value) or problem}"


def _out_of_range(value: Any) -> str:
    """Return what is wrong with `value`, which Python's own parser accepted and ours did not."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "Unmatched surrogate in a string"
    except (ValueError, RecursionError):
        return "A number is not finite or out of range"
    return ""


def _check(value: Any, depth: int) -> None:
    """Refuse what neither a database text column nor a provider takes: NUL characters, and endless nesting."""
    if isinstance(value, str):
        if "\x00" in value:
            raise BodyInvalid("[1:1] Illegal character (NULL, code 0) in a string")
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise BodyInvalid(f"[1:1] JSON nests deeper than [{_MAX_DEPTH}] levels")
        if isinstance(value, dict):
            for key in value:
                _check(key, depth)
            value = list(value.values())
        for item in value:
            _check(item, depth - 1)
