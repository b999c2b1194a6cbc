"""From a row to a provider that is ready to be asked; the one place that decrypts secrets.

Warm, finding an endpoint is one dictionary look-up.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from django.conf import settings

from access.cache import MISSING, VersionedCache
from access.privileges import Caller
from endpoints import configuration, time_limits
from endpoints.configuration import Configuration
from endpoints.encryption import SecretUnreadable, decrypt
from endpoints.models import Endpoint
from endpoints.providers import names
from endpoints.providers._base import Binding, Provider
from endpoints.providers._http import HttpClient
from endpoints.providers._settings import build
from endpoints.time_limits import TimeLimits
from wire.errors import StatusError


@dataclass(frozen=True, slots=True)
class Entry:
    """What the path of a request needs of an endpoint. `fault` says why it cannot be used, if it cannot."""

    inference_id: str
    task_type: str
    service: str
    team_id: int | None
    provider: Provider | None
    limits: TimeLimits
    fault: str = ""
    fault_status: int = 400
    # Those that are not have no entry.
    enabled: ClassVar[bool] = True

    def ready(self) -> Provider:
        """Return the provider. Raise StatusError where the endpoint cannot be used as it is stored."""
        if self.provider is None:
            raise StatusError(self.fault, status=self.fault_status)
        return self.provider


class Row(NamedTuple):
    """What decides for whom an endpoint exists."""

    inference_id: str
    team_id: int | None
    enabled: bool


_entries: VersionedCache[Entry | None] = VersionedCache(10_000)
_rows: VersionedCache[Row | None] = VersionedCache(10_000)
# A client belongs to the event loop that first used it; a server has one loop, tests and commands have others.
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, HttpClient] = weakref.WeakKeyDictionary()


async def get(inference_id: str) -> Entry | None:
    """Return the endpoint, None where there is none of that id that is enabled."""
    entry = _entries.peek(inference_id)
    if entry is not MISSING:
        return entry
    http = http_client()
    return await _entries.get(inference_id, lambda: _load(inference_id, http))


async def reached(inference_id: str, caller: Caller) -> Entry | None:
    """Return the endpoint, None where there is none of that id that is enabled, or none for `caller`.

    One that he does not reach costs no more than one that is not there: neither its secrets nor its provider are
    loaded for him, which would take a time that he could measure.
    """
    entry = _entries.peek(inference_id)
    if entry is MISSING:
        row = await _rows.get(inference_id, partial(_read_row, inference_id))
        entry = await get(inference_id) if row is not None and caller.reaches(row) else None
    return entry if entry is not None and caller.reaches(entry) else None


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
        proxy=environment.outbound_proxy.get_secret_value() or None,
        service_urls=environment.service_urls,
    )


async def close() -> None:
    """Close the running loop's client, and with it the connections to providers."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def bind(inference_id: str, chosen: Configuration, http: HttpClient, limits: TimeLimits | None = None) -> Provider:
    """Return the provider of an endpoint; `chosen` has its secrets. Without `limits` it has those of `http`."""
    provider = chosen.provider
    binding = Binding(
        inference_id=inference_id,
        task_type=chosen.task_type,
        settings=build(provider.service_settings, chosen.service_values),
        task_settings=build(provider.task_settings, chosen.task_values),
        http=http,
        connect_seconds=None if limits is None else limits.connect_seconds,
        idle_seconds=None if limits is None else limits.idle_seconds,
    )
    return provider(binding)


def opened(endpoint: Endpoint) -> tuple[Configuration, dict[str, str]]:
    """Return the configuration of `endpoint` with its secrets, and of each that cannot be read why.

    Raise KeyError where there is no such service.
    """
    masked = configuration.stored(endpoint)
    hosts = masked.destinations()
    ciphertexts = {secret.name: secret.ciphertext for secret in endpoint.secrets.all()}
    secrets: dict[str, Any] = {}
    unreadable = {name: f"the secret [{name}] is missing" for name in masked.secrets() if name not in ciphertexts}
    for name, ciphertext in ciphertexts.items():
        try:
            secrets[name] = decrypt(ciphertext, endpoint=endpoint.id, name=name, host=hosts.get(name, ""))
        except SecretUnreadable as error:
            unreadable[name] = str(error)
    return configuration.stored(endpoint, secrets), unreadable


def _read_row(inference_id: str) -> Row | None:
    endpoint = Endpoint.objects.named(inference_id)
    return None if endpoint is None else Row(inference_id, endpoint.team_id, endpoint.enabled)


def _load(inference_id: str, http: HttpClient) -> Entry | None:
    entry = _read(inference_id, http)
    # Row and secrets are two reads; between them the endpoint may have been deleted, made anew or updated.
    return _read(inference_id, http) if entry is not None and entry.fault else entry


def _read(inference_id: str, http: HttpClient) -> Entry | None:
    endpoint = Endpoint.objects.named(inference_id)
    # Who manages a disabled endpoint sees it elsewhere; to ask it, it is not there.
    if endpoint is None or not endpoint.enabled:
        return None
    task_type, service, team_id = endpoint.task_type, endpoint.service, endpoint.team_id
    limits = time_limits.of(endpoint)
    if service not in names():
        fault = f"Unknown service [{service}] for model [{inference_id}]"
        return Entry(inference_id, task_type, service, team_id, None, limits, fault)
    chosen, unreadable = opened(endpoint)
    problems = list(unreadable.values()) or [problem.text for problem in chosen.problems()]
    if problems:
        fault = f"Inference endpoint [{inference_id}] cannot be used as it is stored, update it: {'; '.join(problems)}"
        return Entry(inference_id, task_type, service, team_id, None, limits, fault, 500)
    return Entry(inference_id, task_type, service, team_id, bind(inference_id, chosen, http, limits), limits)
