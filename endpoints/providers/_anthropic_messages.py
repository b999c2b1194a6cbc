"""A chat in the words of Anthropic's Messages API: https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from endpoints.providers._base import Chat, Message, content_text
from wire.errors import StatusError

_INSTRUCTIONS = ("system", "developer")
_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
# How much of all tokens thoughts may take, by effort.
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
# Anthropic takes no smaller budget, and wants it to be smaller than `max_tokens`.
_SMALLEST_BUDGET = 1024


def messages_body(chat: Chat, max_tokens: int) -> dict[str, Any]:
    """Return the fields of `chat`, None for absent ones, but for the model and `stream`. Raise StatusError."""
    return {
        "messages": list(_turns(chat.messages)),
        "system": _system(chat.messages),
        "max_tokens": max_tokens,
        "stop_sequences": chat.stop or None,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "tools": [_tool(tool) for tool in chat.tools] if chat.tools else None,
        "tool_choice": None if chat.tool_choice is None else _tool_choice(chat.tool_choice),
        "thinking": None if chat.reasoning is None else _thinking(chat.reasoning, max_tokens),
    }


def _system(messages: Sequence[Message]) -> str | None:
    """Instructions are no turn of the conversation; wherever they stand, they go to the top."""
    texts = (content_text(message.content) for message in messages if message.role in _INSTRUCTIONS)
    return "\n\n".join(filter(None, texts)) or None


def _turns(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    spoken = (message for message in messages if message.role not in _INSTRUCTIONS)
    for role, group in groupby(spoken, key=attrgetter("role")):
        if role == "tool":
            # All results of one turn have to be in one message.
            yield {"role": "user", "content": [_tool_result(message) for message in group]}
        else:
            yield from map(_turn, group)


def _turn(message: Message) -> dict[str, Any]:
    if message.role not in ("user", "assistant"):
        raise _unsupported(f"the role [{message.role[:80]}], only [assistant, system, tool, user]")
    content = _content(message.content)
    if message.tool_calls:
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        spoken = [block for block in blocks if block.get("text") != ""]
        content = [*spoken, *map(_tool_use, message.tool_calls)]
    return {"role": message.role, "content": content}


def _content(content: Any) -> str | list[dict[str, Any]]:
    return [_part(part) for part in content] if isinstance(content, list) else content or ""


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    make = _PARTS.get(part.get("type"))
    if make is None:
        raise _unsupported(f"content of type [{str(part.get('type'))[:80]}]")
    return make(part)


def _file(part: Mapping[str, Any]) -> dict[str, Any]:
    file = part["file"]
    title = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": _source(file["file_data"]), **title}


def _source(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    return {"type": "base64", "media_type": head.partition(";")[0], "data": data}


_PARTS: Mapping[Any, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "text": lambda part: {"type": "text", "text": part["text"]},
    "image_url": lambda part: {"type": "image", "source": _source(part["image_url"]["url"])},
    "file": _file,
}


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        value = msgspec.json.decode(function.get("arguments") or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        raise StatusError(f"The arguments of the tool call [{str(call['id'])[:80]}] are not a JSON object") from None
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": value}


def _tool_result(message: Message) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": _content(message.content)}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise _unsupported(f"tools of type [{str(tool.get('type'))[:80]}]")
    function = tool["function"]
    fields = {
        "name": function["name"],
        "description": function.get("description"),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        "strict": function.get("strict") or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_choice(choice: Any) -> dict[str, Any]:
    kind = choice if isinstance(choice, str) else choice.get("type")
    if kind in ("function", "tool") and not isinstance(choice, str):
        return {"type": "tool", "name": choice["function"]["name"]}
    if kind not in _TOOL_CHOICES:
        raise _unsupported(f"the tool choice [{str(kind)[:80]}], only [auto, none, required] and functions")
    return {"type": _TOOL_CHOICES[kind]}


def _thinking(reasoning: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    effort = reasoning.get("effort") or "medium"
    if effort == "none" or reasoning.get("enabled") is False:
        return {"type": "disabled"}
    if effort not in _SHARES:
        raise _unsupported(f"the reasoning effort [{str(effort)[:80]}]")
    budget = max(_SMALLEST_BUDGET, int(max_tokens * _SHARES[effort]))
    if budget >= max_tokens:
        raise _unsupported(
            f"reasoning where the answer has [{max_tokens}] tokens, [{_SMALLEST_BUDGET}] and more go to it"
        )
    thinking = {"type": "enabled", "budget_tokens": budget}
    return thinking | {"display": "omitted"} if reasoning.get("exclude") else thinking


def _unsupported(what: str) -> StatusError:
    return StatusError(f"Anthropic chat completion does not support {what}")
