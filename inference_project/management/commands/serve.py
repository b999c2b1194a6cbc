"""Start the gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from typing import Any

import uvicorn
from django.conf import settings
from django.core.checks import Tags
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from inference_project import first_start, metrics_directory, start_lock
from inference_project.environment import Environment
from inference_project.http_protocol import CLOSE_SECONDS, HttpProtocol
from inference_project.websocket_protocol import WebSocketProtocol

# After the drain: longer than connections then have to close by themselves.
_STOP_SECONDS = int(CLOSE_SECONDS) + 5
# Longer than load balancers keep an idle connection, mostly 60 s: the side that sends requests has to close first,
# else one of them meets a connection that is being closed.
_KEEP_ALIVE_SECONDS = 75

# A worker that does not answer for so long is killed and replaced. The server's own 5 s are less than a start takes on
# a busy machine, which would then never end.
_WORKER_SECONDS = 60


class Command(BaseCommand):
    help = (
        "Start the gateway: bring the database up to date, make what a first start needs, serve until SIGTERM. "
        "Address, port and number of processes are GATEWAY_HOST, GATEWAY_PORT and GATEWAY_WORKERS."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        # The database has sessions and hashes of passwords in it.
        os.umask(0o077)
        environment = settings.ENVIRONMENT
        self.check()
        asyncio.run(_check_address(environment.host, environment.port))
        try:
            self._prepare()
        except (DatabaseError, ImproperlyConfigured) as error:
            raise _unusable_database(error) from error
        # Several processes add up their metrics in a directory; one has its own in memory.
        with metrics_directory.made() if environment.workers > 1 else nullcontext():
            _serve(environment)

    def _prepare(self) -> None:
        with start_lock.held():
            call_command("migrate", interactive=False, verbosity=0)
            self.check(tags=[Tags.database], databases=["default"])
            call_command("collectstatic", interactive=False, verbosity=0)
            for line in first_start.run():
                self.stdout.write(line)
                self.stdout.flush()


def _serve(environment: Environment) -> None:
    # The server raises the signal that stopped it anew, when all is over: that is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        settings.ASGI_APPLICATION.replace(".application", ":application"),
        host=environment.host,
        port=environment.port,
        workers=environment.workers,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=settings.MAX_BODY_BYTES,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        timeout_worker_healthcheck=_WORKER_SECONDS,
    )


async def _check_address(host: str, port: int) -> None:
    """Raise CommandError where the server could not listen; its own message would not name the settings."""
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"GATEWAY_HOST, GATEWAY_PORT: cannot listen on {host}, port {port}: {reason}") from error
    server.close()


def _unusable_database(error: Exception) -> CommandError:
    """Return an error that names the setting and shows no password."""
    name = "DATABASE_URL" if settings.ENVIRONMENT.database_url.get_secret_value() else "GATEWAY_DATA_DIR"
    reason = " ".join(str(error).split())
    if password := settings.DATABASES["default"].get("PASSWORD"):
        reason = reason.replace(password, "***")
    return CommandError(f"{name}: the database cannot be used: {reason}")
