"""Users as the API and the admin keep them: stored, removed, given roles and passwords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from access import passwords
from access.models import INVALID_NAME, User
from access.privileges import SUPERUSER
from wire.errors import BadRequest, RequestInvalid, SettingsInvalid

NO_SUPERUSER_LEFT = f"the last enabled user with the role [{SUPERUSER}] cannot be deleted, disabled or lose that role"


def put(username: str, *, password: str | None, roles: Iterable[str], **fields: Any) -> bool:
    """Store a user and return whether he is new. `fields` are the columns full_name, email, metadata, is_active.

    Raise RequestInvalid, SettingsInvalid, or BadRequest where no superuser would be left.
    """
    if not passwords.is_username(username):
        raise RequestInvalid(INVALID_NAME.format("User"))
    # Hashed before the transaction: it takes long, and writers wait for one another.
    if password is not None:
        fields["password"] = passwords.hashed(password)
    with transaction.atomic():
        if password is None and not User.objects.filter(username=username).exists():
            raise SettingsInvalid("password must be specified unless you are updating an existing user")
        user, created = User.objects.update_or_create(username=username, defaults=fields)
        assign_roles(user, roles)
        _require_superuser()
    return created


def delete(username: str) -> bool:
    """Delete a user with his API keys and return whether there was one. Raise BadRequest as `put` does."""
    with transaction.atomic():
        user = _find(username)
        if user is None:
            return False
        user.delete()
        _require_superuser()
    return True


def set_password(username: str, password: str) -> None:
    """Raise SettingsInvalid for an unknown user or a password that is too short."""
    encoded = passwords.hashed(password)
    with transaction.atomic():
        user = _find(username)
        if user is None:
            raise SettingsInvalid("user must exist in order to change password")
        user.password = encoded
        user.save(update_fields=["password"])


def assign_roles(user: User, names: Iterable[str]) -> None:
    """Replace the roles of `user`. A role that does not exist is kept by name and grants nothing."""
    wanted = set(names)
    # Compared here: a query takes fewer names than a body may hold.
    groups = [group for group in Group.objects.all() if group.name in wanted]
    user.groups.set(groups)
    user.is_superuser = SUPERUSER in wanted
    user.undefined_roles = sorted(wanted - {group.name for group in groups} - {SUPERUSER})
    user.save(update_fields=["is_superuser", "undefined_roles"])


def adopt_role(group: Group) -> None:
    """Give a role that came to be to the users whom it was assigned to before."""
    for user in User.objects.exclude(undefined_roles=[]):
        if group.name in user.undefined_roles:
            user.groups.add(group)
            user.undefined_roles = [name for name in user.undefined_roles if name != group.name]
            user.save(update_fields=["undefined_roles"])


def is_last_superuser(users: Iterable[User]) -> bool:
    """Return whether nobody could manage users any more without `users`."""
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk__in=[user.pk for user in users])
    return not others.exists()


def _find(username: str) -> User | None:
    # A name that nobody can have may hold characters that a database does not take.
    return User.objects.filter(username=username).first() if passwords.is_username(username) else None


def _require_superuser() -> None:
    # Every writer has raised the version number by now, so that of two at once the second sees what the first did.
    if is_last_superuser([]):
        raise BadRequest(NO_SUPERUSER_LEFT)
