"""What the fake provider does, by the model of the request: a name and, after colons, its arguments.

A model that is not listed repeats the prompt. Some behaviours only make sense in a stream; without one they also
repeat the prompt.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.http import Exchange

Behaviour = Callable[..., Awaitable[None]]

_RATE_LIMITS = {
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
}
_token_numbers = itertools.count(1)


async def answer(exchange: Exchange) -> None:
    if exchange.request.path == "/health":
        exchange.json({"healthy": True})
    elif exchange.request.path == "/token":
        await token(exchange)
    elif not exchange.provider.accepts(exchange.request):
        exchange.json(error_object("Incorrect API key provided"), 401)
    else:
        name, *arguments = model(exchange).split(":")
        await behaviour(exchange, name)(exchange, *arguments)


def behaviour(exchange: Exchange, name: str) -> Behaviour:
    if name in EVERYWHERE:
        return EVERYWHERE[name]
    if "embeddings" in exchange.request.path:
        return embeddings
    return STREAMS.get(name, echo) if exchange.request.json().get("stream") else whole


def model(exchange: Exchange) -> str:
    return str(exchange.request.json()["model"])


def prompt(exchange: Exchange) -> str:
    return str(exchange.request.json()["messages"][-1]["content"])


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> bytes:
    """Return one event of a stream, with the keys that OpenAI sends."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    value = {
        "id": "chatcmpl-Dx0XpqH8w09uBXwq1zFGYdETjtnEl",
        "object": "chat.completion.chunk",
        "created": 1782955817,
        "model": "gpt-fake-2026-07-01",
        "service_tier": "default",
        "system_fingerprint": "fp_d0469e1700",
        "choices": [] if delta is None else [choice],
        "usage": None,
        "obfuscation": "qfQVOwfh62oUst",
    }
    return event(json.dumps({**value, **more}, ensure_ascii=False))


def event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def text(content: str) -> bytes:
    return chunk({"content": content})


USAGE = {
    "prompt_tokens": 13,
    "completion_tokens": 11,
    "total_tokens": 24,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
FIRST = chunk({"role": "assistant", "content": "", "refusal": None})
LAST = chunk({}, "stop") + chunk(None, usage=USAGE) + event("[DONE]")


def error_object(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "fake_error", "param": None, "code": code}}


def completion(exchange: Exchange) -> dict[str, Any]:
    message = {"role": "assistant", "content": prompt(exchange), "refusal": None}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1782955817,
        "model": "gpt-fake",
        "choices": choices,
        "usage": USAGE,
    }


async def embeddings(exchange: Exchange) -> None:
    """Each vector begins with the length of its text. `embed-reversed` sends them in the wrong order, `embed-short`
    one too few."""
    inputs = exchange.request.json()["input"]
    data = [
        {"object": "embedding", "index": place, "embedding": [float(len(one)), 0.5, -1.0]}
        for place, one in enumerate(inputs)
    ]
    if model(exchange) == "embed-reversed":
        data.reverse()
    if model(exchange) == "embed-short":
        data.pop()
    exchange.json({"object": "list", "data": data, "usage": {"prompt_tokens": len(inputs), "total_tokens": 0}})


async def token(exchange: Exchange) -> None:
    """The client id chooses: `refused`, `slow:<seconds>`, `garbage`, `expires:<seconds>`; others get an hour."""
    form = exchange.request.form()
    name, _, argument = form["client_id"].partition(":")
    answers = {
        "refused": ({"error": "invalid_client", "error_description": f"bad secret {form['client_secret']}"}, 401),
        "garbage": ({"token": "missing"}, 200),
    }
    if name in answers:
        exchange.json(*answers[name])
        return
    if name == "slow":
        await asyncio.sleep(float(argument))
    value = f"fake-token-{next(_token_numbers)}"
    exchange.provider.tokens.add(value)
    lifetime = float(argument) if name == "expires" else 3600
    exchange.json({"access_token": value, "token_type": "Bearer", "expires_in": lifetime})


async def echo(exchange: Exchange) -> None:
    """Repeat the prompt, word by word and all at once."""
    exchange.start_stream()
    first, *others = prompt(exchange).split(" ")
    exchange.write(FIRST + text(first) + b"".join(text(f" {word}") for word in others) + LAST)
    exchange.end()


async def tick(exchange: Exchange, seconds: str = "0.1", count: str = "10") -> None:
    """`tick:<seconds>:<count>`: so many deltas, so far apart; the times do not drift."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    exchange.start_stream()
    exchange.write(FIRST)
    for number in range(int(count)):
        await asyncio.sleep(max(0.0, start + number * float(seconds) - loop.time()))
        exchange.write(text(f" {number}"))
    exchange.write(LAST)
    exchange.end()


async def burst(exchange: Exchange, count: str = "100") -> None:
    """`burst:<count>`: so many deltas in one write."""
    exchange.start_stream()
    exchange.write(FIRST + text(" word") * int(count) + LAST)
    exchange.end()


async def flood(exchange: Exchange, megabytes: str = "100") -> None:
    """`flood:<MiB>`: as fast as the caller reads."""
    exchange.start_stream()
    piece = text("x" * 1000) * 50
    for _ in range(int(megabytes) * 2**20 // len(piece)):
        await exchange.write_slowly(piece)
    exchange.write(LAST)
    exchange.end()


async def idle(exchange: Exchange, seconds: str = "3600") -> None:
    """`idle:<seconds>`: one delta, then silence, then the end."""
    exchange.start_stream()
    exchange.write(FIRST + text("one"))
    await asyncio.sleep(float(seconds))
    exchange.write(LAST)
    exchange.end()


async def comments(exchange: Exchange, every: str = "0.1", seconds: str = "3600") -> None:
    """`comments:<every>:<seconds>`: one delta, then nothing but comments for so long, then the end."""
    exchange.start_stream()
    exchange.write(FIRST + text("one"))
    for _ in range(int(float(seconds) / float(every))):
        await asyncio.sleep(float(every))
        exchange.write(b": still here\n\n")
    exchange.write(LAST)
    exchange.end()


async def late(exchange: Exchange, seconds: str = "0.3") -> None:
    """`late:<seconds>`: the head at once, the first delta later."""
    exchange.start_stream()
    await asyncio.sleep(float(seconds))
    exchange.write(FIRST + text("late") + LAST)
    exchange.end()


async def think(exchange: Exchange, seconds: str = "1") -> None:
    """`think:<seconds>`: thoughts for so long, then a word."""
    exchange.start_stream()
    exchange.write(FIRST)
    for _ in range(int(float(seconds) / 0.1)):
        exchange.write(chunk({"reasoning_content": "hm "}))
        await asyncio.sleep(0.1)
    exchange.write(text("yes") + LAST)
    exchange.end()


async def slow_headers(exchange: Exchange, seconds: str = "3600") -> None:
    """`slow-headers:<seconds>`: nothing at all, then the prompt."""
    await asyncio.sleep(float(seconds))
    await behaviour(exchange, "")(exchange)


async def error(exchange: Exchange, status: str = "500", times: str = "", retry_after: str = "") -> None:
    """`error:<status>[:<times>[:<retry-after>]]`: refuse, so many times or always. The message has the key in it."""
    tries = exchange.provider.tries
    tries[model(exchange)] = tries.get(model(exchange), 0) + 1
    if times and tries[model(exchange)] > int(times):
        await slow_headers(exchange, "0")
        return
    headers = {**(_RATE_LIMITS if status == "429" else {}), **({"retry-after": retry_after} if retry_after else {})}
    message = f"fake failure for {exchange.request.headers.get('authorization', 'nobody')}"
    exchange.json(error_object(message, "fake_code"), int(status), headers)


async def refusal(exchange: Exchange, status: str, body: str) -> None:
    """`refusal:<status>:<name>`: refuse with another body than OpenAI's, one of _BODIES."""
    exchange.whole(_BODIES[body], "text/plain", int(status))


_BODIES = {
    "empty": b"",
    "text": b"upstream connect error",
    "string": b'{"error": "Unauthorized"}',
    "flat": b'{"message": "flat message", "code": 422}',
    "context": b'{"error": {"message": "This model\'s maximum context length is 8192 tokens."}}',
    "quota": b'{"error": {"message": "no money", "code": "insufficient_quota"}}',
    "long": b'{"error": {"message": "' + b"m" * 10_000 + b'"}}',
    "huge": b'{"error": {"message": "' + b"m" * 200_000 + b'"}}',
}


async def redirect(exchange: Exchange) -> None:
    exchange.whole(b"", "text/plain", 302, {"location": f"{exchange.provider.url}/elsewhere"})


async def drop(exchange: Exchange) -> None:
    """Close the connection without an answer."""
    exchange.drop()


async def no_http(exchange: Exchange) -> None:
    exchange.write_raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    exchange.drop()


async def cookie(exchange: Exchange) -> None:
    exchange.json(completion(exchange), headers={"set-cookie": "session=of-one-tenant; Path=/"})


async def huge(exchange: Exchange, megabytes: str = "60") -> None:
    """`huge:<MiB>`: a whole answer that is too large."""
    exchange.start(headers={"content-type": "application/json"})
    for _ in range(int(megabytes)):
        await exchange.write_slowly(b" " * 2**20)
    exchange.end()


async def error_in_200(exchange: Exchange) -> None:
    exchange.json(error_object("not today"))


async def not_json(exchange: Exchange) -> None:
    exchange.whole(b"<oops", "application/json")


async def empty_object(exchange: Exchange) -> None:
    exchange.json({})


async def broken_refusal(exchange: Exchange, seconds: str = "0") -> None:
    """`broken-refusal:<seconds>`: a head that says 401 and a body that ends, after some time, before its end."""
    exchange.start(401, length=1000)
    exchange.write_raw(b'{"error": ')
    await asyncio.sleep(float(seconds))
    exchange.drop()


async def web_page(exchange: Exchange) -> None:
    exchange.whole(b"<html>Welcome</html>", "text/html")


async def whole(exchange: Exchange, *_: str) -> None:
    """Answer without a stream although one was asked for."""
    exchange.json(completion(exchange))


async def raw(exchange: Exchange, name: str) -> None:
    """`raw:<name>`: one of RAW, and a clean end of the body."""
    exchange.start_stream()
    exchange.write(RAW[name])
    exchange.end()


async def byte_by_byte(exchange: Exchange) -> None:
    """The prompt in reads of one byte, with a comment, CRLF and several data lines."""
    exchange.start_stream()
    body = b": hello\r\n\r\n" + (FIRST + text(prompt(exchange)) + LAST).replace(b"\n", b"\r\n")
    for place in range(len(body)):
        exchange.write(body[place : place + 1])
        await asyncio.sleep(0)
    exchange.end()


async def zipped(exchange: Exchange) -> None:
    """A compressed stream, although none was asked for."""
    exchange.start_stream({"content-encoding": "gzip"})
    exchange.write(gzip.compress(FIRST + text(prompt(exchange)) + LAST))
    exchange.end()


async def cut(exchange: Exchange, seconds: str = "0.05") -> None:
    """`cut:<seconds>`: two deltas, so far apart, then the connection closes."""
    exchange.start_stream()
    exchange.write(FIRST + text("one"))
    await asyncio.sleep(float(seconds))
    exchange.write(text(" two"))
    exchange.drop()


async def slow_end(exchange: Exchange, seconds: str = "0.03") -> None:
    """`slow-end:<seconds>`: the end of the body comes some time after the last event."""
    exchange.start_stream()
    exchange.write(FIRST + text("one") + LAST)
    await asyncio.sleep(float(seconds))
    exchange.end()


def _name(function: Behaviour) -> str:
    return str(function.__name__).replace("_", "-")


_TOOL_CALLS = [
    [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_capital", "arguments": ""}}],
    [{"index": 0, "function": {"arguments": '{"country":'}}],
    [{"index": 0, "function": {"arguments": '"UK"}'}}],
]
_ERROR = json.dumps(error_object("the model fell over", "boom"))

RAW = {
    "error-midway": text("one") + text(" two") + event(_ERROR),
    "error-then-done": text("one") + event(_ERROR) + event("[DONE]"),
    "error-string": text("one") + event('{"error": "out of memory"}'),
    "error-event": text("one") + b"event: error\n" + event('{"error": {"message": "tool call failed"}}'),
    "error-event-text": text("one") + b"event: error\n" + event("plain words"),
    "error-first": event(_ERROR),
    "error-with-choices": chunk({"content": ""}, error={"code": 400, "message": "Token limit reached"}),
    "error-finish": text("one") + chunk({"content": ""}, "error"),
    "error-flat": text("one") + event('{"object": "error", "message": "flat", "code": 400}'),
    "garbage": text("one") + event("{not json"),
    "no-choices": text("one") + event('{"id": "x"}'),
    "no-done": text("one") + chunk({}, "stop"),
    "no-done-no-newline": (text("one") + chunk({}, "stop")).rstrip(b"\n"),
    "no-end": text("one") + text(" two"),
    "empty": b"",
    "only-comments": b":\n\n: ping\n\n",
    "done-no-newline": text("one") + b"data: [DONE]",
    "done-lower-case": text("one") + b"data: [done] \n\n",
    "after-done": text("one") + event("[DONE]") + text("never"),
    "tools": b"".join(chunk({"tool_calls": calls}) for calls in _TOOL_CALLS)
    + chunk({}, "tool_calls")
    + event("[DONE]"),
    "reasoning": chunk({"reasoning": "hm"}) + chunk({"reasoning_content": "so"}) + text("yes") + LAST,
    "parts": chunk({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, "b"]}) + LAST,
    "nulls": chunk({"content": None, "role": None, "tool_calls": None}, id=None, model=None) + text("one") + LAST,
    "no-delta": chunk(None, choices=[{"index": 0, "finish_reason": None, "content_filter_results": {}}])
    + text("x")
    + LAST,
    "empty-data": text("one") + b"data:\n\ndata: \n\n" + LAST,
    "bom": b"\xef\xbb\xbf" + text("one") + LAST,
}

EVERYWHERE: dict[str, Behaviour] = {
    _name(behaviour): behaviour
    for behaviour in (
        *(error, refusal, redirect, drop, no_http, cookie, huge),
        *(slow_headers, error_in_200, not_json, empty_object, broken_refusal, web_page),
    )
}
STREAMS: dict[str, Behaviour] = {
    _name(behaviour): behaviour
    for behaviour in (tick, burst, flood, idle, comments, late, think, whole, raw, byte_by_byte, zipped, cut, slow_end)
}
