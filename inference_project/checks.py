"""What can be known at the start is said at the start: mistakes between settings."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.module_loading import import_string


@register(Tags.compatibility)
def middleware_is_async(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """One middleware that is only synchronous would send every stream through a thread."""
    return [
        Error(f"{dotted} is not async-capable", hint="Every entry of MIDDLEWARE has to be.", id="gateway.E001")
        for dotted in settings.MIDDLEWARE
        if not getattr(import_string(dotted), "async_capable", False)
    ]


@register(Tags.security)
def pages_are_protected(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """What Django's own checks look for, under the names that the classes have here."""
    return [
        Error(f"wire.middleware.{name} is not in MIDDLEWARE", hint="The admin needs it.", id="gateway.E004")
        for name in ("BrowserSecurity", "BrowserCsrf", "BrowserPolicy")
        if f"wire.middleware.{name}" not in settings.MIDDLEWARE
    ]


@register(Tags.compatibility)
def streams_are_not_compressed(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not any("GZip" in dotted for dotted in settings.MIDDLEWARE):
        return []
    return [Error("GZipMiddleware corrupts streams", hint="Compress in the proxy, but not streams.", id="gateway.E002")]


@register(Tags.security, deploy=True)
def secrets_are_the_deployments_own(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Generated keys live in one machine's data directory; a database server is shared by several."""
    environment = settings.ENVIRONMENT
    if not environment.database_url.get_secret_value():
        return []
    missing = [
        name
        for name, value in (
            ("GATEWAY_SECRET_KEY", environment.secret_key.get_secret_value()),
            ("GATEWAY_SECRET_KEYS", environment.secret_keys),
        )
        if not value
    ]
    return [
        Warning(f"{name} is not set", hint="Machines that share a database have to share it.", id="gateway.W001")
        for name in missing
    ]


@register(Tags.security)
def debug_stays_at_home(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.DEBUG or _is_loopback(settings.ENVIRONMENT.host):
        return []
    hint = "Unset GATEWAY_DEBUG, or let GATEWAY_HOST be 127.0.0.1."
    return [Error("GATEWAY_DEBUG shows tracebacks to everyone who can reach the gateway", hint=hint, id="gateway.E003")]


@register(Tags.security, deploy=True)
def encryption_ends_at_a_proxy(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The gateway itself speaks no TLS: that a page was asked for by https:// only a trusted proxy can say."""
    if not settings.PUBLIC_URL.startswith("https://") or settings.TRUSTED_PROXIES:
        return []
    hint = "Set GATEWAY_TRUSTED_PROXIES to the addresses of the proxy that speaks TLS."
    problem = "GATEWAY_PUBLIC_URL is https://, but no proxy is trusted: HSTS is off, and all clients have its address"
    return [Warning(problem, hint=hint, id="gateway.W002")]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
