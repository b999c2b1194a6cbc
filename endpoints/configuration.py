"""What a request says about an endpoint, checked: the settings it is made with, or those it has after an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings as gateway

from endpoints import chunking
from endpoints.models import Endpoint
from endpoints.providers import load
from endpoints.providers._base import Provider, unknown_settings
from endpoints.providers._http import check_url
from endpoints.providers._settings import MASK, Parsed, Problem, Setting, Settings, applying, nested, parse
from wire.errors import SettingsInvalid, StatusError

SECTIONS = ("service_settings", "task_settings", "chunking_settings")


@dataclass(frozen=True)
class Configuration:
    """All settings of an endpoint, secrets among them; values are kept by the names of their declarations."""

    provider: type[Provider]
    task_type: str
    service_values: Mapping[str, Any] = field(repr=False)
    task_values: Mapping[str, Any] = field(repr=False)
    chunking_settings: Mapping[str, Any] | None

    def service_settings(self) -> dict[str, Any]:
        """Return the service settings as they are shown."""
        return nested(self.provider.service_settings, self.service_values, self.task_type)

    def task_settings(self) -> dict[str, Any]:
        return nested(self.provider.task_settings, self.task_values, self.task_type)

    def secrets(self) -> dict[str, Any]:
        """Return the values that are kept encrypted, by name."""
        return {
            one.name: values[one.name]
            for declaration, values in self._parts()
            for one in applying(declaration, self.task_type)
            if one.is_encrypted and values.get(one.name) is not None
        }

    def destinations(self) -> Mapping[str, str]:
        """Return, for each secret, the host and port that it would be sent to."""
        return self.provider.service_settings.destinations(self.service_values, self.task_type)

    def _parts(self) -> tuple[tuple[type[Settings], Mapping[str, Any]], ...]:
        provider = self.provider
        return (provider.service_settings, self.service_values), (provider.task_settings, self.task_values)


def created(service: str, task_type: str, body: Mapping[str, Any]) -> Configuration:
    """Return the configuration of a new endpoint. Raise SettingsInvalid with all problems, or StatusError."""
    provider = load(service)
    service_section, task_section = provider.migrate(
        dict(section(body, "service_settings") or {}), dict(section(body, "task_settings") or {})
    )
    service_part = parse(provider.service_settings, task_type, service_section)
    task_part = parse(provider.task_settings, task_type, task_section)
    problems = [*service_part.problems, *task_part.problems, *_addresses(provider, task_type, service_part)]
    _refuse(problems)
    _refuse_unknown(service, service_part, task_part, _unknown_keys(body, task_type, ("service", "task_type")))
    chunks = chunking.parse(section(body, "chunking_settings")) if task_type in chunking.TASK_TYPES else None
    return Configuration(provider, task_type, service_part.values, task_part.values, chunks)


def updated(endpoint: Endpoint, secrets: Mapping[str, Any], body: Mapping[str, Any]) -> Configuration:
    """Return what `endpoint`, whose decrypted `secrets` are given, becomes by `body`.

    Service and task settings are merged into the stored ones, chunking settings replace them. A secret that would
    go to another host than before has to be given again. Raise SettingsInvalid with all problems, or StatusError.
    """
    provider, task_type = load(endpoint.service), endpoint.task_type
    service = _merge(provider.service_settings, task_type, endpoint.service_settings, secrets, body)
    task = _merge(provider.task_settings, task_type, endpoint.task_settings, secrets, body)
    problems = [*service.problems, *task.problems, *_addresses(provider, task_type, service)]
    if not problems:
        problems.extend(provider.service_settings.check(service.values, task_type))
        problems.extend(provider.task_settings.check(task.values, task_type))
    given = service.present | task.present
    problems.extend(_moved_secrets(provider, task_type, endpoint, service.values, set(secrets) - given))
    _refuse(problems)
    _refuse_unknown(endpoint.service, service, task, _unknown_keys(body, task_type, ("task_type",)))
    chunks = endpoint.chunking_settings
    if "chunking_settings" in body and task_type in chunking.TASK_TYPES:
        chunks = chunking.parse(section(body, "chunking_settings"))
    return Configuration(provider, task_type, service.values, task.values, chunks)


def section(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return a section of `body`, None where it is absent or null. Raise StatusError where it is no object."""
    value = body.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise StatusError(
        f"field [{name}] is not of the expected type. The value [{str(value)[:200]}] cannot be converted to a [Map]"
    )


def _merge(
    declaration: type[Settings],
    task_type: str,
    stored: Mapping[str, Any],
    secrets: Mapping[str, Any],
    body: Mapping[str, Any],
) -> Parsed:
    """Return the stored values with the given ones over them; a null clears a setting that may be absent."""
    old = parse(declaration, task_type, stored).values
    settings = list(applying(declaration, task_type))
    old |= {one.name: secrets[one.name] for one in settings if one.is_encrypted and one.name in secrets}
    given = parse(declaration, task_type, section(body, declaration.scope) or {}, creating=False)
    values, problems = dict(old), list(given.problems)
    for one in settings:
        if one.name not in given.present or any(problem.field == one.key for problem in given.problems):
            continue
        new = _unmasked(one, given.values[one.name], old[one.name])
        new = one.default_for(task_type) if new is None else new
        if new == old[one.name]:
            continue
        if not one.updatable:
            problems.append(Problem(one.key, _fixed(declaration, one)))
        elif new is None and one.required:
            problems.append(Problem(one.key, f"[{declaration.scope}] the required setting [{one.key}] cannot be null"))
        values[one.name] = new
    return Parsed(values, problems, given.unknown, given.present)


def _unmasked(one: Setting, new: Any, old: Any) -> Any:
    """Put back the stored values where an answer of GET, with its masks, was sent as an update."""
    if not one.masked or not isinstance(new, dict):
        return new
    return {key: (old or {}).get(key, value) if value == MASK else value for key, value in new.items()}


def _fixed(declaration: type[Settings], one: Setting) -> str:
    return f"[{declaration.scope}] the setting [{one.key}] cannot be updated; create a new inference endpoint instead"


def _addresses(provider: type[Provider], task_type: str, part: Parsed) -> list[Problem]:
    """Refuse addresses that the gateway would never connect to."""
    problems = []
    for one in applying(provider.service_settings, task_type):
        value = part.values.get(one.name)
        if one.url and value and (reason := check_url(value, gateway.ENVIRONMENT.private_hosts)):
            text = f"[service_settings] Invalid url [{value[:200]}] received for field [{one.key}]. Error: {reason}"
            problems.append(Problem(one.key, text))
    return problems


def _moved_secrets(
    provider: type[Provider], task_type: str, endpoint: Endpoint, new: Mapping[str, Any], kept: set[str]
) -> list[Problem]:
    stored = parse(provider.service_settings, task_type, endpoint.service_settings).values
    before = provider.service_settings.destinations(stored, task_type)
    after = provider.service_settings.destinations(new, task_type)
    return [
        Problem(name, f"[secret_settings] the setting [{name}] must be given again, since it would go to another host")
        for name in sorted(kept)
        if before.get(name) != after.get(name)
    ]


def _unknown_keys(body: Mapping[str, Any], task_type: str, known: Sequence[str]) -> dict[str, Any]:
    sections = SECTIONS if task_type in chunking.TASK_TYPES else SECTIONS[:2]
    return {key: value for key, value in body.items() if key not in known and key not in sections}


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise SettingsInvalid(*(problem.text for problem in problems), fields=[problem.field for problem in problems])


def _refuse_unknown(service: str, *parts: Parsed | Mapping[str, Any]) -> None:
    unknown: dict[str, Any] = {}
    for part in parts:
        unknown |= part.unknown if isinstance(part, Parsed) else part
    if unknown:
        raise unknown_settings(unknown, service)
