"""What every service is: its declaration as class attributes, and five things it can be asked.

The interface is chat-shaped: messages go in, batches of chunks come out; a completion is a chat of one user message.
Nothing here knows Django, a database row or HTTP.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from endpoints.providers._settings import Settings, build, declared, parse
from endpoints.providers._values import java_text
from wire.errors import SettingsInvalid, StatusError

if TYPE_CHECKING:
    from endpoints.providers._http import HttpClient

TASK_TYPES = ("text_embedding", "sparse_embedding", "rerank", "completion", "chat_completion", "embedding")
VALIDATION_INPUT = "how big"


class FunctionCall(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """One piece of a tool call while streaming (pieces of one `index` belong together), a whole one otherwise."""

    index: int = 0
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    role: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct, gc=False):
    delta: Delta
    finish_reason: str | None = None
    index: int = 0


class Usage(msgspec.Struct, gc=False):
    """Tokens as the provider counted them; `prompt_tokens` contains `cached_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Chunk(msgspec.Struct, gc=False):
    """One piece of an answer, in the shape of OpenAI's `chat.completion.chunk`. The last usage seen counts."""

    id: str = ""
    choices: list[Choice] = []
    model: str = ""
    usage: Usage | None = None


Batch = list[Chunk]
"""The chunks that arrived in one network read. May be empty, when a read brought nothing to pass on."""


# Neither is frozen: that would make them several times dearer, and there is one for each request.
@dataclass(slots=True)
class Message:
    """`content` is text or a list of content parts; `tool_calls` are whole ones, as they came in."""

    role: str
    content: Any = field(default=None, repr=False)
    tool_call_id: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)


def content_text(content: Any) -> str | None:
    """Return the text of a message's content: the text itself, or the text parts of a list of parts, joined."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(text for text in texts if isinstance(text, str))


@dataclass(slots=True)
class Chat:
    messages: Sequence[Message]
    model: str | None = None
    max_completion_tokens: int | None = None
    stop: Sequence[str] | None = field(default=None, repr=False)
    temperature: float | None = None
    top_p: float | None = None
    tool_choice: Any = None
    tools: Sequence[Mapping[str, Any]] | None = None
    reasoning: Mapping[str, Any] | None = None


def user_message(text: str) -> Chat:
    """Return the chat that the `completion` task type means."""
    return Chat((Message("user", text),))


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer that was not streamed; `texts` has one text for each choice."""

    texts: Sequence[str]
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    id: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each input, in its order. `kind` is `float`, `byte` (-128..127) or `bit` (8 to a number)."""

    vectors: Sequence[Sequence[float]]
    kind: str = "float"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    index: int
    relevance_score: float
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """Everything a provider works with: plain values, already decrypted. `http` is shared by all providers.

    `connect_seconds` and `idle_seconds` are the endpoint's own; None stands for those of `http`.
    """

    inference_id: str
    task_type: str
    settings: Any
    task_settings: Any
    http: HttpClient = field(repr=False)
    connect_seconds: float | None = None
    idle_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Endpoints with the same `group` share what it allows, whatever each of them has for `requests_per_minute`.

    The group is the same in every process. It is a hash, so that the secrets in it are in no `repr`; who can guess
    a secret could still confirm it, so it leaves the process only keyed.
    """

    requests_per_minute: int
    group: str


class NoTaskSettings(Settings):
    """For services without task settings."""

    scope = "task_settings"


class Provider:
    """One service, bound to the settings of one endpoint.

    A subclass is called `Provider` too and stands in the file with the name of the service. What differs between
    services is class attributes; a method is overridden where the wire differs. Every method may raise ProviderError.
    """

    label: ClassVar[str]
    description: ClassVar[str]
    task_types: ClassVar[tuple[str, ...]]
    streaming_task_types: ClassVar[tuple[str, ...]] = ()
    service_settings: ClassVar[type[Settings]]
    task_settings: ClassVar[type[Settings]] = NoTaskSettings
    completion_name: ClassVar[str] = ""
    """How messages call this service's completions, as in `OpenAI chat completions`."""
    needs_validation: ClassVar[bool] = True
    """Whether creating an endpoint asks the provider something first."""
    alias_of: ClassVar[str] = ""
    """The service as which endpoints of this one are stored and shown; it is not listed itself."""
    largest_chunk: ClassVar[int | None] = None
    """The most that `max_chunk_size` may be, where the models set a limit."""
    rate_limit_group: ClassVar[tuple[str, ...]] = ()
    """The settings in which endpoints of a service agree that share a rate limit; without any, each has its own."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.inference_id = binding.inference_id
        self.task_type = binding.task_type
        self.settings: Any = binding.settings
        self.tasks: Any = binding.task_settings

    @classmethod
    def service(cls) -> str:
        """Return the name of the service: that of its file."""
        return cls.__module__.rpartition(".")[2]

    @cached_property
    def rate_limit(self) -> RateLimit | None:
        """How often the provider may be asked; None where nothing limits it."""
        limit = getattr(self.settings, "requests_per_minute", None)
        if limit is None:
            return None
        values = [self.rate_limit_value(name) for name in self.rate_limit_group] or [self.inference_id]
        # Of strings, tuples of them and None, `repr` writes no two alike, and takes what UTF-8 has no bytes for.
        return RateLimit(limit, hashlib.sha256(repr((self.service(), *values)).encode()).hexdigest())

    def rate_limit_value(self, name: str) -> Any:
        """Return what stands for `name` in the group of the rate limit."""
        return getattr(self.settings, name)

    @classmethod
    def migrate(
        cls, service_settings: dict[str, Any], task_settings: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the sections of a request with settings moved that older versions of the API had elsewhere."""
        return service_settings, task_settings

    @classmethod
    def check_id(cls, inference_id: str, service_values: Mapping[str, Any]) -> None:
        """Raise StatusError where a new endpoint with these settings must not be called `inference_id`."""

    def with_task_settings(self, given: Mapping[str, Any]) -> Provider:
        """Return this provider with `given` over the stored task settings, for one request.

        Raise SettingsInvalid or StatusError that name what is wrong.
        """
        if not given:
            return self
        parsed = parse(self.task_settings, self.task_type, given, creating=False)
        if parsed.problems:
            raise SettingsInvalid(*(problem.text for problem in parsed.problems))
        if parsed.unknown:
            raise unknown_settings(parsed.unknown, self.service())
        values = {one.name: getattr(self.tasks, one.name) for one in declared(self.task_settings)}
        values |= {name: value for name, value in parsed.values.items() if value is not None}
        problems = [problem.text for problem in self.task_settings.check(values, self.task_type)]
        if problems:
            raise SettingsInvalid(*problems)
        # What the original knows, all copies know.
        self.rate_limit  # noqa: B018
        other = copy.copy(self)
        other.tasks = build(self.task_settings, values)
        other.binding = replace(self.binding, task_settings=other.tasks)
        return other

    async def complete(self, chat: Chat) -> Completion:
        raise NotImplementedError

    def stream(self, chat: Chat) -> AsyncGenerator[Batch, None]:
        """Yield the answer as it comes. The caller closes the generator, which closes the connection.

        Ends only where the provider said that its answer is complete; a cut raises ProviderError.
        """
        raise NotImplementedError

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        raise NotImplementedError

    async def embed_sparse(self, texts: Sequence[str]) -> Sequence[Mapping[str, float]]:
        """Return, for each text, the weights of its tokens."""
        raise NotImplementedError

    async def rerank(
        self, query: str, texts: Sequence[str], *, top_n: int | None, return_documents: bool | None
    ) -> Sequence[Ranked]:
        raise NotImplementedError


def unknown_settings(unknown: Mapping[str, Any], service: str) -> StatusError:
    return StatusError(f"Configuration contains settings [{java_text(unknown)}] unknown to the [{service}] service")
