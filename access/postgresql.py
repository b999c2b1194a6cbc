"""A connection to PostgreSQL that does not wait for ever.

A server that stands still, or a network that loses every packet, ends no connection: who waits for an answer would
learn of it from TCP, in hours.
"""

from __future__ import annotations

from typing import TypeVar

import psycopg
from psycopg.abc import PQGen

from access.database import answer_seconds

_Result = TypeVar("_Result")


class Connection(psycopg.Connection):
    """Every answer is waited for as long as `access.database` says; after that the connection is closed."""

    def wait(self, gen: PQGen[_Result], interval: float = 0.1, timeout: float | None = None) -> _Result:
        """Raise OperationalError where no answer came in time."""
        if timeout is not None or (seconds := answer_seconds()) is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.OperationalError:
            # What the server says by itself leaves the connection idle. Unanswered, it can be used for nothing more.
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise
