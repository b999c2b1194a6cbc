"""`/_security/user`: users, their roles and passwords."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from access import accounts
from access.authentication import SecuredView
from access.bodies import parse_plain, strings
from access.models import User
from access.passwords import is_username
from access.privileges import require
from access.serializers import shown_user
from access.views.parameters import REFRESH, check_refresh
from wire.errors import BadRequest, ParseFailed, RequestInvalid

GET = "cluster:admin/xpack/security/user/get"
PUT = "cluster:admin/xpack/security/user/put"
DELETE = "cluster:admin/xpack/security/user/delete"
CHANGE_PASSWORD = "cluster:admin/xpack/security/user/change_password"  # noqa: S105

_FIELDS = {
    "username": str,
    "password": str,
    "roles": list,
    "full_name": str,
    "email": str,
    "metadata": dict,
    "enabled": bool,
}
_NULLABLE = frozenset({"full_name", "email"})
_MAX_TEXT_LENGTH = 1024
_MAX_NAMES = 1000


class UsersView(SecuredView):
    """`/_security/user`: all users."""

    actions = {"GET": GET}
    parameters = {"GET": frozenset({"with_profile_uid"})}

    def get(self, request: Request) -> HttpResponse:
        return self.json({user.username: shown_user(user) for user in User.objects.all()})


class UserView(SecuredView):
    """`/_security/user/<name>`; GET takes several names, separated by commas."""

    actions = {"GET": GET, "POST": PUT, "PUT": PUT, "DELETE": DELETE}
    bodies = {"POST": "required", "PUT": "required"}
    parameters = {"GET": frozenset({"with_profile_uid"}), "POST": REFRESH, "PUT": REFRESH, "DELETE": REFRESH}

    def get(self, request: Request, username: str) -> HttpResponse:
        names = [name for name in (username, *username.split(",")) if is_username(name)]
        if len(names) > _MAX_NAMES:
            raise BadRequest(f"at most [{_MAX_NAMES}] users can be asked for at once")
        shown = {user.username: shown_user(user) for user in User.objects.filter(username__in=names)}
        return self.json(shown, status=200 if shown else 404)

    def post(self, request: Request, username: str) -> HttpResponse:
        check_refresh(self.plain)
        fields = parse_plain(self.plain.body, "add user request", _FIELDS, nullable=_NULLABLE)
        if fields.get("username", username) != username:
            raise BadRequest(f"[username] in source does not match the username provided [{username[:100]}]")
        _check(fields)
        created = accounts.put(
            username,
            password=fields.get("password"),
            roles=fields["roles"],
            full_name=fields.get("full_name", ""),
            email=fields.get("email", ""),
            metadata=fields.get("metadata", {}),
            is_active=fields.get("enabled", True),
        )
        return self.json({"created": created})

    put = post

    def delete(self, request: Request, username: str) -> HttpResponse:
        check_refresh(self.plain)
        found = accounts.delete(username)
        return self.json({"found": found}, status=200 if found else 404)


class PasswordView(SecuredView):
    """`/_security/user/[<name>/]_password`. Everyone may change his own, but not with an API key."""

    bodies = {"POST": "required", "PUT": "required"}
    parameters = {"POST": REFRESH, "PUT": REFRESH}

    def post(self, request: Request, username: str = "") -> HttpResponse:
        username = username or self.caller.username
        if username != self.caller.username or self.caller.api_key_id is not None:
            require(self.caller, CHANGE_PASSWORD)
        check_refresh(self.plain)
        fields = parse_plain(self.plain.body, "change password request", {"password": str})
        if "password" not in fields:
            raise RequestInvalid("password is missing")
        accounts.set_password(username, fields["password"])
        return self.json({})

    put = post


def _check(fields: dict[str, Any]) -> None:
    if not strings(fields.get("roles", [])):
        raise ParseFailed("expected field [roles] to be an array of strings")
    problems = [] if "roles" in fields else ["roles are missing"]
    for name in ("full_name", "email"):
        if len(fields.get(name, "")) > _MAX_TEXT_LENGTH:
            problems.append(f"[{name}] may not be more than {_MAX_TEXT_LENGTH} characters long")
    if any(name.startswith("_") for name in fields.get("metadata", {})):
        problems.append("metadata keys may not start with [_]")
    if problems:
        raise RequestInvalid(*problems)
