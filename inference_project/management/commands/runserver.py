"""Daphne's command for development, with a server that waits for its clients."""

from __future__ import annotations

from daphne.management.commands import runserver

from inference_project.development_server import WaitingServer


class Command(runserver.Command):  # type: ignore[misc]
    server_cls = WaitingServer
