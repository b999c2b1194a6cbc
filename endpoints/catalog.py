"""From a row to a provider that is ready to be asked; the one place that decrypts secrets.

Warm, finding an endpoint is one dictionary look-up.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from access.cache import MISSING, VersionedCache
from endpoints.encryption import SecretUnreadable, decrypt
from endpoints.models import Endpoint
from endpoints.providers import load
from endpoints.providers._base import Binding, Provider
from endpoints.providers._http import HttpClient
from endpoints.providers._settings import build, parse
from wire.errors import StatusError


@dataclass(frozen=True, slots=True)
class Entry:
    """What the path of a request needs of an endpoint. `fault` says why it cannot be used, if it cannot."""

    inference_id: str
    task_type: str
    service: str
    provider: Provider | None
    fault: str = ""

    def ready(self) -> Provider:
        """Return the provider. Raise StatusError where the endpoint cannot be used as it is stored."""
        if self.provider is None:
            raise StatusError(self.fault, status=500 if "secret" in self.fault else 400)
        return self.provider


_entries: VersionedCache[Entry | None] = VersionedCache(10_000)
# A client belongs to the event loop that first used it; a server has one loop, tests and commands have others.
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, HttpClient] = weakref.WeakKeyDictionary()


async def get(inference_id: str) -> Entry | None:
    """Return the endpoint, None where there is none of that id."""
    entry = _entries.peek(inference_id)
    if entry is not MISSING:
        return entry
    http = http_client()
    return await _entries.get(inference_id, lambda: _load(inference_id, http))


def http_client() -> HttpClient:
    """Return the client that all providers of the running event loop share."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = _clients[loop] = new_http_client()
    return client


def new_http_client() -> HttpClient:
    """Return a client of one's own, which has to be closed."""
    environment = settings.ENVIRONMENT
    return HttpClient(
        environment.private_hosts,
        connect_seconds=environment.connect_seconds,
        idle_seconds=environment.idle_seconds,
        ca_bundle=str(environment.ca_bundle) if environment.ca_bundle else None,
    )


async def close() -> None:
    """Close the running loop's client, and with it the connections to providers."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def bind(endpoint: Endpoint, secrets: Mapping[str, Any], http: HttpClient) -> Provider:
    """Return the provider of `endpoint` with `secrets`, which are decrypted values by their names."""
    provider = load(endpoint.service)
    task_type = endpoint.task_type
    service = parse(provider.service_settings, task_type, endpoint.service_settings).values
    task = parse(provider.task_settings, task_type, endpoint.task_settings).values
    binding = Binding(
        inference_id=endpoint.inference_id,
        task_type=task_type,
        settings=build(provider.service_settings, service | secrets),
        task_settings=build(provider.task_settings, task | secrets),
        http=http,
    )
    return provider(binding)


def decrypted(endpoint: Endpoint) -> dict[str, Any]:
    """Return the secrets of `endpoint` by name. Raise SecretUnreadable."""
    hosts = destinations(endpoint)
    return {
        secret.name: decrypt(secret.ciphertext, endpoint=endpoint.id, name=secret.name, host=hosts.get(secret.name, ""))
        for secret in endpoint.secrets.all()
    }


def destinations(endpoint: Endpoint) -> dict[str, str]:
    """Return, for each secret of the endpoint's service, the host and port that it would be sent to."""
    provider = load(endpoint.service)
    values = parse(provider.service_settings, endpoint.task_type, endpoint.service_settings).values
    return dict(provider.service_settings.destinations(values, endpoint.task_type))


def _load(inference_id: str, http: HttpClient) -> Entry | None:
    endpoint = Endpoint.objects.filter(inference_id=inference_id).first()
    if endpoint is None:
        return None
    provider, fault = None, ""
    try:
        provider = bind(endpoint, decrypted(endpoint), http)
    except KeyError:
        fault = f"Unknown service [{endpoint.service}] for model [{inference_id}]"
    except SecretUnreadable as error:
        fault = f"Inference endpoint [{inference_id}] cannot be used: {error}. Update it with its secret settings."
    return Entry(inference_id, endpoint.task_type, endpoint.service, provider, fault)
