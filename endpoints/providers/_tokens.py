"""Access tokens by OAuth 2.0, kept until shortly before they end.

How a token is asked for is a matter of the credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4 here, a
signed assertion or an API key with others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import httpx2
import msgspec

from endpoints.providers._failures import read_message
from endpoints.providers._http import ConnectionFailed, HttpClient
from endpoints.providers._settings import host_of
from wire.errors import ProviderError

_FETCH_SECONDS = 30.0
# For answers that do not say how long their token lives.
_LIFETIME_SECONDS = 300.0
# A token that ends while a request is on its way is refused; a new one is fetched this much earlier.
_EARLY_SECONDS = 60.0

Post = Callable[[Mapping[str, str]], Coroutine[Any, Any, bytes]]
"""Sends a form to the token URL and returns the body of the answer. Raises ProviderError where there is none."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks for a token, and where. Equal ones share a token, so a subclass is a frozen dataclass too.

    A subclass says by `form` what is sent, or by `obtain` how, where that takes more than one step.
    """

    token_url: str

    def form(self) -> Mapping[str, str]:
        raise NotImplementedError

    def secrets(self) -> Sequence[str]:
        """Return what must not be in a message."""
        raise NotImplementedError

    async def obtain(self, post: Post) -> bytes:
        """Return the JSON object with `access_token` and `expires_in`. Raise StatusError."""
        return await post(self.form())


@dataclass(frozen=True, slots=True)
class ClientCredentials(Credentials):
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]

    def form(self) -> Mapping[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": " ".join(self.scopes),
        }

    def secrets(self) -> Sequence[str]:
        return (self.client_secret,)


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


_decode = msgspec.json.Decoder(_Answer, strict=False).decode


class Tokens:
    """The access token of one credential. Use `shared`, so that all endpoints with the same one share it."""

    def __init__(self, http: HttpClient, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials
        self._token = ""
        self._until = 0.0
        self._fetching: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """Return a token that is good for now. Raise StatusError. However many ask, one request is sent."""
        if time.monotonic() < self._until:
            return self._token
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(_take_exception)
        # Who asked first may leave; the others still want the token.
        return await asyncio.shield(self._fetching)

    def current(self) -> str:
        """Return the token fetched last, to take it out of messages; "" before the first."""
        return self._token

    def drop(self, token: str) -> None:
        """Forget `token`, since the provider refused it."""
        if token == self._token:
            self._until = 0.0

    async def _fetch(self) -> str:
        body = await self._credentials.obtain(self._post)
        try:
            answer = _decode(body)
            lifetime = _LIFETIME_SECONDS if answer.expires_in is None else float(answer.expires_in)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise self._failed("the answer has no [access_token]", 500) from None
        if not (answer.access_token and answer.access_token.isascii() and answer.access_token.isprintable()):
            raise self._failed("the [access_token] cannot be sent in a header", 500)
        self._token = answer.access_token
        self._until = time.monotonic() + lifetime - min(_EARLY_SECONDS, lifetime / 2)
        return self._token

    async def _post(self, form: Mapping[str, str]) -> bytes:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                status, body = await self._send(form)
        except TimeoutError:
            raise self._failed(f"no answer within [{_FETCH_SECONDS:g}s]", 408) from None
        except ConnectionFailed as failure:
            raise self._failed(failure.cause, failure.status) from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise self._failed("the request could not be sent", 500) from None
        if status != 200:
            raise self._refused(status, body, form)
        return body

    async def _send(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        client, headers = self._http.client, {"Accept": "application/json"}
        request = client.build_request("POST", self._credentials.token_url, data=dict(form), headers=headers)
        answer = self._http.answer(await client.send(request, stream=True))
        try:
            return answer.status, await answer.read_all()
        finally:
            await answer.aclose()

    def _refused(self, status: int, body: bytes, form: Mapping[str, str]) -> ProviderError:
        # A signed assertion is as good as a token for a while.
        message = read_message(body, (*self._credentials.secrets(), form.get("assertion", "")))
        cause = f"status [{status}]" + (f", [{message.text}]" if message.text else "")
        return self._failed(cause, status if 400 <= status < 500 else 400)

    def _failed(self, cause: str, status: int) -> ProviderError:
        host = host_of(self._credentials.token_url)
        return ProviderError(f"Failed to get an access token from [{host}]. Cause: {cause}", status=status)


_shared: WeakValueDictionary[tuple[HttpClient, Credentials], Tokens] = WeakValueDictionary()


def shared(http: HttpClient, credentials: Credentials) -> Tokens:
    """Return the tokens of `credentials`. They are forgotten with the last endpoint that holds them."""
    tokens = _shared.get((http, credentials))
    if tokens is None:
        tokens = _shared[http, credentials] = Tokens(http, credentials)
    return tokens


def _take_exception(task: asyncio.Task[str]) -> None:
    """Keep asyncio from logging a failure that nobody waited for any more."""
    if not task.cancelled():
        task.exception()
