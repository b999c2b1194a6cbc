"""How a gateway is spoken to: Elasticsearch's inference API, or OpenAI's chat completions."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from conformance.client import Request, Seen, ask_json
from conformance.events import Event, Kind, Told, events
from conformance.provider.fault import Fault

_PUTS = 5
"""How often an endpoint is put, where the gateway says that it has too much to do."""
_NO_LIMIT = {"requests_per_minute": 1_000_000}


class Refused(Exception):
    """The gateway did not do what has to be done before the first fault."""


@dataclass(frozen=True)
class Dialect(ABC):
    """`provider_url` is where the gateway reaches the provider, `provider_key` what it has to prove itself with.

    `first_delta_seconds` is asked for in each request, where the dialect can say so.
    """

    base_url: str
    api_key: str
    provider_url: str
    provider_key: str
    model: str = "{wire}/{fault}"
    first_delta_seconds: float | None = None

    name: ClassVar[str]

    @abstractmethod
    async def prepare(self, fault: Fault, wire: str) -> None:
        """Do what has to be done before the fault is asked for. Raise Refused."""

    @abstractmethod
    async def clean_up(self, fault: Fault, wire: str) -> None:
        """Undo it."""

    @abstractmethod
    def request(self, fault: Fault, wire: str, prompt: str) -> Request:
        """Return the request that meets the fault."""

    @abstractmethod
    def read_event(self, event: Event) -> Sequence[tuple[Kind, Any]]:
        """Return what an event says."""

    @abstractmethod
    def read_whole(self, value: Any) -> str:
        """Return the text of an answer that is not streamed. Raise LookupError or TypeError where it has none."""

    def read(self, seen: Seen, *, streamed: bool) -> Told:
        """Return what the client was told."""
        told = Told()
        if seen.status >= 300 or (seen.status and not streamed):
            self._take_whole(seen, told)
            return told
        for event in events(seen.reads):
            if event.name == ":":
                told.comments += 1
                continue
            if event.name == "?":
                told.strange.append(f"an unfinished event: {event.data[:60]!r}")
                continue
            for kind, value in self.read_event(event):
                told.take(event.at, kind, value)
        return told

    def _take_whole(self, seen: Seen, told: Told) -> None:
        """Take an answer that is no stream; a refusal may be JSON or one event."""
        if not seen.reads:
            told.strange.append("an empty body")
            return
        at, body = seen.reads[-1][0], seen.body
        found = list(events(seen.reads))
        if body.lstrip()[:1] != b"{" and len(found) == 1 and found[0].name != "?":
            body = found[0].data
        value = _json(body)
        if seen.status >= 300:
            error = value.get("error", value.get("detail")) if isinstance(value, dict) else None
            told.take(at, "error" if error else "strange", error or f"no error object: {body[:60]!r}")
            return
        try:
            told.take(at, "delta", self.read_whole(value))
        except (LookupError, TypeError):
            told.strange.append(f"no completion: {body[:60]!r}")
        else:
            told.take(at, "done", None)


class Elasticsearch(Dialect):
    """An endpoint for each fault, whose model is the fault."""

    name = "elasticsearch"

    async def prepare(self, fault: Fault, wire: str) -> None:
        path = "/v1/messages" if wire == "anthropic" else "/v1/chat/completions"
        settings = {"api_key": self.provider_key, "model_id": fault.name, "url": f"{self.provider_url}{path}"}
        body: dict[str, Any] = {"service": wire, "service_settings": {**settings, "rate_limit": _NO_LIMIT}}
        if wire == "anthropic":
            body["task_settings"] = {"max_tokens": 1000}
        request = Request("PUT", self._path(fault, wire), self._headers, body)
        for _ in range(_PUTS):
            status, answer = await ask_json(self.base_url, request)
            if status == 400 and "already_exists" in json.dumps(answer):
                # Left by a run that was interrupted.
                await self.clean_up(fault, wire)
            elif status != 503:
                break
        if status != 200:
            words = f"status {status}, {json.dumps(answer)[:500]}" if status else "no answer"
            raise Refused(f"PUT {self.base_url}{request.path}: {words}")

    async def clean_up(self, fault: Fault, wire: str) -> None:
        await ask_json(self.base_url, Request("DELETE", f"{self._path(fault, wire)}?force=true", self._headers))

    def request(self, fault: Fault, wire: str, prompt: str) -> Request:
        path = self._path(fault, wire) + ("/_stream" if fault.streamed else "")
        if self.first_delta_seconds is not None:
            path += f"?timeout={int(self.first_delta_seconds * 1000)}ms"
        return Request("POST", path, self._headers, {"input": prompt})

    def read_event(self, event: Event) -> Sequence[tuple[Kind, Any]]:
        if event.data == b"[DONE]":
            return [("done", None)]
        value = _json(event.data)
        if event.name == "error":
            return [("error", value["error"])] if _has(value, "error") else [("strange", f"an error {event.data!r}")]
        parts = value.get("completion") if isinstance(value, dict) else None
        if not isinstance(parts, list) or not all(_has(part, "delta") for part in parts):
            return [("strange", f"an event {event.name} {event.data[:60]!r}")]
        return [("delta", part["delta"]) for part in parts]

    def read_whole(self, value: Any) -> str:
        return "".join(part["result"] for part in value["completion"])

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"ApiKey {self.api_key}"} if self.api_key else {}

    @staticmethod
    def _path(fault: Fault, wire: str) -> str:
        return f"/_inference/completion/conformance-{wire}-{fault.name.replace('.', '_')}"


class OpenAI(Dialect):
    """The model of a request chooses the fault; the gateway knows already which models are whose."""

    name = "openai"

    async def prepare(self, fault: Fault, wire: str) -> None:
        """There is nothing to do."""

    async def clean_up(self, fault: Fault, wire: str) -> None:
        """There is nothing to undo."""

    def request(self, fault: Fault, wire: str, prompt: str) -> Request:
        body = {
            "model": self.model.format(wire=wire, fault=fault.name),
            "messages": [{"role": "user", "content": prompt}],
            "stream": fault.streamed,
        }
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return Request("POST", "/v1/chat/completions", headers, body)

    def read_event(self, event: Event) -> Sequence[tuple[Kind, Any]]:
        if event.data == b"[DONE]":
            return [("done", None)]
        value = _json(event.data)
        if _has(value, "error"):
            return [("error", value["error"])]
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list):
            return [("strange", f"an event {event.name} {event.data[:60]!r}")]
        deltas = [choice.get("delta") or {} for choice in choices if isinstance(choice, dict)]
        return [("delta", delta["content"]) for delta in deltas if delta.get("content")] or [("other", None)]

    def read_whole(self, value: Any) -> str:
        return str(value["choices"][0]["message"]["content"])


DIALECTS: Mapping[str, type[Dialect]] = {dialect.name: dialect for dialect in (Elasticsearch, OpenAI)}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and value.get(key) is not None
