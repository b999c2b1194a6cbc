"""The database connection of a thread, of which PostgreSQL's pool has few."""

from __future__ import annotations

from django.db import connection


def give_back_connection() -> None:
    """Give the calling thread's connection back; its next query takes one again.

    To be called before every wait for something else than the database: who waits with a connection in hand takes it
    from everybody else. Inside a transaction nothing happens, it cannot go on with another connection.
    """
    if not connection.in_atomic_block:
        connection.close()
