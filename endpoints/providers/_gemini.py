"""What Gemini is asked, by Google AI Studio and by Vertex AI: a chat as `contents`, tools and a configuration.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from endpoints.providers._base import Chat, Message
from wire.errors import StatusError

Part = dict[str, Any]
_ROLES = {"user": "user", "assistant": "model", "tool": "user"}
# https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
# Gemini wants the signature of its thoughts back with a call, and OpenAI's shape of a call has no place for it but
# the id, which callers repeat as it is. It never has this character, which base64 does not know.
_SIGNATURE = "~"

TASK_TYPES = {
    "ingest": "RETRIEVAL_DOCUMENT",
    "search": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""What the vectors of an `input_type` are for, as Google calls it."""


def chat_body(chat: Chat, service: str, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body of a request; `configuration` is added to what the chat says, `service` is for messages.

    Raise StatusError for what cannot be asked.
    """
    asked = _Asked(service)
    return {
        "contents": asked.contents([message for message in chat.messages if message.role != "system"]),
        "generationConfig": _without_none({**_configuration(chat), **configuration}) or None,
        "tools": asked.tools(chat.tools) if chat.tools else None,
        "toolConfig": asked.tool_config(chat.tool_choice),
        "systemInstruction": asked.instruction([message for message in chat.messages if message.role == "system"]),
    }


def thinking(reasoning: Mapping[str, Any] | None, budget: int | None) -> dict[str, Any] | None:
    """Return the configuration of thoughts: `budget`, but for what the `reasoning` of a chat says."""
    given = reasoning or {}
    effort = given.get("effort")
    shown = bool(given) and effort != "none" and not given.get("exclude")
    tokens = _BUDGETS.get(effort, budget) if isinstance(effort, str) else budget
    return _without_none({"thinkingBudget": tokens, "includeThoughts": shown or None}) or None


def refusal_prefix(status: int, service: str) -> str | None:
    """Return how the error for `status` begins where Google's handler differs from all others."""
    if status == 503:
        return f"The {service} service may be temporarily overloaded or down"
    # 400, 401, 405, ... : only few have words of their own.
    return "Received an unsuccessful status code" if 400 <= status < 500 and status not in (403, 404, 429) else None


def signed_id(call_id: str, signature: str | None) -> str:
    """Return the id under which a call is passed on."""
    return f"{call_id}{_SIGNATURE}{signature}" if signature else call_id


class _Asked:
    """Turns the parts of a chat into those of Gemini."""

    def __init__(self, service: str) -> None:
        self._service = service

    def contents(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        contents: list[dict[str, Any]] = []
        names: dict[str, str] = {}
        last = ""
        for message in messages:
            if message.role not in _ROLES:
                raise self._unsupported("Role", message.role, "[user, assistant]")
            parts = self._result(message, names) if message.role == "tool" else [*self._said(message, names)]
            # The results of calls that were made together are wanted together.
            if message.role == last == "tool":
                contents[-1]["parts"] += parts
            elif parts:
                contents.append({"role": _ROLES[message.role], "parts": parts})
            last = message.role
        return contents

    def tools(self, tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"functionDeclarations": [self._declaration(tool) for tool in tools]}]

    def tool_config(self, choice: Any) -> dict[str, Any] | None:
        if choice in (None, "auto"):
            return None
        name = (choice.get("function") or {}).get("name") if isinstance(choice, Mapping) else None
        if name is None:
            raise self._unsupported("Tool choice", choice, "[auto] and the name of a function")
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}

    def instruction(self, messages: Sequence[Message]) -> dict[str, Any] | None:
        parts = []
        for message in messages:
            texts = self._texts(message)
            if not texts:
                raise StatusError(f"A system message must not be empty for {self._service}")
            parts += texts
        return {"parts": parts} if parts else None

    def _said(self, message: Message, names: dict[str, str]) -> Iterator[Part]:
        yield from self._texts(message)
        for call in message.tool_calls or ():
            function = call["function"]
            names[call["id"]] = function["name"]
            part: Part = {"functionCall": {"name": function["name"], "args": _arguments(function)}}
            signature = call["id"].partition(_SIGNATURE)[2]
            yield {**part, "thoughtSignature": signature} if signature else part

    def _result(self, message: Message, names: Mapping[str, str]) -> list[Part]:
        name = names.get(message.tool_call_id or "")
        if name is None:
            shown = str(message.tool_call_id)[:80]
            raise StatusError(f"No tool call before the tool message has its tool_call_id [{shown}]")
        text = "".join(part["text"] for part in self._texts(message))
        return [{"functionResponse": {"name": name, "response": _object(text) or {"result": text}}}]

    def _texts(self, message: Message) -> list[Part]:
        """Return the texts that are not empty, since Gemini refuses those."""
        content = message.content
        given = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for part in given:
            if part.get("type") != "text":
                raise self._unsupported("Type", part.get("type"), "[text]")
        return [{"text": part["text"]} for part in given if part.get("text")]

    def _declaration(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        if tool.get("type") != "function":
            raise self._unsupported("Tool type", tool.get("type"), "[function]")
        function = tool["function"]
        return _without_none({name: function.get(name) for name in ("name", "description", "parameters")})

    def _unsupported(self, what: str, value: Any, supported: str) -> StatusError:
        shown, kinds = str(value)[:80], what.lower()
        return StatusError(f"{what} [{shown}] not supported by {self._service}. Supported {kinds}s: {supported}")


def _configuration(chat: Chat) -> dict[str, Any]:
    return {
        "stopSequences": chat.stop or None,
        "temperature": chat.temperature,
        "maxOutputTokens": chat.max_completion_tokens,
        "topP": chat.top_p,
    }


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    text = function.get("arguments") or "{}"
    arguments = _object(text)
    if arguments is None:
        raise StatusError(f"The arguments of the tool call [{str(function['name'])[:80]}] are not a JSON object")
    return arguments


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
