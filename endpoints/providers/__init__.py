"""One file for each service, found by its name; the class in it is called `Provider`.

Files that start with an underscore are what services share. A service is imported when it is first used.
"""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from endpoints.providers._base import Provider


@lru_cache
def names() -> tuple[str, ...]:
    """Return the names of all services, sorted."""
    return tuple(sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")))


@lru_cache
def load(service: str) -> type[Provider]:
    """Return the provider class of `service`. Raise KeyError where there is no such service."""
    if service not in names():
        raise KeyError(service)
    provider: type[Provider] = import_module(f"{__name__}.{service}").Provider
    return provider
