"""How long a connection waits for a client that does not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from fcntl import ioctl
from termios import TIOCOUTQ

# Of what the network is not ready to take, the kernel keeps no more than about this; it would keep megabytes for each
# client that reads slowly, and the first sign of its reading would be their third part.
_UNSENT_BYTES = 65_536
# How often, within the time after which it is dropped, a client is looked at.
_LOOKS = 4


class WriteLimit:
    """Drops a client that takes nothing of what is sent for `seconds`, unsent bytes and all: to close the connection
    politely would wait for its reading. Who reads slowly is served slowly. `seconds` may be set at any time."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._unread = 0
        self._read_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # The client may have left already.
        with contextlib.suppress(OSError):
            self._socket = transport.get_extra_info("socket")
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def watch(self) -> None:
        """Look at the client from now on, for as long as something is unsent."""
        if self._timer is None:
            self._unread, self._read_at = self._unread_bytes(), self._loop.time()
            self._look_later()

    def drained(self) -> None:
        """Note that the client has taken nearly all; what is sent next must not hide it."""
        self._unread = sys.maxsize

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self.seconds / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._transport.get_write_buffer_size():
            return
        unread, now = self._unread_bytes(), self._loop.time()
        if unread < self._unread:
            self._read_at = now
        # Pings come on top of what a client does not read.
        self._unread = unread
        if now - self._read_at >= self.seconds:
            self._transport.abort()
        else:
            self._look_later()

    def _unread_bytes(self) -> int:
        """Return what is unsent here, and what the kernel has and the client has not acknowledged."""
        queued = bytes(4)
        with contextlib.suppress(OSError):
            queued = ioctl(self._socket.fileno(), TIOCOUTQ, queued)
        return self._transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)
