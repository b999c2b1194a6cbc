"""Gemini's part of the fakes of Google AI Studio and Vertex AI: what bodies may be like, and what the model answers.

The model chooses: `error-<status>` refuses, `tool` calls the first tool that it is given, `think` thinks first,
`blocked` does not like the prompt, `safety` stops midway, `fails` and `fails-plainly` fail midway, `cut` ends early,
`drop` breaks the connection midway, `not-json` and `empty` answer nonsense. Every other model repeats the prompt.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

from tests.fakes.http import Exchange

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
OVERLOADED = "The model is overloaded. Please try again later."


class Wire(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What Google refuses to know: `Invalid JSON payload received. Unknown name ...`."""


class FunctionCall(Wire):
    name: str
    args: dict[str, Any]


class FunctionResponse(Wire):
    name: str
    response: dict[str, Any]


class Part(Wire):
    text: str | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None


class Content(Wire):
    parts: list[Part]
    role: Literal["user", "model"]


class Instruction(Wire):
    parts: list[Part]


class ThinkingConfig(Wire):
    thinking_budget: int | None = None
    include_thoughts: bool | None = None


class GenerationConfig(Wire):
    candidate_count: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    top_p: float | None = None
    thinking_config: ThinkingConfig | None = None


class FunctionDeclaration(Wire):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Wire):
    function_declarations: list[FunctionDeclaration]


class FunctionCallingConfig(Wire):
    mode: Literal["AUTO", "ANY", "NONE"]
    allowed_function_names: list[str] | None = None


class ToolConfig(Wire):
    function_calling_config: FunctionCallingConfig


class GenerateContent(Wire):
    contents: list[Content]
    generation_config: GenerationConfig | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    system_instruction: Instruction | None = None


def refuse(exchange: Exchange, status: int, message: str, **more: Any) -> None:
    error = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN"), **more}
    exchange.json({"error": error}, status)


async def generate(exchange: Exchange, model: str, *, stream: bool) -> None:
    """Answer `generateContent` and `streamGenerateContent`."""
    try:
        body = msgspec.json.decode(exchange.request.body, type=GenerateContent)
    except msgspec.ValidationError as error:
        refuse(exchange, 400, f"Invalid JSON payload received. {error}")
        return
    if problem := _problem(body):
        refuse(exchange, 400, problem)
    elif match := re.fullmatch(r"error-(\d+)", model):
        secrets = f"{exchange.request.headers.get('authorization', '')} {exchange.request.path}"
        refuse(exchange, int(match[1]), f"fake failure for {secrets}")
    elif model == "not-json":
        exchange.whole(b"<html>", "application/json")
    elif model == "empty":
        exchange.json({})
    elif stream:
        await _stream(exchange, model, body)
    else:
        exchange.json(_whole(model, body))


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value, separators=(',', ': '), ensure_ascii=False)}\r\n\r\n".encode()


def answer(parts: list[dict[str, Any]], finish_reason: str | None = None, tokens: int = 0) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    usage = {"promptTokenCount": 6, "candidatesTokenCount": tokens, "totalTokenCount": 6 + tokens}
    more = {"usageMetadata": usage, "modelVersion": "gemini-fake", "responseId": "8e97asPMLaS4qtsP7oGv4Ag"}
    return {"candidates": [candidate], **more}


def _problem(body: GenerateContent) -> str:
    for content in body.contents:
        kinds = [part for part in content.parts if part.text or part.function_call or part.function_response]
        if not content.parts or len(kinds) != len(content.parts):
            return "Unable to submit request because it must include at least one parts field"
    calls, results = _count(body, "function_call"), _count(body, "function_response")
    if results and results != calls:
        return "Please ensure that the number of function response parts is equal to the number of function call parts"
    names = {one.name for tool in body.tools or () for one in tool.function_declarations}
    if body.tool_config and not names.issuperset(body.tool_config.function_calling_config.allowed_function_names or ()):
        return "allowed_function_names should be a subset of the declared functions"
    return ""


def _count(body: GenerateContent, kind: str) -> int:
    """Return the number of parts in the last turn that has some of this kind."""
    counts = [sum(getattr(part, kind) is not None for part in content.parts) for content in body.contents]
    return next((count for count in reversed(counts) if count), 0)


def _words(body: GenerateContent) -> list[str]:
    return re.findall(r"\s*\S+", body.contents[-1].parts[-1].text or "")


def _call(body: GenerateContent) -> list[dict[str, Any]]:
    name = body.tools[0].function_declarations[0].name if body.tools else "f"
    return [{"functionCall": {"name": name, "args": {"country": "UK"}}, "thoughtSignature": "EpwICpkI+XLI2nxl/g=="}]


def _whole(model: str, body: GenerateContent) -> dict[str, Any]:
    if model == "blocked":
        return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 6}}
    if model == "tool":
        return answer(_call(body), "STOP", 10)
    if model == "safety":
        return answer([], "SAFETY")
    if model == "fails":
        return answer([], "MALFORMED_FUNCTION_CALL")
    words = _words(body)
    return answer([{"text": "".join(words)}], "STOP", len(words))


async def _stream(exchange: Exchange, model: str, body: GenerateContent) -> None:
    exchange.start(headers={"content-type": "text/event-stream", "content-disposition": "attachment"})
    if model == "blocked":
        exchange.write(event(_whole(model, body)))
        exchange.end()
        return
    if model == "think":
        exchange.write(event(answer([{"text": "Let me see.", "thought": True}])))
    words = _words(body)
    for number, word in enumerate(words, 1):
        exchange.write(event(answer([{"text": word}], tokens=number)))
    if model == "drop":
        exchange.drop()
        return
    exchange.write(_end(model, body, len(words)))
    exchange.end()


def _end(model: str, body: GenerateContent, tokens: int) -> bytes:
    error = {"error": {"code": 503, "message": OVERLOADED, "status": "UNAVAILABLE"}}
    ends = {
        "cut": b"",
        "fails": event(error),
        "fails-plainly": json.dumps(error, indent=2).encode() + b"\n",
        "tool": event(answer(_call(body), tokens=tokens)) + event(answer([{"text": ""}], "STOP", tokens)),
        "safety": event(answer([], "SAFETY", tokens)),
    }
    return ends[model] if model in ends else event(answer([{"text": ""}], "STOP", tokens))
