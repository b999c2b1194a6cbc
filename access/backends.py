"""Django's side of authentication: logins to the admin, and `user.has_perm(perm, endpoint)`."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from access import passwords
from access.addresses import client_address
from access.models import User
from access.privileges import PERMISSIONS, Reachable
from wire.errors import ApiError

_PERMISSIONS = frozenset(f"access.{name}" for name in PERMISSIONS)


class Backend(ModelBackend):
    """Users of the database. Passwords are checked, and guesses slowed down, as for the API."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None or not passwords.is_username(username):
            return None
        user = User.objects.filter(username=username).first()
        encoded = user.password if user is not None and user.is_active else None
        login = passwords.Login(username, password, client_address(request) if request is not None else "")
        try:
            return user if passwords.is_right_sync(login, encoded) else None
        except ApiError as error:
            raise PermissionDenied(error.reason) from None

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Model | None = None) -> bool:
        """Answer for the inference permissions by the rule of the API; their object, if any, is an endpoint."""
        if perm in _PERMISSIONS and isinstance(user_obj, User):
            return user_obj.caller.has_perm(perm, cast("Reachable | None", obj))
        return super().has_perm(user_obj, perm, obj)
