"""Settings that are sent as HTTP headers, above all `headers`: headers of a user's own for each request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from endpoints.providers._settings import Problem

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e\t]*", re.ASCII)
# Who asks is decided by the secrets, where to by the URL, and the rest frames the request or its answer.
_RESERVED = frozenset(
    {
        "accept",
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "cookie2",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-api-key",
        "x-goog-api-key",
    }
)


def header_problems(scope: str, key: str, headers: Mapping[str, str] | None) -> Iterator[Problem]:
    """Yield what is wrong with the header names and values of the setting `key`; values are not repeated."""
    for name, value in (headers or {}).items():
        shown = name[:80]
        if not _TOKEN.fullmatch(name):
            yield Problem(key, f"[{scope}] Invalid value received. [{key}] has a name that is no HTTP token: [{shown}]")
        elif name.lower() in _RESERVED or name.lower().startswith("proxy-"):
            yield Problem(key, f"[{scope}] Invalid value received. [{key}] must not set the header [{shown}]")
        elif not _VALUE.fullmatch(value):
            text = "must be printable ASCII without line ends"
            yield Problem(key, f"[{scope}] Invalid value received. The value of [{shown}] in [{key}] {text}")


def value_problems(scope: str, key: str, value: str | None) -> Iterator[Problem]:
    """Yield what is wrong with the setting `key`, whose value is sent as a header."""
    if value is not None and not _VALUE.fullmatch(value):
        yield Problem(key, f"[{scope}] Invalid value received. [{key}] must be printable ASCII without line ends")
