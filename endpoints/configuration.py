"""The settings of an endpoint as values: read from its row, from a request that makes it, or from an update of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings as gateway

from endpoints import chunking
from endpoints.models import Endpoint
from endpoints.providers import load
from endpoints.providers._base import Provider, unknown_settings
from endpoints.providers._http import check_url
from endpoints.providers._settings import (
    Parsed,
    Problem,
    Setting,
    Settings,
    applying,
    missing,
    nested,
    parse,
    relations,
)
from endpoints.providers._values import MASK, java_text
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

    def sections(self) -> tuple[tuple[type[Settings], Mapping[str, Any]], ...]:
        """Return service settings and task settings, each as its declaration and the values."""
        provider = self.provider
        return (provider.service_settings, self.service_values), (provider.task_settings, self.task_values)

    def service_settings(self, *, hidden: bool = False) -> dict[str, Any]:
        """Return the service settings as they are shown; `hidden` adds those that are stored but not shown."""
        return nested(self.provider.service_settings, self.service_values, self.task_type, hidden=hidden)

    def task_settings(self, *, hidden: bool = False) -> dict[str, Any]:
        return nested(self.provider.task_settings, self.task_values, self.task_type, hidden=hidden)

    def secrets(self) -> dict[str, Any]:
        """Return the values that are kept encrypted, by name."""
        return {
            one.name: values[one.name]
            for declaration, values in self.sections()
            for one in applying(declaration, self.task_type)
            if one.is_encrypted and values[one.name] is not None
        }

    def destinations(self) -> Mapping[str, str]:
        """Return, for each secret, the host and port that it would be sent to."""
        return self.provider.service_settings.destinations(self.service_values, self.task_type)

    def problems(self, known: Collection[Problem] = ()) -> list[Problem]:
        """Return what keeps the settings from being used, but for what is `known` of already."""
        wrong = {problem.field for problem in known}
        problems = [problem for problem in self._absent() if problem.field not in wrong]
        for declaration, values in self.sections():
            problems += relations(declaration, values, self.task_type, [*known, *problems])
        found = [*_refused_addresses(self), *_masks_of_nothing(self)]
        return [*problems, *(problem for problem in found if problem.field not in wrong)]

    def _absent(self) -> Iterator[Problem]:
        for declaration, values in self.sections():
            for one in applying(declaration, self.task_type):
                if one.required and values[one.name] is None:
                    yield missing(declaration, one)


def stored(endpoint: Endpoint, secrets: Mapping[str, Any] | None = None) -> Configuration:
    """Return the configuration in the row, with its decrypted `secrets`; without them, with masks in their place.

    Raise KeyError where there is no such service.
    """
    provider, task_type = load(endpoint.service), endpoint.task_type
    service = parse(provider.service_settings, task_type, endpoint.service_settings).values
    task = parse(provider.task_settings, task_type, endpoint.task_settings).values
    for name, value in (secrets or {}).items():
        (service if name in service else task)[name] = value
    chunks = None if endpoint.chunking_settings is None else chunking.parse(endpoint.chunking_settings)[0]
    return Configuration(provider, task_type, service, task, chunks)


def shown(endpoint: Endpoint) -> Configuration:
    """Return what may be shown of `endpoint`: masks for secrets, and the length of its vectors like a setting.

    Detected, it is none: it would be sent to the provider. Raise KeyError where there is no such service.
    """
    masked = stored(endpoint)
    values = masked.service_values
    if endpoint.dimensions is None or values.get("dimensions") is not None:
        return masked
    return replace(masked, service_values={**values, "dimensions": endpoint.dimensions})


def created(service: str, task_type: str, body: Mapping[str, Any]) -> Configuration:
    """Return the configuration of a new endpoint. Raise SettingsInvalid with all problems, or StatusError."""
    provider = load(service)
    service_section, task_section = provider.migrate(
        dict(section(body, "service_settings") or {}), dict(section(body, "task_settings") or {})
    )
    service_part = parse(provider.service_settings, task_type, service_section)
    task_part = parse(provider.task_settings, task_type, task_section)
    chunks, problems = _chunking(provider, body, task_type)
    new = Configuration(provider, task_type, service_part.values, task_part.values, chunks)
    problems = [*service_part.problems, *task_part.problems, *problems]
    _refuse([*problems, *_refused_addresses(new), *_masks_of_nothing(new)])
    _refuse_unknown(provider, task_type, body, service_part, task_part)
    return new


def updated(old: Configuration, body: Mapping[str, Any], unreadable: Collection[str] = ()) -> Configuration:
    """Return what `old` becomes by `body`.

    Service and task settings are merged into the old ones, chunking settings replace them. A secret that would go
    to another host than before has to be given again, and so has one that is `unreadable`. Raise SettingsInvalid
    with all problems, or StatusError.
    """
    provider, task_type = old.provider, old.task_type
    service_part = _given(provider.service_settings, task_type, body)
    task_part = _given(provider.task_settings, task_type, body)
    service_values, service_problems = _merged(provider.service_settings, task_type, old.service_values, service_part)
    task_values, task_problems = _merged(provider.task_settings, task_type, old.task_values, task_part)
    chunks, chunking_problems = old.chunking_settings, list[Problem]()
    if "chunking_settings" in body:
        chunks, chunking_problems = _chunking(provider, body, task_type)
    new = Configuration(provider, task_type, service_values, task_values, chunks)
    problems = [*service_problems, *task_problems, *chunking_problems]
    problems += provider.service_settings.check_update(old.service_values, service_values)
    problems += _secrets_to_give_again(old, new, (service_part, task_part), unreadable)
    _refuse([*problems, *new.problems(problems)])
    _refuse_unknown(provider, task_type, body, service_part, task_part)
    return new


def section(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return a section of `body`, None where it is absent or null. Raise StatusError where it is no object."""
    value = body.get(name)
    if value is None or isinstance(value, dict):
        return value
    shown = java_text(value)[:200]
    raise StatusError(f"field [{name}] is not of the expected type. The value [{shown}] cannot be converted to a [Map]")


def _chunking(
    provider: type[Provider], body: Mapping[str, Any], task_type: str
) -> tuple[dict[str, Any] | None, list[Problem]]:
    if task_type not in chunking.TASK_TYPES:
        return None, []
    return chunking.parse(section(body, "chunking_settings"), provider.largest_chunk)


def _given(declaration: type[Settings], task_type: str, body: Mapping[str, Any]) -> Parsed:
    return parse(declaration, task_type, section(body, declaration.scope) or {}, creating=False)


def _merged(
    declaration: type[Settings], task_type: str, old: Mapping[str, Any], given: Parsed
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the old values with the given ones over them, a null standing for the default; and the problems."""
    values, problems = dict(old), [*given.problems, *_not_to_be_said(declaration, given)]
    wrong = {problem.field for problem in problems}
    for one in applying(declaration, task_type):
        if one.name not in given.present or one.key in wrong:
            continue
        new = _unmasked(one, given.values[one.name], old[one.name])
        values[one.name] = one.default_for(task_type) if new is None else new
        if values[one.name] != old[one.name] and not one.updatable:
            problems.append(Problem(one.key, _fixed(declaration, one)))
    return values, problems


def _not_to_be_said(declaration: type[Settings], given: Parsed) -> Iterator[Problem]:
    if given.present:
        yield from declaration.check_given({name: given.values[name] for name in given.present})


def _unmasked(one: Setting, new: Any, old: Any) -> Any:
    """Put back the stored values where an answer of GET, with its masks, was sent as an update."""
    if not one.masked or new is None:
        return new
    return {key: (old or {}).get(key, value) if value == MASK else value for key, value in new.items()}


def _fixed(declaration: type[Settings], one: Setting) -> str:
    return f"[{declaration.scope}] the setting [{one.key}] cannot be updated; create a new inference endpoint instead"


def _secrets_to_give_again(
    old: Configuration, new: Configuration, given: tuple[Parsed, Parsed], unreadable: Collection[str]
) -> Iterator[Problem]:
    before, after = old.destinations(), new.destinations()
    for (declaration, values), part in zip(old.sections(), given, strict=True):
        for one in applying(declaration, old.task_type):
            if not one.is_encrypted or not _keeps_what_is_stored(one, part):
                continue
            again = f"[secret_settings] the setting [{one.key}] must be given again, since it"
            if one.name in unreadable:
                yield Problem(one.key, f"{again} cannot be read")
            elif values[one.name] is not None and before.get(one.name) != after.get(one.name):
                yield Problem(one.key, f"{again} would go to another host")


def _keeps_what_is_stored(one: Setting, given: Parsed) -> bool:
    if one.name not in given.present:
        return True
    value = given.values[one.name]
    return one.masked and value is not None and MASK in value.values()


def _masks_of_nothing(new: Configuration) -> Iterator[Problem]:
    """A mask stands for what is stored; stored itself, it would be sent to the provider."""
    for declaration, values in new.sections():
        for one in applying(declaration, new.task_type):
            masks = [key for key, value in (values[one.name] or {}).items() if value == MASK] if one.masked else []
            if masks:
                names = ", ".join(masks)[:200]
                text = f"[{declaration.scope}] Invalid value [{MASK}] received for [{names}] in [{one.key}]"
                yield Problem(one.key, f"{text}; it stands for a stored value, and there is none")


def _refused_addresses(new: Configuration) -> Iterator[Problem]:
    """Refuse addresses that the gateway would never connect to."""
    for one in applying(new.provider.service_settings, new.task_type):
        value = new.service_values[one.name]
        if one.url and value and (reason := check_url(one.as_url(value), gateway.ENVIRONMENT.private_hosts)):
            text = f"[service_settings] Invalid url [{value[:200]}] received for field [{one.key}]. Error: {reason}"
            yield Problem(one.key, text)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise SettingsInvalid(*(problem.text for problem in problems), fields=[problem.field for problem in problems])


def _refuse_unknown(
    provider: type[Provider], task_type: str, body: Mapping[str, Any], service_part: Parsed, task_part: Parsed
) -> None:
    known = ["service", "task_type", *(SECTIONS if task_type in chunking.TASK_TYPES else SECTIONS[:2])]
    unknown = {key: value for key, value in body.items() if key not in known}
    unknown = {**service_part.unknown, **task_part.unknown, **unknown}
    if unknown:
        raise unknown_settings(unknown, provider.service())
