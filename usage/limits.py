"""Whether an inference request may be asked now: the bounds of this process, and the rate limit of its endpoint."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from django.conf import settings

from endpoints.providers._base import Provider
from usage.rate_limits import RateLimits
from usage.slots import Slots

if TYPE_CHECKING:
    from usage.shared_windows import SharedWindows

_environment = settings.ENVIRONMENT
slots = Slots(_environment.max_streams, _environment.max_streams_per_caller)
# Locks and connections belong to the event loop that first used them; a server has one, tests and commands have others.
_rate_limits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, RateLimits] = weakref.WeakKeyDictionary()


async def turn(provider: Provider, deadline: float | None) -> float:
    """Return when the provider may be asked, with the seconds that were waited; warm and below the limit, at once.

    `deadline` is a time of the event loop, None for none. Raise TooManyRequests where the turn would come later, or
    where too many wait already.
    """
    limit = provider.rate_limit
    if limit is None:
        return 0.0
    return await rate_limits().turn(limit, provider.inference_id, deadline)


def rate_limits() -> RateLimits:
    """Return those of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _rate_limits.get(loop)
    if found is None:
        found = _rate_limits[loop] = RateLimits(_environment.max_waiting, _shared())
    return found


def _shared() -> SharedWindows | None:
    if not settings.REDIS_URL:
        return None
    # Libraries that only who has Redis needs.
    from usage.shared_windows import SharedWindows

    return SharedWindows(settings.REDIS_URL, settings.API_KEY_PEPPER)


async def close() -> None:
    """Close the running loop's connections to Redis."""
    found = _rate_limits.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()
