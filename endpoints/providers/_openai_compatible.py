"""What all services share that speak OpenAI's API: how they are asked, how their answers and refusals are read.

The official client is the pipeline: it knows authentication, URLs and headers. It is given bytes and hands over the
response unread, since building its typed objects would cost more than everything else together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, ClassVar, TypeVar

import httpx2
import msgspec
import openai

from endpoints.providers._base import Batch, Binding, Chat, Completion, Embeddings, Message, Provider, Usage
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http import Answer, ConnectionFailed
from endpoints.providers._openai_chunks import ChunkReader, read_completion, read_embeddings, whole_as_chunk
from endpoints.providers._retries import Retries
from endpoints.providers._settings import host_of
from endpoints.providers._transport import invalid_host, without_query
from wire.errors import ProviderError, StatusError

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_PREFIXES = {
    400: "Received a bad request status code",
    401: "Received an authentication error status code",
    403: "Received a permission denied error status code",
    405: "Received a method not allowed status code",
    413: "Received a content too large status code",
    422: "Received an input validation error response",
    503: "Received a server busy error status code",
}


class OpenAICompatible(Provider):
    """A service of the family says where it is (`url`) and who asks (`api_key`, `secrets`)."""

    embeddings_name: ClassVar[str]
    """How messages call this service's embeddings, as in `OpenAI embeddings`."""
    inputs_per_request: ClassVar[int] = 2048
    """How many texts the service embeds at once."""
    retries: ClassVar[Retries] = Retries()

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._url = self.url()
        self._client = _Client(
            api_key=self.api_key(),
            organization=self.organization() or "",
            http_client=binding.http.client,
        )

    def url(self) -> str:
        """Return the full URL of the task type."""
        raise NotImplementedError

    def api_key(self) -> str | Callable[[], Awaitable[str]]:
        """Return the key, or a function that is called for one before each request."""
        raise NotImplementedError

    def organization(self) -> str | None:
        return None

    def secrets(self) -> Sequence[str]:
        """Return all secrets that are sent to the service, so that its messages can be cleared of them."""
        raise NotImplementedError

    def on_authentication_failure(self, authorization: str) -> None:
        """Is told the `Authorization` header that the service refused."""

    async def complete(self, chat: Chat) -> Completion:
        failures = self._failures(self.completion_name)
        content = self._chat_body(chat, stream=False)
        return read_completion(await self._retried(lambda: self._fetch(content), failures), failures)

    async def stream(self, chat: Chat) -> AsyncGenerator[Batch, None]:
        failures = self._failures(self.completion_name)
        content = self._chat_body(chat, stream=True)
        answer = await self._retried(lambda: self._open(content, stream=True), failures)
        try:
            kind = answer.headers.get("content-type", "")
            if "json" in kind:
                yield [whole_as_chunk(read_completion(await answer.read_all(), failures))]
                return
            if "html" in kind:
                raise failures.not_answered(f"the answer is [{kind[:80]}], not an event stream")
            reader = ChunkReader(failures, error_status=500 if self.task_type == "chat_completion" else 400)
            while not reader.done:
                read = await answer.read()
                batch = reader.feed(read) if read else reader.end()
                if batch:
                    yield batch
                if reader.error is not None:
                    raise reader.error
            await answer.finish()
        except ConnectionFailed as failure:
            raise failures.cut_off(failure.cause, status=failure.status) from None
        finally:
            await answer.aclose()

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        failures = self._failures(self.embeddings_name)
        vectors: list[Sequence[float]] = []
        tokens = 0
        for start in range(0, len(texts), self.inputs_per_request):
            inputs = texts[start : start + self.inputs_per_request]
            content = self._embeddings_body(inputs)
            answer = await self._retried(partial(self._fetch, content), failures)
            part = read_embeddings(answer, len(inputs), failures)
            vectors += part.vectors
            tokens += part.usage.prompt_tokens if part.usage else 0
        return Embeddings(vectors, usage=Usage(prompt_tokens=tokens, total_tokens=tokens))

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        """Return how the error for an HTTP status that is not a success begins."""
        if status == 429:
            return _rate_limit_prefix(headers)
        if status == 404:
            return f"Resource not found at [{without_query(self._url)}]"
        if status == 400 and _is_too_large(message):
            return _PREFIXES[413]
        if 300 <= status < 400:
            return "Unhandled redirection"
        if status >= 500 and status not in _PREFIXES:
            return "Received a server error status code"
        return _PREFIXES.get(status, "Received an unsuccessful status code")

    def _chat_body(self, chat: Chat, *, stream: bool) -> bytes:
        body = {
            "messages": [_message(message) for message in chat.messages],
            "stop": chat.stop or None,
            "temperature": chat.temperature,
            "tool_choice": chat.tool_choice,
            "tools": chat.tools or None,
            "top_p": chat.top_p,
            "max_completion_tokens": chat.max_completion_tokens,
            "model": chat.model or self.settings.model_id,
            "n": 1,
            "stream": stream,
            "stream_options": {"include_usage": True} if stream else None,
            "user": self.tasks.user,
            "reasoning_effort": self._reasoning_effort(chat.reasoning),
        }
        return _encode({name: value for name, value in body.items() if value is not None})

    def _embeddings_body(self, texts: Sequence[str]) -> bytes:
        body = {
            "input": self._truncated(texts),
            "model": self.settings.model_id,
            "user": self.tasks.user,
            "dimensions": self.settings.dimensions,
        }
        return _encode({name: value for name, value in body.items() if value is not None})

    def _truncated(self, texts: Sequence[str]) -> Sequence[str]:
        """Cut texts at `max_input_tokens`, taking three characters for a token as Elasticsearch does."""
        limit = self.settings.max_input_tokens
        return texts if limit is None else [text[: limit * 3] for text in texts]

    def _reasoning_effort(self, reasoning: Mapping[str, Any] | None) -> Any:
        if reasoning is None:
            return None
        effort = reasoning.get("effort")
        if effort is None:
            raise StatusError(f"{self.label} chat completion requires [reasoning.effort] to map to [reasoning_effort]")
        return effort

    async def _retried(self, attempt: Callable[[], Awaitable[T]], failures: Failures) -> T:
        """Return what `attempt` returns, after some more attempts where that helps. Raise ProviderError."""
        for number in count(1):
            try:
                return await attempt()
            except ConnectionFailed as failure:
                error = failures.connection(failure)
                wait = self.retries.wait(number) if failure.repeatable else None
            except openai.APIStatusError as refusal:
                error, wait = self._refused(refusal.response, failures, number)
            if wait is None:
                raise error
            await asyncio.sleep(wait)
        raise AssertionError

    async def _open(self, content: bytes, *, stream: bool = False) -> Answer:
        """Send one request and return its answer once its head is here. Close the answer.

        Raise openai.APIStatusError, ConnectionFailed or ProviderError.
        """
        headers = {**(self.tasks.headers or {}), "Accept": "text/event-stream" if stream else "application/json"}
        try:
            response = await self._client.post(
                self._url, cast_to=httpx2.Response, content=content, stream=True, options={"headers": headers}
            )
        except httpx2.InvalidURL:
            raise invalid_host(self._url) from None
        except (openai.APIConnectionError, httpx2.HTTPError):
            raise ConnectionFailed("the connection failed", repeatable=True) from None
        return self.binding.http.answer(response)

    async def _fetch(self, content: bytes) -> bytes:
        """Send one request and return the whole body of its answer."""
        answer = await self._open(content)
        try:
            return await answer.read_all()
        finally:
            await answer.aclose()

    def _refused(
        self, response: httpx2.Response, failures: Failures, attempt: int
    ) -> tuple[ProviderError, float | None]:
        """Return the error for a refusal, and the seconds after which to ask again, None for never."""
        status, headers = response.status_code, response.headers
        if status == 401:
            self.on_authentication_failure(response.request.headers.get("Authorization", ""))
        message = failures.read_message(response.content)
        error = failures.refused(self.refusal_prefix(status, headers, message), status, message)
        return error, self.retries.wait_after(attempt, status, headers, message.code)

    def _failures(self, name: str) -> Failures:
        return Failures(name, self.inference_id, host_of(self._url), self._all_secrets)

    def _all_secrets(self) -> Sequence[str]:
        return (*self.secrets(), *(self.tasks.headers or {}).values())


class _Client(openai.AsyncOpenAI):
    """The official client without what it would take from the environment of this process, which belongs to nobody's
    endpoint, and without telling providers about the machine."""

    def __init__(
        self,
        *,
        api_key: str | Callable[[], Awaitable[str]],
        organization: str,
        http_client: httpx2.AsyncClient,
    ) -> None:
        super().__init__(
            api_key=api_key,
            organization=organization,
            # Each request brings its whole URL.
            base_url="https://gateway.invalid",
            http_client=http_client,
            max_retries=0,
            timeout=None,
            admin_api_key="",
            project="",
            webhook_secret="",
        )
        # Only told to providers; to find it out, the first request would wait for a thread.
        self._platform = "Unknown"

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        headers: dict[str, str | openai.Omit] = {"Content-Type": "application/json"}
        return {**headers, "OpenAI-Organization": self.organization} if self.organization else headers


def _message(message: Message) -> dict[str, Any]:
    fields = {
        "content": message.content,
        "role": message.role,
        "tool_call_id": message.tool_call_id,
        "tool_calls": message.tool_calls,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _rate_limit_prefix(headers: Mapping[str, str]) -> str:
    token_limit, tokens, request_limit, requests = (
        headers.get(f"x-ratelimit-{name}", "unknown")[:50]
        for name in ("limit-tokens", "remaining-tokens", "limit-requests", "remaining-requests")
    )
    return (
        f"Received a rate limit status code. Token limit [{token_limit}], remaining tokens [{tokens}]. "
        f"Request limit [{request_limit}], remaining requests [{requests}]"
    )


def _is_too_large(message: ProviderMessage) -> bool:
    return message.code == "context_length_exceeded" or any(
        sign in message.text for sign in ("Please reduce your prompt; or completion length.", "maximum context length")
    )
