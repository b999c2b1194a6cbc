"""Every change of an endpoint or a secret is news for all processes, whoever made it."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from access import cache
from endpoints.models import Endpoint, EndpointSecret


@receiver(post_save, sender=Endpoint)
@receiver(post_delete, sender=Endpoint)
@receiver(post_save, sender=EndpointSecret)
@receiver(post_delete, sender=EndpointSecret)
def tell_all_processes(sender: type[Any], **kwargs: Any) -> None:
    cache.changed()
