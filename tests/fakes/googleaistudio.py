"""A fake of the Generative Language API, as Google AI Studio has it. It checks what it is sent; `tests.fakes.gemini`
says what the model chooses. Each vector begins with the length of its text; `embed-short` sends one too few.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from tests.fakes import gemini
from tests.fakes.gemini import Wire, refuse
from tests.fakes.http import Exchange

PATH = re.compile(r"/v1/models/([^/:]+):(generateContent|streamGenerateContent|batchEmbedContents)")


class Text(Wire):
    text: str


class Texts(Wire):
    parts: list[Text]


class EmbedContent(Wire):
    model: str
    content: Texts
    task_type: Literal["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "CLASSIFICATION", "CLUSTERING"] | None = None


class BatchEmbedContents(Wire):
    requests: list[EmbedContent]


async def respond(exchange: Exchange) -> None:
    request = exchange.request
    address = urlsplit(request.path)
    query = {name: values[0] for name, values in parse_qs(address.query).items()}
    # Google's own client sends the key as a header.
    key = query.pop("key", None) or request.headers.get("x-goog-api-key")
    found = PATH.fullmatch(address.path)
    if found is None or request.method != "POST":
        refuse(exchange, 404, f"{request.method} {address.path} is not known")
        return
    model, method = unquote(found[1]), found[2]
    if key != exchange.provider.api_key:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        refuse(exchange, 400, "API key not valid. Please pass a valid API key.", details=details)
    elif "authorization" in request.headers or request.headers.get("content-type") != "application/json":
        refuse(exchange, 400, "one key is enough, and the body has to be JSON")
    elif query != ({"alt": "sse"} if method == "streamGenerateContent" else {}):
        refuse(exchange, 400, f"this is not the query of {method}: {sorted(query)}")
    elif method == "batchEmbedContents":
        _embed(exchange, model)
    else:
        await gemini.generate(exchange, model, stream=method == "streamGenerateContent")


def _embed(exchange: Exchange, model: str) -> None:
    try:
        body = msgspec.json.decode(exchange.request.body, type=BatchEmbedContents)
    except msgspec.ValidationError as error:
        refuse(exchange, 400, f"Invalid JSON payload received. {error}")
        return
    if any(one.model != f"models/{model}" for one in body.requests):
        refuse(exchange, 400, "the model of each request must be that of the path")
    elif len(body.requests) > 100:
        refuse(exchange, 400, "at most 100 requests can be in one batch")
    elif model == "empty":
        exchange.json({})
    else:
        texts = [part.text for one in body.requests for part in one.content.parts]
        vectors = [{"values": [float(len(text)), 0.5, -1.0]} for text in texts]
        exchange.json({"embeddings": vectors[: -1 if model == "embed-short" else None]})
