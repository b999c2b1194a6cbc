"""Who changes something, and from where, as histories tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from django.http import HttpRequest

from access.addresses import client_address
from access.privileges import Caller

if TYPE_CHECKING:
    from access.models import User

Origin = Literal["api_key", "password", "session", "command"]
ORIGINS: Final[dict[Origin, str]] = {
    "api_key": "API key",
    "password": "API, by password",
    "session": "admin",
    "command": "command",
}
"""Where a change may come from, each with its name on pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """`name` is a user, `team <slug>` for a key without one, or a command; `address` is "" where there is none."""

    name: str
    origin: Origin
    api_key_id: str = ""
    api_key_name: str = ""
    address: str = ""

    def __str__(self) -> str:
        return _shown(self.name, self.api_key_name if self.api_key_id else None)


def name_of(caller: Caller) -> str:
    """Return `caller` in the words in which lists name him: his name, and that of his API key if he uses one."""
    return _shown(caller.username, caller.api_key_name)


def of_caller(caller: Caller, request: HttpRequest) -> Actor:
    """Return who sent `request`, of the API."""
    return Actor(
        name=caller.username,
        origin="password" if caller.api_key_id is None else "api_key",
        api_key_id=caller.api_key_id or "",
        api_key_name=caller.api_key_name or "",
        address=client_address(request),
    )


def of_session(user: User, request: HttpRequest) -> Actor:
    """Return `user`, who is logged in to the admin."""
    return Actor(name=user.username, origin="session", address=client_address(request))


def of_command(name: str) -> Actor:
    """Return the command `name`, or what else runs without anybody having asked for it."""
    return Actor(name=name, origin="command")


def _shown(name: str, api_key_name: str | None) -> str:
    return name if api_key_name is None else f"{name} (API key {api_key_name})"


NOBODY: Final = of_command("manage.py")
"""A shell, or whatever else does not say who it is."""
