"""The server of `manage.py runserver`, which is daphne: what it leaves open is clients that read slowly."""

from __future__ import annotations

import asyncio
from typing import Any

from daphne.server import Server

_LOOK_SECONDS = 0.05


class WaitingServer(Server):  # type: ignore[misc]
    """Whoever sends waits for as long as the client has too much to read, where daphne would keep all of it in memory.

    A WebSocket that reads nothing for half a minute is dropped by daphne, since it does not answer pings either.
    """

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        await super().handle_reply(protocol, message)
        # Twisted tells nobody but its one producer, which is daphne's.
        while self._has_much_to_read(protocol):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_much_to_read(self, protocol: Any) -> bool:
        """Return whether a client is there and Twisted, with more than 64 KiB unsent to it, wants no more."""
        connection = self.connections.get(protocol)
        if connection is None or "disconnected" in connection:
            return False
        return bool(getattr(protocol.transport, "producerPaused", False))
