"""A provider that repeats what it was sent, secrets among it, wherever an answer has room for words.

Without a mode it is what its `respond` is. Every mode is a name in MODES, `token:` with such a name for what happens
to requests for tokens only, or `behaviour:<model>` for what the fake of OpenAI does with that model.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from tests.fakes.behaviours import answer, event, text
from tests.fakes.http import Exchange
from tests.fakes.provider import Respond

Mode = Callable[[Exchange, str], None]
_STATUSES = (400, 401, 403, 404, 422, 429, 503)
_LIMITS = ("tokens", "requests")
_SECRET_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "x-canary")
_SECRET_FIELDS = ("client_secret", "apikey", "assertion")
# Heads of several kilobytes are refused, whatever is in them.
_LONGEST_HEADER = 2000


class Indiscreet:
    """`sent` are the secrets that came in, the tokens that were made meanwhile among them."""

    def __init__(self, respond: Respond) -> None:
        self.mode = ""
        self.sent: set[str] = set()
        self._respond = respond

    async def __call__(self, exchange: Exchange) -> None:
        self.sent.update(value.removeprefix("Bearer ") for value in _secrets(exchange))
        mode = self._mode_of(exchange)
        if mode.startswith("behaviour:"):
            await _behave(exchange, mode.partition(":")[2])
        elif mode == "silence":
            await asyncio.sleep(3600)
        elif mode:
            MODES[mode](exchange, _said(exchange))
        else:
            await self._respond(exchange)

    def _mode_of(self, exchange: Exchange) -> str:
        """Return the mode in which the request is answered; the service's own answers stand behind ""."""
        for_tokens, mode = self.mode.startswith("token:"), self.mode.removeprefix("token:")
        return mode if for_tokens == _is_form(exchange) else ""


async def _behave(exchange: Exchange, model: str) -> None:
    try:
        body = exchange.request.json()
    except ValueError:
        body = {}
    # Whoever wants no chat is refused, with the key in the message.
    if "messages" not in body:
        model = "error:400"
    exchange.request = replace(exchange.request, body=json.dumps({**body, "model": model}).encode())
    exchange.provider.tokens.add(exchange.request.headers.get("authorization", "").removeprefix("Bearer "))
    await answer(exchange)


def _said(exchange: Exchange) -> str:
    """Return what was sent, as it came and as others would write it; what is secret comes first."""
    request = exchange.request
    came = [*_secrets(exchange), request.path, *request.headers.values()]
    forms = [*came, *map(quote, came), *map(quote_plus, came), *map(json.dumps, came)]
    return " | ".join([*forms, request.body.decode()])


def _secrets(exchange: Exchange) -> list[str]:
    request = exchange.request
    found = [request.headers[name] for name in _SECRET_HEADERS if name in request.headers]
    if _is_form(exchange):
        found += [value for name, value in request.form().items() if name in _SECRET_FIELDS]
    return found


def _is_form(exchange: Exchange) -> bool:
    return "form" in exchange.request.headers.get("content-type", "")


def _headers(said: str) -> Mapping[str, str]:
    said = said[:_LONGEST_HEADER]
    return {
        "retry-after": "0",
        "x-request-id": said,
        "www-authenticate": said,
        "location": f"/elsewhere?key={said}",
        "set-cookie": f"key={said}",
        **{f"x-ratelimit-{what}-{kind}": said for what in ("limit", "remaining", "reset") for kind in _LIMITS},
        **{f"anthropic-ratelimit-{kind}-{what}": said for what in ("limit", "remaining", "reset") for kind in _LIMITS},
    }


def _refusal(status: int, shape: Callable[[str], Any]) -> Mode:
    return lambda exchange, said: exchange.json(shape(said), status, _headers(said))


def _stream(*parts: Callable[[str], bytes], ends: bool = True) -> Mode:
    def play(exchange: Exchange, said: str) -> None:
        exchange.start_stream()
        for part in parts:
            exchange.write(part(said))
        if ends:
            exchange.end()
        else:
            exchange.drop()

    return play


def _whole(
    body: Callable[[str], str], kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> Mode:
    return lambda exchange, said: exchange.whole(
        body(said).encode(), kind.replace("{said}", said[:_LONGEST_HEADER]), headers=headers
    )


def _raw(head: str) -> Mode:
    def write(exchange: Exchange, said: str) -> None:
        exchange.write_raw(head.replace("{said}", said[:_LONGEST_HEADER]).encode())
        exchange.drop()

    return write


def _words(said: str) -> dict[str, Any]:
    return {"message": said, "code": said, "param": said, "type": said, "status": said}


_ONE = text("one")
_SHAPES: Mapping[str, Callable[[str], Any]] = {
    "error": lambda said: {"error": _words(said)},
    "string": lambda said: {"error": said},
    "flat": _words,
    "list": lambda said: [{"error": _words(said)}],
    "errors": lambda said: {"errors": [_words(said)], "trace": said},
    "detail": lambda said: {"detail": said, "error_description": said, "error": "invalid_client"},
}
MODES: dict[str, Mode] = {
    **{f"refused-{status}": _refusal(status, _SHAPES["error"]) for status in _STATUSES},
    **{f"refused-as-{name}": _refusal(401, shape) for name, shape in _SHAPES.items()},
    "redirect": lambda exchange, said: exchange.whole(b"", "text/plain", 302, _headers(said)),
    "reason-phrase": _raw("HTTP/1.1 401 {said}\r\ncontent-length: 0\r\n\r\n"),
    "bad-status-line": _raw("HTTP/1.1 {said}\r\n\r\n"),
    "bad-header": _raw("HTTP/1.1 200 OK\r\n{said}\r\n\r\n"),
    "no-http": _raw("{said}\r\n\r\n"),
    "web-page": _whole(lambda said: f"<html>{said}</html>", "text/html; {said}"),
    "not-json": _whole(lambda said: f"<{said}"),
    "odd-json": _whole(lambda said: json.dumps({"access_token": f"{said}\n", "choices": said, "data": said})),
    "error-in-200": _whole(lambda said: json.dumps({"error": _words(said)})),
    "encoded": lambda exchange, said: exchange.whole(
        said.encode(), "text/plain", headers={"content-encoding": said[:60]}
    ),
    "error-first": _stream(lambda said: event(json.dumps({"error": _words(said)}))),
    "error-midway": _stream(lambda said: _ONE, lambda said: event(json.dumps({"error": _words(said)}))),
    "error-event": _stream(lambda said: _ONE, lambda said: b"event: error\n" + event(said)),
    "garbage-midway": _stream(lambda said: _ONE, lambda said: event("{not json " + said)),
    "cut-midway": _stream(lambda said: _ONE, lambda said: f"data: {said}".encode(), ends=False),
}
