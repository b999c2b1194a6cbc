"""A database server that comes back: the connections from before are dead, and no request pays for that."""

from __future__ import annotations

import psycopg

from tests.gateway import Gateway


def test_a_connection_that_died_in_a_failover_costs_no_request(postgresql: str) -> None:
    with Gateway.started(DATABASE_URL=postgresql) as gateway:
        assert gateway.call("GET", "/_inference").status == 200
        with psycopg.connect(postgresql, autocommit=True) as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            # 5 s is the most that it waits until they are gone.
            end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"  # noqa: S608
            assert connection.execute(end).fetchall()
        assert [gateway.call("GET", "/_inference").status for _ in range(4)] == [200] * 4
