"""One running request whose answer is not streamed, so that it too can be seen and stopped from outside."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import ClassVar

from usage.record import Outcome, Record
from wire.errors import ApiError


class WholeAnswer:
    """Runs for as long as its block, in the task that entered it. Its end raises what `end` was given."""

    live: ClassVar[set[WholeAnswer]] = set()

    def __init__(self, record: Record) -> None:
        self.record = record
        self._ending: ApiError | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self.live.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.live.discard(self)
        if self._ending is not None and kind is asyncio.CancelledError and self._task is not None:
            self._task.uncancel()
            raise self._ending from None

    def end(self, error: ApiError, outcome: Outcome) -> None:
        """Interrupt the answer with `error`; the connection to the provider is closed on the way."""
        if self._ending is None and self._task is not None:
            self._ending = error
            self.record.outcome = outcome
            self._task.cancel()
