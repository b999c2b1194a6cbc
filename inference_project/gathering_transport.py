"""A transport that sends what is written within one turn of the event loop at once.

uvloop sends each piece by a system call of its own, and so does asyncio; head, events and end of a short answer are
written one after the other within microseconds.
"""

from __future__ import annotations

import asyncio
from typing import Any

# With more than this at hand, the network is asked at once whether it takes it.
_MOST_BYTES = 16_384


class GatheringTransport:
    """`transport` for all but writing. What is gathered and unsent is lost with `abort`, and sent by `close`."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.gathered = transport
        self.is_closing = transport.is_closing
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what was written so far; the next turn of the loop calls this, too."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self.gathered.is_closing():
            self.gathered.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def close(self) -> None:
        self.flush()
        self.gathered.close()

    def abort(self) -> None:
        self._parts, self._size = [], 0
        self.gathered.abort()

    def get_write_buffer_size(self) -> int:
        return self.gathered.get_write_buffer_size() + self._size

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gathered, name)
