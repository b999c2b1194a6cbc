"""A setting is declared once, as a field of a frozen dataclass; everything else is read from that declaration.

From it come parsing with all problems at once, the split of secrets, the `_services` listing, the admin's form and
the rule which settings an update may change. The messages are Elasticsearch's.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from endpoints.providers._values import MASK, java_text, read, wrong_type

_JAVA_NAMES = {"str": "String", "int": "Integer", "float": "Double", "bool": "Boolean", "list": "List", "map": "Map"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one setting; `field` is its key, "" where it concerns several."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting.

    `key` is where it stands in the JSON, dotted when nested. `kind` is `str`, `int`, `float`, `bool`, `list` (of
    strings) or `map` (of strings). `default` may differ by task type: then `defaults` holds it. `task_types` is empty
    where it applies to all. A setting that is not `listed` is left out of the `_services` listing, one that is not
    `returned` is left out of every answer. `listed_updatable` differs from `updatable` where Elasticsearch's listing
    says something else than its update does, and its `listed_default` seldom is the default. Of a `masked` map the
    keys are shown and the values are secret. A `url` that may be a `bare_host` means https then. A
    `multiline` secret is not sent as a header, so that it may have line ends.
    """

    name: str
    key: str
    kind: str
    label: str
    description: str
    required: bool
    secret: bool
    updatable: bool
    task_types: tuple[str, ...]
    allowed: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    url: bool
    bare_host: bool
    masked: bool
    multiline: bool
    listed: bool
    listed_updatable: bool
    listed_required: bool
    listed_default: Any
    returned: bool
    default: Any
    defaults: Mapping[str, Any]

    def applies_to(self, task_type: str) -> bool:
        return not self.task_types or task_type in self.task_types

    def default_for(self, task_type: str) -> Any:
        return self.defaults.get(task_type, self.default)

    def as_url(self, value: str) -> str:
        """Return the whole URL that `value`, the value of a `url` setting, means."""
        return with_scheme(value) if self.bare_host else value

    @property
    def is_encrypted(self) -> bool:
        """Whether its value is kept apart, encrypted."""
        return self.secret or self.masked

    @property
    def java_name(self) -> str:
        return _JAVA_NAMES[self.kind]


def setting(
    label: str,
    description: str,
    *,
    key: str = "",
    required: bool = False,
    secret: bool = False,
    updatable: bool = False,
    task_types: Iterable[str] = (),
    allowed: Iterable[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    url: bool = False,
    bare_host: bool = False,
    masked: bool = False,
    multiline: bool = False,
    listed: bool = True,
    listed_updatable: bool | None = None,
    listed_required: bool | None = None,
    listed_default: Any = None,
    returned: bool = True,
    default: Any = None,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Declare a setting as the default of a dataclass field; see `Setting` for what the arguments mean."""
    declaration = {
        "key": key,
        "label": label,
        "description": description,
        "required": required,
        "secret": secret,
        "updatable": updatable or secret,
        "task_types": tuple(task_types),
        "allowed": tuple(allowed),
        "minimum": minimum,
        "maximum": maximum,
        "url": url,
        "bare_host": bare_host,
        "masked": masked,
        "multiline": multiline,
        "listed": listed,
        "listed_updatable": (updatable or secret) if listed_updatable is None else listed_updatable,
        "listed_required": required if listed_required is None else listed_required,
        "listed_default": listed_default,
        "returned": returned and not secret,
        "default": default,
        "defaults": dict(defaults or {}),
    }
    return dataclasses.field(default=default, repr=not (secret or masked), metadata={"setting": declaration})


def rate_limit(default: int | Mapping[str, int] | None, *, listed: bool = True) -> Any:
    """Declare `rate_limit.requests_per_minute`, with the service's own default; None where nothing limits it."""
    defaults = default if isinstance(default, Mapping) else {}
    return setting(
        "Rate Limit",
        "Requests per minute that the gateway sends to the provider for one rate-limit group; more wait their turn.",
        key="rate_limit.requests_per_minute",
        updatable=True,
        listed=listed,
        listed_updatable=False,
        minimum=1,
        default=None if defaults else default,
        defaults=defaults,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all declarations. `scope` is how messages call the section."""

    scope: typing.ClassVar[str] = "service_settings"

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        """Yield what is wrong between several settings; `values` maps names to parsed values, absent ones to None."""
        yield from ()

    @classmethod
    def check_given(cls, given: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what an update must not say, whatever is stored; `given` has what stands in it, by name."""
        yield from ()

    @classmethod
    def check_update(cls, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what an update must not change; a secret that cannot be read is None in `before`."""
        yield from ()

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        """Return, for each secret, the host (with its port) that it would be sent to."""
        return {}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a section of a request says: `values` by name (every applying setting, None where absent), the
    problems, the keys that no declaration knows, as the nested mapping they came in, and the names of the settings
    that were there, those with the value null among them."""

    values: dict[str, Any]
    problems: list[Problem]
    unknown: dict[str, Any]
    present: frozenset[str]


_declared: dict[type[Settings], tuple[Setting, ...]] = {}


def declared(declaration: type[Settings]) -> tuple[Setting, ...]:
    """Return the settings of `declaration`, in the order in which they are written."""
    if declaration not in _declared:
        hints = typing.get_type_hints(declaration)
        _declared[declaration] = tuple(
            _setting(field.name, hints[field.name], field.metadata["setting"])
            for field in dataclasses.fields(declaration)
            if "setting" in field.metadata
        )
    return _declared[declaration]


def applying(declaration: type[Settings], task_type: str) -> Iterator[Setting]:
    return (one for one in declared(declaration) if one.applies_to(task_type))


def parse(declaration: type[Settings], task_type: str, given: Mapping[str, Any], *, creating: bool = True) -> Parsed:
    """Read `given`, a section of a request's body. With `creating`, what is required must be there and what is
    absent gets its default; without, only what is given is looked at."""
    rest = _copy(given)
    _spread_nulls(declaration, task_type, rest)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for one in applying(declaration, task_type):
        present, raw = _take(rest, one.key)
        if present:
            seen.add(one.name)
        if raw is None:
            values[one.name] = one.default_for(task_type) if creating else None
            if one.required and creating:
                problems.append(missing(declaration, one))
            continue
        values[one.name], problem = read(declaration.scope, one, raw)
        if problem:
            problems.append(Problem(one.key, problem))
    problems.extend(_parents_that_are_no_objects(declaration, task_type, rest))
    if creating:
        problems.extend(relations(declaration, values, task_type, problems))
    return Parsed(values, problems, rest, frozenset(seen))


def relations(
    declaration: type[Settings], values: Mapping[str, Any], task_type: str, known: Iterable[Problem]
) -> list[Problem]:
    """Return what is wrong between settings, but for those of which a problem is `known` already."""
    wrong = {problem.field for problem in known}
    return [problem for problem in declaration.check(values, task_type) if problem.field not in wrong]


def nested(
    declaration: type[Settings], values: Mapping[str, Any], task_type: str, *, hidden: bool = False
) -> dict[str, Any]:
    """Return the settings that are shown, as JSON; secrets and absent values are left out.

    With `hidden`, those are there that answers leave out but that have to be stored.
    """
    shown: dict[str, Any] = {}
    for one in applying(declaration, task_type):
        value = values.get(one.name)
        if value is None or one.secret or not (one.returned or hidden):
            continue
        *parents, last = one.key.split(".")
        target = shown
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = _shown(one, value)
    return shown


def build(declaration: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Return the frozen settings; `values` by name, of which unknown names are dropped."""
    names = {one.name for one in declared(declaration)}
    return declaration(**{name: value for name, value in values.items() if name in names})


def with_scheme(url: str) -> str:
    """Return `url`, or the https URL of the bare host that it is."""
    return url if "://" in url else f"https://{url}"


def host_of(url: str) -> str:
    """Return `host:port` of an http or https URL, in lower case; the port is always there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{(parts.hostname or '').lower()}:{port}"


def _setting(name: str, hint: Any, declaration: Mapping[str, Any]) -> Setting:
    facts = dict(declaration)
    facts["key"] = facts["key"] or name
    return Setting(name=name, kind=_kind(hint), **facts)


def _kind(hint: Any) -> str:
    arguments = [one for one in typing.get_args(hint) if one is not types.NoneType]
    if isinstance(hint, types.UnionType):
        return _kind(arguments[0])
    origin = typing.get_origin(hint) or hint
    kinds = {str: "str", int: "int", float: "float", bool: "bool", tuple: "list", list: "list"}
    return kinds.get(origin, "map")


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _spread_nulls(declaration: type[Settings], task_type: str, given: dict[str, Any]) -> None:
    """Put, where an object of settings is null, a null for each of them."""
    nulls = {key for key, value in given.items() if value is None}
    for one in applying(declaration, task_type):
        parent, _, inner = one.key.partition(".")
        if inner and parent in nulls:
            given[parent] = {**(given[parent] or {}), inner: None}


def _take(given: dict[str, Any], key: str) -> tuple[bool, Any]:
    """Remove `key` (dotted: from the nested object, which goes too when it is empty) and return its value."""
    first, _, rest = key.partition(".")
    if first not in given:
        return False, None
    if not rest:
        return True, given.pop(first)
    inner = given[first]
    if inner is None:
        del given[first]
        return True, None
    if not isinstance(inner, dict):
        return False, None
    found = _take(inner, rest)
    if not inner:
        del given[first]
    return found


def _parents_that_are_no_objects(
    declaration: type[Settings], task_type: str, rest: dict[str, Any]
) -> Iterator[Problem]:
    """Take what stands where the object around a nested setting should be out of `rest`."""
    for one in applying(declaration, task_type):
        parent = one.key.partition(".")[0]
        if parent != one.key and parent in rest and not isinstance(rest[parent], dict):
            yield Problem(one.key, wrong_type(parent, java_text(rest.pop(parent))[:200], "Map"))


def _shown(one: Setting, value: Any) -> Any:
    if one.masked:
        return dict.fromkeys(value, MASK)
    return list(value) if isinstance(value, tuple) else value


def missing(declaration: type[Settings], one: Setting) -> Problem:
    scope = "secret_settings" if one.secret else declaration.scope
    return Problem(one.key, f"[{scope}] does not contain the required setting [{one.key}]")
