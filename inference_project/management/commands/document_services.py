"""Write `docs/services.md` from what the services declare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from endpoints.providers import load, names
from endpoints.providers._base import Provider
from endpoints.providers._settings import Setting, declared

DOCUMENT = settings.BASE_DIR / "docs" / "services.md"
_HEAD = """\
# Services

What an inference endpoint can be made of. This page is made from the declarations in `endpoints/providers/` by
`python manage.py document_services`; a change of it by hand would be lost. `GET /_inference/_services` tells a program
the same.

A task type in **bold** can stream. Secrets are given with the service settings, kept encrypted and never shown.
Settings that are updatable may be changed by `PUT /_inference/<task type>/<inference id>/_update`; all others mean a
new endpoint. Values of *masked* maps are kept like secrets.
"""
_SETTINGS = ("setting", "where", "type", "required", "default", "updatable", "task types", "what it is")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "strings", "map": "object"}


class Command(BaseCommand):
    help = "Write docs/services.md from what the services declare."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(render())
        self.stdout.write(f"{DOCUMENT} describes {len(names())} services.")


def render() -> str:
    """Return the page."""
    providers = [(name, load(name)) for name in names()]
    overview = (
        (f"[`{name}`](#{name})", one.label, _task_types(one), _rate_limit(one) or "none") for name, one in providers
    )
    lines = [_HEAD, *_table(("service", "name", "task types", "requests per minute"), overview)]
    for name, provider in providers:
        lines += ["", *_service(name, provider)]
    return "\n".join(lines) + "\n"


def _service(name: str, provider: type[Provider]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"**{provider.label}.** {provider.description}"
    yield ""
    yield f"- Task types: {_task_types(provider)}"
    if provider.alias_of:
        yield f"- Endpoints are stored and shown as those of `{provider.alias_of}`"
    if limit := _rate_limit(provider):
        yield f"- Requests per minute, unless set: {limit}"
    yield ""
    sections = (("service", provider.service_settings), ("task", provider.task_settings))
    yield from _table(
        _SETTINGS, (_setting(where, one, provider) for where, section in sections for one in declared(section))
    )


def _setting(where: str, one: Setting, provider: type[Provider]) -> tuple[str, ...]:
    return (
        f"`{one.key}`",
        where,
        _type(one),
        "yes" if one.required else "no",
        _default(one, provider),
        "yes" if one.updatable else "no",
        ", ".join(one.task_types) or "all",
        one.description,
    )


def _type(one: Setting) -> str:
    kind = _TYPES[one.kind]
    if one.secret:
        return f"{kind}, secret"
    if one.masked:
        return f"{kind}, masked"
    if one.allowed:
        return "one of " + ", ".join(f"`{name}`" for name in one.allowed)
    if one.url:
        return "URL"
    return f"{kind}{_limits(one)}"


def _limits(one: Setting) -> str:
    least = "" if one.minimum is None else f" from {one.minimum:g}"
    return least if one.maximum is None else f"{least} to {one.maximum:g}"


def _default(one: Setting, provider: type[Provider]) -> str:
    """Return the default, or the defaults of the task types where they differ."""
    task_types: dict[str, list[str]] = {}
    for name in provider.task_types:
        if one.applies_to(name):
            task_types.setdefault(_value(one.default_for(name)), []).append(name)
    if len(task_types) == 1:
        return next(iter(task_types))
    return ", ".join(f"{value} ({', '.join(those)})" for value, those in task_types.items())


def _rate_limit(provider: type[Provider]) -> str:
    limits = (one for one in declared(provider.service_settings) if one.key == "rate_limit.requests_per_minute")
    return next((_default(one, provider) for one in limits), "")


def _value(value: Any) -> str:
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _task_types(provider: type[Provider]) -> str:
    streaming = provider.streaming_task_types
    return ", ".join(f"**{name}**" if name in streaming else name for name in provider.task_types)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield _row(head)
    yield "|" + "---|" * len(head)
    yield from map(_row, rows)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
