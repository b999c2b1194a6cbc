"""The database connection of a thread: how long it is waited for, and when it is given back.

A server gives up soon on PostgreSQL, so that who asked hears of it; commands, migrations among them, wait as long as
it takes. SQLite does not go away: for its lock everybody waits (see settings), since writers are not served in turn.
"""

from __future__ import annotations

from django.db import connection

ANSWER_SECONDS = 2.0
"""How long a server waits for a connection of the pool, and for each answer of the database.

The first wait that is in vain ends a request, which is answered within 3 s that way.
"""
_impatient = False


def give_up_soon() -> None:
    """From now on no connection that this process opens waits for long; for servers."""
    global _impatient
    _impatient = True


def answer_seconds() -> float | None:
    """Return how long to wait for an answer; None: for ever."""
    return ANSWER_SECONDS if _impatient else None


def give_back_connection() -> None:
    """Give the calling thread's connection back; its next query takes one again.

    To be called before every wait for something else than the database: who waits with a connection in hand takes it
    from everybody else. Inside a transaction nothing happens, it cannot go on with another connection.
    """
    if not connection.in_atomic_block:
        connection.close()
