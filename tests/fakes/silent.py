"""A server that accepts connections, reads what comes and never says a word."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class SilentServer:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._changed = threading.Condition()
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.closed = 0
        """How many connections their callers have closed."""

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[SilentServer]:
        server = cls()
        threading.Thread(target=server._accept, daemon=True).start()
        try:
            yield server
        finally:
            # Closing alone would leave the thread in `accept`.
            server._listener.shutdown(socket.SHUT_RDWR)
            server._listener.close()

    def wait_accepted(self, count: int = 1, timeout: float = 5.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.accepted >= count, timeout)

    def wait_closed(self, timeout: float = 5.0, count: int = 1) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.closed >= count, timeout)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()
                self._count(accepted=1)

    def _read(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65_536):
                pass
        self._count(closed=1)

    def _count(self, accepted: int = 0, closed: int = 0) -> None:
        with self._changed:
            self.accepted += accepted
            self.closed += closed
            self._changed.notify_all()
