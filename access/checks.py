"""What can be wrong between settings, said before the first request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

_BACKEND = "access.backends.Backend"


@register(Tags.security)
def check_backend(**kwargs: Any) -> list[CheckMessage]:
    if settings.AUTHENTICATION_BACKENDS == [_BACKEND]:
        return []
    return [
        Error(
            f"AUTHENTICATION_BACKENDS must be [{_BACKEND!r}].",
            hint="Another backend would check passwords without the limits on guessing, and not know endpoints.",
            id="access.E001",
        )
    ]


@register(Tags.security)
def check_pepper(**kwargs: Any) -> list[CheckMessage]:
    if len(settings.API_KEY_PEPPER) >= 32:
        return []
    return [Error("API_KEY_PEPPER must have 32 bytes or more.", id="access.E002")]


@register(Tags.security, deploy=True)
def check_proxies(**kwargs: Any) -> list[CheckMessage]:
    whole = [str(network) for network in settings.TRUSTED_PROXIES if network.prefixlen == 0]
    if not whole:
        return []
    return [
        Warning(
            f"GATEWAY_TRUSTED_PROXIES contains {', '.join(whole)}: every client can choose its own address.",
            hint="Name the addresses of the proxies; failed logins are counted by address.",
            id="access.W001",
        )
    ]
