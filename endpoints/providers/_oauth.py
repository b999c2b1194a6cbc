"""The settings of OAuth 2.0 client credentials, which belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from endpoints.providers._settings import Problem


def given(names: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    return [name for name in names if values.get(name) is not None]


def absent(names: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    return [name for name in names if values.get(name) is None]


def incomplete(label: str, names: Sequence[str], values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem that some of the settings `names` are there and others are not."""
    missing = absent(names, values)
    if 0 < len(missing) < len(names):
        text = f"[service_settings] all {label} OAuth2 fields must be provided together; missing: "
        yield Problem(missing[0], f"{text}[{', '.join(missing)}]")


def added_later(names: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem that an update brings settings of OAuth 2.0 to an endpoint that was created without."""
    if given(names, after) and not given(names, before):
        text = "Cannot update OAuth2 fields as the service was not configured with OAuth2 settings."
        # The field of `incomplete`, which has nothing to add then.
        field = [*absent(names, after), *names][0]
        yield Problem(field, f"{text} Please create a new Inference Endpoint with the OAuth2 settings instead.")
