"""What a request and the provider that answers it tell each other besides question and answer."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """The caller sets `deadline`, in the time of the event loop, by which a first answer is wanted.

    The provider notes when it first sent the request (`asked_at`, in `time.monotonic()`, which is finer than the time
    of some event loops), and how often it sent it again (`retries`).
    """

    deadline: float | None = None
    asked_at: float | None = None
    retries: int = 0


progress: ContextVar[Progress | None] = ContextVar("progress", default=None)
"""That of the running request; None where nobody wants to know, as when an endpoint is validated."""
