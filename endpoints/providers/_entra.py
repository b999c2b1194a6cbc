"""Access tokens of Microsoft Entra, by OAuth 2.0 client credentials.

msal makes the request and reads the answer; the request itself goes through the guarded client, to the one address
that is known beforehand. https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from endpoints.providers._tokens import ClientCredentials, Post
from wire.errors import StatusError

PUBLIC_URL = "https://login.microsoftonline.com"
# Longer than a request for a token may take, so that a thread ends even where its event loop has stopped.
_LONGEST_SECONDS = 60.0
# Not the event loop's own threads, which resolve names: were all of them waiting here, no request could be sent.
_threads = ThreadPoolExecutor(8, thread_name_prefix="msal")

_Send = Callable[[Mapping[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class EntraCredentials(ClientCredentials):
    tenant_id: str

    async def obtain(self, post: Post) -> bytes:
        loop = asyncio.get_running_loop()

        def send(form: Mapping[str, str]) -> bytes:
            return asyncio.run_coroutine_threadsafe(post(form), loop).result(_LONGEST_SECONDS)

        return await loop.run_in_executor(_threads, _obtain, self, send)


def token_path(tenant_id: str) -> str:
    return f"/{quote(tenant_id, safe='')}/oauth2/v2.0/token"


def _obtain(credentials: EntraCredentials, send: _Send) -> bytes:
    try:
        import msal  # type: ignore[import-untyped]
    except ImportError:
        text = "The azureopenai service needs msal to fetch an access token; install it with"
        raise StatusError(f'{text} pip install "inference-gateway[azure]"', status=500) from None
    authority = f"{PUBLIC_URL}/{quote(credentials.tenant_id, safe='')}"
    # A new one each time: it would remember a token that was refused meanwhile.
    application = msal.ConfidentialClientApplication(
        credentials.client_id,
        client_credential=credentials.client_secret,
        authority=authority,
        http_client=_Client(authority, send),
        instance_discovery=False,
        azure_region=msal.ClientApplication.DISABLE_MSAL_FORCE_REGION,
    )
    try:
        token = application.acquire_token_for_client(list(credentials.scopes))
    except (ValueError, TypeError, KeyError, AttributeError):
        # What an answer is not that msal expects.
        token = {}
    return msgspec.json.encode(token)


@dataclass(frozen=True, slots=True)
class _Client:
    """What msal takes for the network. No address that it is told or comes up with is asked."""

    authority: str
    send: _Send = field(repr=False)

    def get(self, url: str, **options: Any) -> _Answer:
        addresses = {
            "issuer": f"{self.authority}/v2.0",
            "authorization_endpoint": f"{self.authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.authority}/oauth2/v2.0/token",
        }
        return _Answer(msgspec.json.encode(addresses).decode())

    def post(self, url: str, *, data: Mapping[str, Any], **options: Any) -> _Answer:
        body = self.send({name: str(value) for name, value in data.items()})
        return _Answer(body.decode() if _is_object(body) else "{}")


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str = field(repr=False)
    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def _is_object(body: bytes) -> bool:
    """Whether `body` is a JSON object. msal would log any other, whatever is in it."""
    try:
        msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
