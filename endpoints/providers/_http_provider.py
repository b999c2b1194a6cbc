"""How every service is asked over HTTP; what differs between services is what they say about themselves.

The official `openai` client builds the requests of all of them: it knows authentication, URLs and headers. What it
built is sent as often as nothing in it changes, past the rest of the client, whose share of a request would be more
than that of everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any, ClassVar, TypeVar

import httpx2
import msgspec
import openai
from openai._models import FinalRequestOptions

from endpoints.providers._base import (
    Batch,
    Binding,
    Chat,
    Choice,
    Chunk,
    Completion,
    Delta,
    Embeddings,
    Provider,
    Ranked,
    Usage,
)
from endpoints.providers._events import EventReader
from endpoints.providers._failures import Failures, ProviderMessage
from endpoints.providers._http import Answer, ConnectionFailed
from endpoints.providers._prepared import Prepared
from endpoints.providers._progress import progress
from endpoints.providers._retries import Retries
from endpoints.providers._settings import host_of
from endpoints.providers._transport import invalid_host, without_query
from wire.errors import ProviderError

T = TypeVar("T")
Headers = Mapping[str, str | openai.Omit]
NO_AUTHORIZATION: Headers = {"Authorization": openai.Omit()}
"""For services that take their key elsewhere."""
REQUEST_URL = "request URL"
"""In the group of a rate limit, the URL that is asked, whether a setting says it or not."""

encode = msgspec.json.Encoder().encode
_host_of = lru_cache(1024)(host_of)

_PREFIXES = {
    400: "Received a bad request status code",
    401: "Received an authentication error status code",
    403: "Received a permission denied error status code",
    405: "Received a method not allowed status code",
    413: "Received a content too large status code",
    422: "Received an input validation error response",
    429: "Received a rate limit status code",
    503: "Received a server busy error status code",
}


class Refused(Exception):
    """An answer with a status that is no success. `authorization` is the header that was sent."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, authorization: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body
        self.authorization = authorization


class HttpProvider(Provider):
    """A service says where it is (`url`), who asks (`headers`, `secrets`), what is sent (`..._body`) and how answers
    are read (`read_...`, `event_reader`). Bodies are what `encode` takes; None in an object is left out."""

    embeddings_name: ClassVar[str] = ""
    """How messages call this service's embeddings, as in `OpenAI embeddings`."""
    rerank_name: ClassVar[str] = ""
    inputs_per_request: int = 2048
    """How many texts the service embeds at once."""
    retries: ClassVar[Retries] = Retries()
    error_type: ClassVar[str] = ""
    """The type of every error of a service that names none."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._client = _Client(binding.http.client)
        self._prepared: dict[bool, tuple[str, Headers, Prepared]] = {}

    def url(self, *, stream: bool = False) -> str:
        """Return the full URL of the task type."""
        raise NotImplementedError

    def address(self, public: str, part: str = "") -> str:
        """Return the address that stands for `public`: GATEWAY_SERVICE_URLS may replace it, by the service's name or,
        for what is asked elsewhere, by `<service>.<part>`."""
        name = f"{self.service()}.{part}" if part else self.service()
        return self.binding.http.service_urls.get(name, public)

    def rate_limit_value(self, name: str) -> Any:
        return self.url() if name == REQUEST_URL else super().rate_limit_value(name)

    async def headers(self) -> Headers:
        """Return what proves who asks, and what else the service wants in every request. May fetch a token."""
        raise NotImplementedError

    def secrets(self) -> Sequence[str]:
        """Return all secrets that are sent to the service, so that its messages can be cleared of them."""
        raise NotImplementedError

    def on_authentication_failure(self, authorization: str) -> None:
        """Is told the `Authorization` header that the service refused."""

    def chat_body(self, chat: Chat, *, stream: bool) -> Mapping[str, Any]:
        raise NotImplementedError

    def event_reader(self, failures: Failures) -> EventReader:
        """Return what reads one stream."""
        raise NotImplementedError

    def read_completion(self, body: bytes, failures: Failures) -> Completion:
        """Return the completion in a whole answer. Raise ProviderError."""
        raise NotImplementedError

    def embeddings_body(self, texts: Sequence[str], input_type: str | None) -> Mapping[str, Any]:
        raise NotImplementedError

    def read_embeddings(self, body: bytes, count: int, failures: Failures) -> Embeddings:
        """Return the `count` vectors in a whole answer, in the order of the inputs. Raise ProviderError."""
        raise NotImplementedError

    def truncated(self, texts: Sequence[str]) -> Sequence[str]:
        """Cut texts at `max_input_tokens`, taking three characters for a token as Elasticsearch does."""
        limit = self.settings.max_input_tokens
        return texts if limit is None else [text[: limit * 3] for text in texts]

    def rerank_body(
        self, query: str, texts: Sequence[str], top_n: int | None, return_documents: bool | None
    ) -> Mapping[str, Any]:
        raise NotImplementedError

    def read_ranked(self, body: bytes, texts: Sequence[str], failures: Failures) -> Sequence[Ranked]:
        """Return the ranked texts of a whole answer, best first. Raise ProviderError."""
        raise NotImplementedError

    def refusal_prefix(self, status: int, headers: Mapping[str, str], message: ProviderMessage) -> str:
        """Return how the error for an HTTP status that is not a success begins."""
        if status == 404:
            return f"Resource not found at [{without_query(self.url())}]"
        if 300 <= status < 400:
            return "Unhandled redirection"
        if status >= 500 and status not in _PREFIXES:
            return "Received a server error status code"
        return _PREFIXES.get(status, "Received an unsuccessful status code")

    async def complete(self, chat: Chat) -> Completion:
        failures = self._failures(self.completion_name)
        content = _content(self.chat_body(chat, stream=False))
        return self.read_completion(await self._retried(lambda: self._fetch(content), failures), failures)

    async def stream(self, chat: Chat) -> AsyncGenerator[Batch, None]:
        failures = self._failures(self.completion_name)
        content = _content(self.chat_body(chat, stream=True))
        answer = await self._retried(lambda: self._open(content, stream=True), failures)
        try:
            if (whole := await self._not_streamed(answer, failures)) is not None:
                yield [whole]
                return
            reader = self.event_reader(failures)
            while not reader.done:
                read = await answer.read()
                batch = reader.feed(read) if read else reader.end()
                if batch:
                    yield batch
                if reader.error is not None:
                    raise reader.error
            answer.finish()
        except ConnectionFailed as failure:
            raise failures.midway(failure) from None
        finally:
            await answer.aclose()

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        failures = self._failures(self.embeddings_name)
        vectors: list[Sequence[float]] = []
        tokens, kind = 0, "float"
        for start in range(0, len(texts), self.inputs_per_request):
            inputs = texts[start : start + self.inputs_per_request]
            content = _content(self.embeddings_body(inputs, input_type))
            answer = await self._retried(partial(self._fetch, content), failures)
            part = self.read_embeddings(answer, len(inputs), failures)
            if len(part.vectors) != len(inputs):
                raise failures.not_answered(
                    f"[{len(inputs)}] inputs were sent, [{len(part.vectors)}] embeddings came back"
                )
            vectors += part.vectors
            kind = part.kind
            tokens += part.usage.prompt_tokens if part.usage else 0
        return Embeddings(vectors, kind, Usage(prompt_tokens=tokens, total_tokens=tokens))

    async def rerank(
        self, query: str, texts: Sequence[str], *, top_n: int | None, return_documents: bool | None
    ) -> Sequence[Ranked]:
        failures = self._failures(self.rerank_name)
        content = _content(self.rerank_body(query, texts, top_n, return_documents))
        answer = await self._retried(lambda: self._fetch(content), failures)
        ranked = self.read_ranked(answer, texts, failures)
        if any(not 0 <= one.index < len(texts) for one in ranked):
            raise failures.not_answered("an index in the answer is not that of a document")
        return ranked

    async def _not_streamed(self, answer: Answer, failures: Failures) -> Chunk | None:
        """Return the one chunk that says all, for servers that do not stream although they were asked to."""
        kind = answer.headers.get("content-type", "")
        if "html" in kind:
            raise failures.not_answered("the answer is [text/html], not an event stream")
        if kind.partition(";")[0].strip() != "application/json":
            return None
        return whole_as_chunk(self.read_completion(await answer.read_all(), failures))

    async def _retried(self, attempt: Callable[[], Awaitable[T]], failures: Failures) -> T:
        """Return what `attempt` returns, after some more attempts where that helps. Raise ProviderError."""
        for number in count(1):
            try:
                return await attempt()
            except ConnectionFailed as failure:
                error = failures.connection(failure)
                wait = self.retries.wait(number) if failure.repeatable else None
            except Refused as refused:
                error, wait = self._refused(refused, failures, number)
            if wait is None:
                raise error
            await asyncio.sleep(wait)
            if current := progress.get():
                current.retries += 1
        raise AssertionError

    async def _open(self, content: bytes, *, stream: bool = False) -> Answer:
        """Send one request and return its answer once its head is here. Close the answer.

        Raise Refused, ConnectionFailed or ProviderError.
        """
        accept = "text/event-stream" if stream else "application/json"
        own_headers = getattr(self.tasks, "headers", None) or {}
        prepared = self._prepare(self.url(stream=stream), {**own_headers, "Accept": accept, **await self.headers()})
        if (current := progress.get()) and current.asked_at is None:
            current.asked_at = time.monotonic()
        binding = self.binding
        answer = await binding.http.post(
            prepared, content, connect_seconds=binding.connect_seconds, idle_seconds=binding.idle_seconds
        )
        if 200 <= answer.status < 300:
            return answer
        try:
            body = await answer.read_all()
        finally:
            await answer.aclose()
        raise Refused(answer.status, answer.headers, body, prepared.headers.get("Authorization", ""))

    def _prepare(self, url: str, headers: Headers) -> Prepared:
        """Return the request as the official client builds it, which it does once as long as nothing changes."""
        stream = headers["Accept"] == "text/event-stream"
        known = self._prepared.get(stream)
        if known is not None and known[0] == url and known[1] == headers:
            return known[2]
        try:
            prepared = self.binding.http.prepare(self._client.built(url, headers))
        except httpx2.InvalidURL:
            raise invalid_host(url) from None
        self._prepared[stream] = url, headers, prepared
        return prepared

    async def _fetch(self, content: bytes) -> bytes:
        """Send one request and return the whole body of its answer."""
        answer = await self._open(content)
        try:
            return await answer.read_all()
        finally:
            await answer.aclose()

    def _refused(self, refused: Refused, failures: Failures, attempt: int) -> tuple[ProviderError, float | None]:
        """Return the error for a refusal, and the seconds after which to ask again, None for never."""
        status, headers = refused.status, refused.headers
        if status == 401:
            self.on_authentication_failure(refused.authorization)
        message = failures.read_message(refused.body)
        prefix = self.refusal_prefix(status, failures.without_secrets(headers), message)
        error = failures.refused(prefix, status, message)
        return error, self.retries.wait_after(attempt, status, headers, message.code)

    def _failures(self, name: str) -> Failures:
        return Failures(name, self.inference_id, _host_of(self.url()), self._all_secrets, self.error_type)

    def _all_secrets(self) -> Sequence[str]:
        return (*self.secrets(), *(getattr(self.tasks, "headers", None) or {}).values())


class _Client(openai.AsyncOpenAI):
    """The official client without what it would take from the environment of this process, which belongs to nobody's
    endpoint, and without telling providers about the machine."""

    def __init__(self, http_client: httpx2.AsyncClient) -> None:
        super().__init__(
            # Each request brings its whole URL and who asks.
            api_key="",
            base_url="https://gateway.invalid",
            http_client=http_client,
            max_retries=0,
            timeout=None,
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
        )
        # Only told to providers; to find it out, the first request would wait for a thread.
        self._platform = "Unknown"

    def built(self, url: str, headers: Headers) -> httpx2.Request:
        """Return a request without a body. Raise httpx2.InvalidURL."""
        return self._build_request(FinalRequestOptions.construct(method="post", url=url, headers=headers))

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {"Content-Type": "application/json"}


def whole_as_chunk(completion: Completion) -> Chunk:
    """Return the one chunk that says all."""
    choices = [
        Choice(Delta(content=text, role="assistant"), completion.finish_reason, index)
        for index, text in enumerate(completion.texts)
    ]
    if choices:
        choices[0].delta.tool_calls = list(completion.tool_calls) or None
    return Chunk(completion.id, choices, completion.model, completion.usage)


def _content(body: Mapping[str, Any]) -> bytes:
    return encode({name: value for name, value in body.items() if value is not None})
