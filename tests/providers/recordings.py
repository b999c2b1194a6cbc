"""Recorded streams of providers, played to the service they are of in reads that end where a test wants them to.

`recorded/<service>/<case>.stream` is the body as the provider sends it, `<case>.json` beside it what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from endpoints.providers import load, names
from endpoints.providers._base import Binding, Chunk, FunctionCall, ToolCall, user_message
from endpoints.providers._http import ConnectionFailed, HttpClient, PrivateHosts
from endpoints.providers._http_provider import HttpProvider
from endpoints.providers._settings import Settings, build, declared, parse
from wire.errors import ProviderError

FOLDER = Path(__file__).parent / "recorded"
_FIELD = re.compile(rb"(?:data|event|id):")
_SECRET = "secret-of-a-recording"
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True)
class Outcome:
    """What a caller gets of a stream. `end` is `complete` or `error`; only an error has a `status`, `error` is its
    reason. `usage` is prompt, completion and total tokens."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    finish_reason: str = ""
    usage: tuple[int, ...] | None = None
    end: str = "complete"
    error: str = ""
    status: int = 0

    @property
    def answer(self) -> tuple[Any, ...]:
        """What the model said, whatever it cost and however the stream ended."""
        return self.text, self.reasoning, self.tool_calls


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """What stands in a `.json` file. `error` is a part of the reason; `settings` may leave out what is not asked for
    in a stream."""

    task_type: str
    text: str
    end: str
    settings: dict[str, Any] = {}
    task_settings: dict[str, Any] = {}
    reasoning: str | None = ""
    tool_calls: list[dict[str, str]] = []
    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    error: str | None = ""
    status: int | None = None
    content_type: str = "text/event-stream"

    def outcome(self) -> Outcome:
        calls = tuple((call["id"], call["name"], call["arguments"]) for call in self.tool_calls)
        usage = None if self.usage is None else tuple(self.usage[name] for name in _USAGE)
        failed = self.end == "error"
        return Outcome(
            self.text,
            self.reasoning or "",
            calls,
            self.finish_reason or "",
            usage,
            self.end,
            (self.error or "") if failed else "",
            (self.status or 0) if failed else 0,
        )


@dataclass(frozen=True)
class Recording:
    service: str
    case: str
    body: bytes
    expected: Expected

    def __str__(self) -> str:
        return f"{self.service}/{self.case}"

    @property
    def is_event_stream(self) -> bool:
        return self.expected.content_type.startswith("text/event-stream")

    @property
    def is_complete(self) -> bool:
        return self.expected.end == "complete"

    @property
    def wire_format(self) -> str:
        """The class that reads it, its media type, the fields of its events and how its lines end."""
        provider = _provider(self)
        reader = type(provider.event_reader(provider._failures("")))
        fields = sorted({line.partition(b":")[0].decode() for line in self.body.splitlines() if _FIELD.match(line)})
        line_end = "CRLF" if b"\r\n" in self.body else "LF"
        return f"{reader.__qualname__} {self.expected.content_type} {fields} {line_end}"

    def with_line_ends(self, line_end: bytes) -> Recording:
        return replace(self, body=self.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", line_end))

    def judge(self, outcome: Outcome) -> None:
        """Fail where `outcome` is not what is expected."""
        expected = self.expected.outcome()
        assert expected.error in outcome.error, f"{self}: {outcome.error}"
        assert replace(outcome, error=expected.error) == expected, str(self)


@cache
def recordings() -> tuple[Recording, ...]:
    return tuple(map(_recording, sorted(FOLDER.glob("*/*.stream"))))


def services_that_stream() -> Iterator[str]:
    """Yield the services that read a stream of bytes; `echo` makes its own."""
    for name in names():
        provider = load(name)
        if provider.streaming_task_types and issubclass(provider, HttpProvider):
            yield name


async def played(recording: Recording, reads: Iterable[bytes], *, broken: bool = False) -> Outcome:
    """Return what a caller gets where the body comes in `reads`; `broken` means that the connection breaks then."""
    provider, chunks = _provider(recording), []
    answer = _Answer(recording.expected.content_type, reads, broken=broken)

    async def opened(content: bytes, *, stream: bool = False) -> Any:
        return answer

    vars(provider)["_open"] = opened
    try:
        async for batch in provider.stream(user_message("x")):
            chunks += batch
    except ProviderError as error:
        return replace(_said(chunks), end="error", error=error.reason, status=error.status)
    return _said(chunks)


class _Answer:
    """What a provider reads; see `endpoints.providers._http.Answer`."""

    status = 200

    def __init__(self, content_type: str, reads: Iterable[bytes], *, broken: bool) -> None:
        self.headers = {"content-type": content_type}
        self._reads = filter(None, reads)
        self._broken = broken

    async def read(self) -> bytes:
        data = next(self._reads, b"")
        if not data and self._broken:
            raise ConnectionFailed("the connection was closed before the end of the answer", repeatable=True, cut=True)
        return data

    async def read_all(self) -> bytes:
        return b"".join(self._reads)

    def finish(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def _recording(path: Path) -> Recording:
    expected = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Expected)
    return Recording(path.parent.name, path.stem, path.read_bytes(), expected)


def _provider(recording: Recording) -> HttpProvider:
    """Return the service, bound to the recording's settings; without secrets, since nothing is sent."""
    provider, expected = load(recording.service), recording.expected
    binding = Binding(
        "my-endpoint",
        expected.task_type,
        _settings(provider.service_settings, expected.task_type, expected.settings),
        _settings(provider.task_settings, expected.task_type, expected.task_settings),
        _http(),
    )
    return cast(HttpProvider, provider(binding))


@cache
def _http() -> HttpClient:
    """Nothing is sent by it, so that there is nothing to close."""
    return HttpClient(PrivateHosts.parse(""))


def _settings(declaration: type[Settings], task_type: str, given: Mapping[str, Any]) -> Settings:
    values = parse(declaration, task_type, given).values
    secrets = {one.name: _SECRET for one in declared(declaration) if one.secret and one.required}
    return build(declaration, secrets | {name: value for name, value in values.items() if value is not None})


def _said(chunks: Sequence[Chunk]) -> Outcome:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    return Outcome(
        text="".join(choice.delta.content or "" for choice in choices),
        reasoning="".join(choice.delta.reasoning or "" for choice in choices),
        tool_calls=_joined([call for choice in choices for call in choice.delta.tool_calls or ()]),
        finish_reason=next((choice.finish_reason for choice in reversed(choices) if choice.finish_reason), ""),
        usage=tuple(getattr(usages[-1], name) for name in _USAGE) if usages else None,
    )


def _joined(pieces: Sequence[ToolCall]) -> tuple[tuple[str, str, str], ...]:
    """Return the calls that the pieces make, as id, name and arguments, in the order of their index."""
    calls: dict[int, tuple[str, str, str]] = {}
    for piece in pieces:
        call_id, name, arguments = calls.get(piece.index, ("", "", ""))
        function = piece.function or FunctionCall()
        more = (call_id or piece.id or "", name + (function.name or ""), arguments + (function.arguments or ""))
        calls[piece.index] = more
    return tuple(calls[index] for index in sorted(calls))
