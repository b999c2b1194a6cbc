"""With REDIS_URL, the news that rows changed travels by message, so that no process waits for its next look.

A message says only that there is something to look at; what, the database says. So nothing depends on Redis: a
message that is lost, or one that somebody else sends, costs one look at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

CHANNEL = "inference-gateway:changed"
_SECONDS = 1.0


def publish() -> None:
    """Tell the other processes to look; without Redis, or when it does not answer, they look by themselves."""
    try:
        client = _client(settings.REDIS_URL)
        if client is not None:
            client.publish(CHANNEL, b"")
    except Exception as error:  # The change is stored by now; whatever happens here must not look like its failure.
        logger.warning("Redis did not take the news of a change: %s", type(error).__name__)


def listen(look: Callable[[], object]) -> None:
    """Call `look` at each message, from a thread that lives as long as the process. Does nothing without Redis."""
    client = _client(settings.REDIS_URL)
    if client is not None:
        threading.Thread(target=_listen, args=(client, look), name="news", daemon=True).start()


def _listen(client: redis.Redis, look: Callable[[], object]) -> None:
    failing = False
    while True:
        try:
            with redis.client.PubSub(client.connection_pool, ignore_subscribe_messages=True) as messages:
                messages.subscribe(CHANNEL)
                failing = False
                # What was said while nobody listened.
                look()
                while True:
                    if messages.get_message(timeout=30.0) is not None:
                        look()
        except Exception as error:  # Whatever Redis does, the thread must go on.
            if not failing:
                logger.warning("Redis brings no news: %s", type(error).__name__)
            failing = True
            time.sleep(_SECONDS)


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis | None:
    if not url:
        return None
    return redis.Redis.from_url(url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS, health_check_interval=30)
