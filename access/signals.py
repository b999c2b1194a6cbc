"""Every change of a user, a role, a permission or a key is news for all processes, whoever made it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver

from access import accounts, cache
from access.models import ApiKey, Membership, Team, User


@receiver(post_save, sender=User)
@receiver(post_delete, sender=User)
@receiver(post_save, sender=ApiKey)
@receiver(post_delete, sender=ApiKey)
@receiver(post_save, sender=Team)
@receiver(post_delete, sender=Team)
@receiver(post_save, sender=Membership)
@receiver(post_delete, sender=Membership)
@receiver(post_save, sender=Group)
@receiver(post_delete, sender=Group)
@receiver(post_save, sender=Permission)
@receiver(post_delete, sender=Permission)
def tell_all_processes(sender: type[Any], update_fields: frozenset[str] | None = None, **kwargs: Any) -> None:
    # A login to the admin changes nothing that anybody remembers.
    if update_fields != frozenset({"last_login"}):
        cache.changed()


@receiver(m2m_changed, sender=User.groups.through)
@receiver(m2m_changed, sender=User.user_permissions.through)
@receiver(m2m_changed, sender=Group.permissions.through)
@receiver(m2m_changed, sender=Team.members.through)
def tell_of_memberships(sender: type[Any], action: str, **kwargs: Any) -> None:
    if action.startswith("post_"):
        cache.changed()


@receiver(post_save, sender=Group)
def adopt_new_role(sender: type[Group], instance: Group, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        accounts.adopt_role(instance)
