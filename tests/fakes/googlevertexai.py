"""A fake of Vertex AI, of Google's ranking and of its token service. It checks what it is sent.

`tests.fakes.gemini` says what the model of a chat chooses. Makers of the Model Garden are told apart by the path:
`/anthropic:rawPredict` and `/openai/chat/completions`, each with `error-<status>` in it for a refusal. Vectors begin
with the length of their text; documents are ranked by theirs. The account's address chooses what becomes of a token:
`refused@...`, `slow@...`, `short@...`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from functools import cache
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fakes import gemini
from tests.fakes.gemini import Wire, refuse
from tests.fakes.http import Exchange

PROJECT = "my-project"
KEY_ID = "2bd9a1c0ffee"
MODEL = re.compile(
    r"/v1/projects/my-project/locations/([a-z0-9-]+)/publishers/google/models/([^/:]+):([a-zA-Z]+)(\?.*)?"
)
RANKING = "/v1/projects/my-project/locations/global/rankingConfigs/default_ranking_config:rank"
CLAIMS = {"iss", "sub", "aud", "iat", "exp", "scope"}


class Instance(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    task_type: Literal["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "CLASSIFICATION", "CLUSTERING"] | None = None


class Parameters(Wire):
    auto_truncate: bool | None = None
    output_dimensionality: int | None = None


class Predict(Wire):
    instances: list[Instance]
    parameters: Parameters | None = None


class Record(Wire):
    id: str
    content: str


class Rank(Wire):
    query: str
    records: list[Record]
    model: str | None = None
    top_n: int | None = None
    ignore_record_details_in_response: bool = False


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> str:
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(encoding, kind, serialization.NoEncryption())
    return text.decode()


def key_file(account: str = "gateway", **changes: Any) -> str:
    """Return the key file of a service account, as Google Cloud hands it out."""
    info = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": pem(private_key()),
        "client_email": f"{account}@my-project.iam.gserviceaccount.com",
        "client_id": "104",
        "token_uri": "https://elsewhere.example/token",
    }
    return json.dumps({**info, **changes}, indent=2)


async def respond(exchange: Exchange) -> None:
    request = exchange.request
    if request.path == "/token":
        await _token(exchange)
    elif request.headers.get("authorization", "").removeprefix("Bearer ") not in exchange.provider.tokens:
        refuse(exchange, 401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")
    elif request.method != "POST" or request.headers.get("content-type") != "application/json":
        refuse(exchange, 400, "this is no request that Google takes")
    elif request.path == RANKING:
        _rank(exchange)
    elif found := MODEL.fullmatch(request.path):
        await _model(exchange, found[1], unquote(found[2]), found[3] + (found[4] or ""))
    elif "anthropic" in request.path:
        _claude(exchange)
    elif request.path.endswith("/chat/completions"):
        _openai(exchange)
    else:
        refuse(exchange, 404, f"{request.path} is not known")


async def _model(exchange: Exchange, location: str, model: str, method: str) -> None:
    if method == "predict":
        _predict(exchange, model)
    elif location != "global":
        refuse(exchange, 400, "chats are asked for everywhere")
    elif method in ("generateContent", "streamGenerateContent?alt=sse"):
        await gemini.generate(exchange, model, stream=method.startswith("stream"))
    else:
        refuse(exchange, 404, f"{method} is not known")


async def _token(exchange: Exchange) -> None:
    form = exchange.request.form()
    problem, account = _read_assertion(form)
    if problem or account == "refused":
        description = problem or f"Invalid JWT Signature. {form.get('assertion')}"
        exchange.json({"error": "invalid_grant", "error_description": description}, 400)
        return
    await asyncio.sleep(0.1 if account == "slow" else 0)
    token = f"ya29.c.c0AY-{len(exchange.provider.tokens)}"
    exchange.provider.tokens.add(token)
    lifetime = 1 if account == "short" else 3599
    exchange.json({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})


def _read_assertion(form: dict[str, str]) -> tuple[str, str]:
    """Return what is wrong with a request for a token, and the name of the account."""
    if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" or len(form) != 2:
        return "unsupported grant", ""
    signed, _, signature = form["assertion"].rpartition(".")
    private_key().public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    head, claims = (json.loads(_decoded(part)) for part in signed.split("."))
    if head != {"alg": "RS256", "typ": "JWT", "kid": KEY_ID} or claims.keys() != CLAIMS:
        return "Invalid JWT", ""
    if claims["aud"] != "https://oauth2.googleapis.com/token" or claims["exp"] - claims["iat"] != 3600:
        return "Invalid JWT: not for this service, or not short-lived", ""
    if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" or claims["sub"] != claims["iss"]:
        return "Invalid JWT: scope or subject", ""
    return "", claims["iss"].partition("@")[0]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _predict(exchange: Exchange, model: str) -> None:
    try:
        body = msgspec.json.decode(exchange.request.body, type=Predict)
    except msgspec.ValidationError as error:
        refuse(exchange, 400, f"Invalid JSON payload received. {error}")
        return
    if model == "empty":
        exchange.json({})
        return
    length = (body.parameters and body.parameters.output_dimensionality) or 3
    vectors = [[float(len(one.content)), *([0.5] * (length - 1))] for one in body.instances]
    predictions = [
        {"embeddings": {"values": vector, "statistics": {"token_count": 2, "truncated": False}}} for vector in vectors
    ]
    exchange.json({"predictions": predictions, "metadata": {"billableCharacterCount": 11}})


def _rank(exchange: Exchange) -> None:
    try:
        body = msgspec.json.decode(exchange.request.body, type=Rank)
    except msgspec.ValidationError as error:
        refuse(exchange, 400, f"Invalid JSON payload received. {error}")
        return
    if body.model == "empty":
        exchange.json({})
        return
    best = sorted(body.records, key=lambda record: -len(record.content))[: body.top_n]
    records: list[dict[str, Any]] = [{"id": one.id, "score": round(len(one.content) / 100, 2)} for one in best]
    if not body.ignore_record_details_in_response:
        records = [{**shown, "content": one.content} for shown, one in zip(records, best, strict=True)]
    exchange.json({"records": [{**shown, "id": "no"} for shown in records] if body.model == "bad-ids" else records})


def _claude(exchange: Exchange) -> None:
    body = exchange.request.json()
    if match := re.search(r"error-(\d+)", exchange.request.path):
        kind = {"429": "rate_limit_error", "529": "overloaded_error"}.get(match[1], "invalid_request_error")
        exchange.json({"type": "error", "error": {"type": kind, "message": "fake failure"}}, int(match[1]))
        return
    text = body["messages"][-1]["content"]
    if body.get("anthropic_version") != "vertex-2023-10-16" or not body.get("max_tokens") or "model" in body:
        refuse(exchange, 400, "this is not how Claude is asked on Vertex AI")
        return
    usage = {"input_tokens": 3, "output_tokens": 2}
    message = {"id": "msg_vrtx_1", "type": "message", "role": "assistant", "model": "claude-fake", "usage": usage}
    if not body.get("stream"):
        content = [{"type": "text", "text": text}]
        exchange.json({**message, "content": content, "stop_reason": "end_turn"})
        return
    exchange.start_stream()
    for event in (
        {"type": "message_start", "message": {**message, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ):
        exchange.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    exchange.end()


def _openai(exchange: Exchange) -> None:
    body = exchange.request.json()
    if match := re.search(r"error-(\d+)", exchange.request.path):
        exchange.json({"error": {"message": "fake failure", "code": int(match[1])}}, int(match[1]))
        return
    if "max_completion_tokens" in body:
        refuse(exchange, 400, "max_completion_tokens is not known")
        return
    text = body["messages"][-1]["content"]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    if not body["stream"]:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        exchange.json({"id": "c-1", "model": "garden", "choices": [choice], "usage": usage})
        return
    exchange.start_stream()
    for delta, finish_reason in (({"role": "assistant", "content": text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        exchange.write(f"data: {json.dumps({'id': 'c-1', 'model': 'garden', 'choices': [choice]})}\n\n".encode())
    if body.get("stream_options"):
        exchange.write(f"data: {json.dumps({'id': 'c-1', 'choices': [], 'usage': usage})}\n\n".encode())
    exchange.write(b"data: [DONE]\n\n")
    exchange.end()
