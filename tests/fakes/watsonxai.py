"""A fake of watsonx.ai and of IBM's token service. It checks what it is sent, and the model chooses what it does:

`error:<status>` refuses, `tool` calls a tool, `cut` ends early, `drop` breaks the connection midway, `whole` does not
stream, `short` leaves one embedding out, `recorded:<case>` plays a recording. Every other model repeats the prompt,
embeds by length, or ranks longer documents higher. For tokens the API key chooses: `slow:<seconds>`,
`expires:<seconds>`, `error:<status>`, `garbage`; others must be the key of the provider.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tests.fakes.http import Exchange, Request

RECORDED = Path(__file__).parents[1] / "providers" / "recorded" / "watsonxai"
GRANT = "urn:ibm:params:oauth:grant-type:apikey"
CALL_ID = "chatcmpl-tool-00000000000000000000000000000001"
USAGE = {"completion_tokens": 3, "prompt_tokens": 38, "total_tokens": 41}
_PATH = re.compile(r"(?:/[a-z-]+)?/ml/v1/text/([a-z_]+)\?version=(\d{4}-\d\d-\d\d)")
_MOST_INPUTS = 1000
_numbers = itertools.count(1)


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """What may be left out is UNSET, so that a null is refused."""


class Part(Strict):
    type: Literal["text", "image_url"]
    text: str | UnsetType = UNSET
    image_url: dict[str, str] | UnsetType = UNSET


class Function(Strict):
    name: str
    arguments: str


class Call(Strict):
    id: str
    type: Literal["function"]
    function: Function


class Turn(Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class Named(Strict):
    name: str


class ToolChoice(Strict):
    type: Literal["function"]
    function: Named


class ToolFunction(Strict):
    name: str
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class Tool(Strict):
    type: Literal["function"]
    function: ToolFunction


class Chat(Strict):
    model_id: str
    project_id: str
    messages: list[Turn]
    n: int | UnsetType = UNSET
    stop: list[str] | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    tool_choice_option: Literal["none", "auto", "required"] | UnsetType = UNSET
    reasoning_effort: Literal["low", "medium", "high"] | UnsetType = UNSET


class EmbedParameters(Strict):
    truncate_input_tokens: int


class Embed(Strict):
    model_id: str
    project_id: str
    inputs: list[str]
    parameters: EmbedParameters | UnsetType = UNSET


class Document(Strict):
    text: str


class ReturnOptions(Strict):
    top_n: int | UnsetType = UNSET
    inputs: bool | UnsetType = UNSET


class RerankParameters(Strict):
    truncate_input_tokens: int | UnsetType = UNSET
    return_options: ReturnOptions | UnsetType = UNSET


class Rerank(Strict):
    model_id: str
    project_id: str
    query: str
    inputs: list[Document]
    parameters: RerankParameters | UnsetType = UNSET


Body = Chat | Embed | Rerank
BODIES: dict[str, type[Body]] = {"chat": Chat, "chat_stream": Chat, "embeddings": Embed, "rerank": Rerank}


class Refused(Exception):
    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


async def respond(exchange: Exchange) -> None:
    if exchange.request.path.endswith("/identity/token"):
        await token(exchange)
        return
    try:
        operation, body = checked(exchange)
    except Refused as refusal:
        exchange.json(error_object(refusal.code, str(refusal), refusal.status), refusal.status)
        return
    name, _, argument = body.model_id.partition(":")
    if name == "error":
        # The message repeats the token, which a provider should not do.
        text = f"fake failure for {exchange.request.headers['authorization']}"
        exchange.json(error_object("fake_code", text, int(argument)), int(argument))
    elif isinstance(body, Embed):
        exchange.json(embeddings(body))
    elif isinstance(body, Rerank):
        exchange.json(ranks(body))
    elif operation == "chat_stream" and name != "whole":
        await stream(exchange, body, name, argument)
    else:
        exchange.json(whole(body))


async def token(exchange: Exchange) -> None:
    request = exchange.request
    if request.method != "POST" or request.headers["content-type"] != "application/x-www-form-urlencoded":
        exchange.json({"errorCode": "BXNIM0109E", "errorMessage": "not a POST of a form"}, 400)
        return
    form = request.form()
    name, _, argument = form.get("apikey", "").partition(":")
    if form.keys() != {"grant_type", "apikey"} or form["grant_type"] != GRANT:
        exchange.json({"errorCode": "BXNIM0106E", "errorMessage": "grant_type and apikey are wanted"}, 400)
    elif name == "error":
        exchange.json({"errorCode": "BXNIM0000E", "errorMessage": f"cannot look up {form['apikey']}"}, int(argument))
    elif name == "garbage":
        exchange.json({"token": "missing"})
    elif name not in ("slow", "expires") and form["apikey"] != exchange.provider.api_key:
        text = "Provided API key could not be found."
        exchange.json({"errorCode": "BXNIM0415E", "errorMessage": text, "errorDetails": "none"}, 400)
    else:
        await asyncio.sleep(float(argument) if name == "slow" else 0)
        exchange.json(new_token(exchange, int(argument) if name == "expires" else 3600))


def new_token(exchange: Exchange, lifetime: int) -> dict[str, Any]:
    # As IBM's tokens are: its own client looks into them to see when they end.
    claims = json.dumps({"exp": int(time.time()) + lifetime, "jti": next(_numbers)}).encode()
    value = f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.fake"
    exchange.provider.tokens.add(value)
    return {
        "access_token": value,
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": lifetime,
        "expiration": 1700003600,
        "scope": "ibm openid",
    }


def checked(exchange: Exchange) -> tuple[str, Body]:
    """Return what is asked for and the body. Raise Refused."""
    request = exchange.request
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or given not in exchange.provider.tokens:
        raise Refused("authentication_token_not_valid", f"Failed to authenticate the request with {given}", 401)
    found = _PATH.fullmatch(request.path)
    if request.method != "POST" or found is None or found[1] not in BODIES:
        raise Refused("invalid_request_entity", f"there is no {request.method} {request.path}", 404)
    operation = found[1]
    accepted = "text/event-stream" if operation == "chat_stream" else "application/json"
    # IBM's own client takes whatever comes.
    if request.headers.get("content-type") != "application/json" or request.headers["accept"] not in (accepted, "*/*"):
        raise Refused("invalid_request_entity", "wrong Content-Type or Accept")
    return operation, read(request, BODIES[operation])


def read(request: Request, kind: type[Body]) -> Body:
    try:
        body = msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        raise Refused("json_validation_error", str(error)) from None
    if not isinstance(body, Chat) and not 0 < len(body.inputs) <= _MOST_INPUTS:
        raise Refused("invalid_input_argument", f"{len(body.inputs)} inputs")
    return body


def error_object(code: str, text: str, status: int) -> dict[str, Any]:
    error = {"code": code, "message": text, "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai"}
    return {"errors": [error], "trace": "00112233445566778899aabbccddeeff", "status_code": status}


def prompt(body: Chat) -> str:
    content = body.messages[-1].content
    return content if isinstance(content, str) else "".join(part.text or "" for part in content or ())


async def stream(exchange: Exchange, body: Chat, name: str, argument: str) -> None:
    exchange.start_stream()
    if name == "recorded":
        exchange.write((RECORDED / f"{argument}.stream").read_bytes())
        exchange.end()
        return
    number = itertools.count(1)
    exchange.write(chunk(next(number), {"role": "assistant", "content": ""}))
    if name == "tool":
        function = {"name": "get_capital", "arguments": '{"country": "UK"}'}
        exchange.write(
            chunk(next(number), {"tool_calls": [{"index": 0, "id": CALL_ID, "type": "function", "function": function}]})
        )
    for word in re.findall(r"\S+\s*", "" if name == "tool" else prompt(body)):
        await exchange.write_slowly(chunk(next(number), {"content": word}))
    if name == "drop":
        exchange.drop()
        return
    if name != "cut":
        exchange.write(chunk(next(number), {"content": ""}, "tool_calls" if name == "tool" else "stop"))
        exchange.write(chunk(next(number), None, usage=USAGE))
    exchange.end()


def chunk(number: int, delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "finish_reason": finish_reason, "delta": delta}]
    value = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "model": "fake", "choices": choices, **more}
    return f"id: {number}\nevent: message\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def whole(body: Chat) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": prompt(body)}
    reason = "stop"
    if body.model_id == "tool":
        function = {"name": "get_capital", "arguments": '{"country": "UK"}'}
        message = {"role": "assistant", "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}]}
        reason = "tool_calls"
    if body.model_id == "out-of-time":
        reason = "time_limit"
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {
        "id": "chatcmpl-fake",
        "model_id": body.model_id,
        "model": body.model_id,
        "choices": choices,
        "usage": USAGE,
    }


def embeddings(body: Embed) -> dict[str, Any]:
    """Each vector begins with the length of its text."""
    results = [{"embedding": [float(len(text)), 0.5, -1.0]} for text in body.inputs]
    if body.model_id == "short":
        results.pop()
    if body.model_id == "no-results":
        return {"model_id": body.model_id}
    return {"model_id": body.model_id, "results": results, "input_token_count": len(body.inputs)}


def ranks(body: Rerank) -> dict[str, Any]:
    options = body.parameters.return_options if body.parameters else UNSET
    top_n, inputs = (options.top_n, options.inputs) if options else (UNSET, UNSET)
    results: list[dict[str, Any]] = [
        {"index": place, "score": float(len(document.text))} | ({"input": {"text": document.text}} if inputs else {})
        for place, document in enumerate(body.inputs)
    ]
    results.sort(key=lambda one: -one["score"])
    if body.model_id == "odd-index":
        results[0]["index"] = len(results)
    return {"model_id": body.model_id, "results": results[: top_n or None]}
