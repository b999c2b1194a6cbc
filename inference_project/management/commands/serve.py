"""Start the gateway."""

from __future__ import annotations

from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from inference_project import first_start

# How much longer than the drain the server waits before it cuts what is left.
_AFTER_DRAIN_SECONDS = 10


class Command(BaseCommand):
    help = (
        "Start the gateway: bring the database up to date, make what a first start needs, serve until SIGTERM. "
        "Address, port and number of processes are GATEWAY_HOST, GATEWAY_PORT and GATEWAY_WORKERS."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        environment = settings.ENVIRONMENT
        call_command("migrate", interactive=False, verbosity=0)
        self.check(databases=["default"])
        call_command("collectstatic", interactive=False, verbosity=0)
        for line in first_start.run():
            self.stdout.write(line)
        self.stdout.flush()
        uvicorn.run(
            settings.ASGI_APPLICATION.replace(".application", ":application"),
            host=environment.host,
            port=environment.port,
            workers=environment.workers,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=4096,
            timeout_graceful_shutdown=int(environment.drain_seconds) + _AFTER_DRAIN_SECONDS,
        )
