"""Reading the events of one stream, whatever they mean: in order, up to the end, an error or a cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from endpoints.providers._base import Batch, Chunk
from endpoints.providers._failures import Failures
from endpoints.providers._sse import MAX_EVENT_BYTES, Event, EventSplitter, EventTooLarge
from wire.errors import ProviderError


class Splitter(Protocol):
    """Cuts bytes, which may end anywhere, into records. Raises EventTooLarge."""

    def feed(self, read: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


class EventReader:
    """Reads one stream. When `error` is set or `done` is true, nothing more is read.

    A service says by `take` what an event means. An error is kept, not raised, so that what came before it in the
    same read can be passed on first. `error_status` is the status of an error that stands inside the stream.
    """

    def __init__(self, failures: Failures, *, error_status: int = 400, splitter: Splitter | None = None) -> None:
        self.done = False
        self.error: ProviderError | None = None
        self.failures = failures
        self.error_status = error_status
        self.finish_reason = ""
        """The last one seen. With it, a clean end of the body is the end of the answer."""
        self._splitter = splitter or EventSplitter()

    def take(self, name: bytes, data: bytes) -> Chunk | None:
        """Return what the event brings, None for nothing; set `done` or `error` where it ends the stream."""
        raise NotImplementedError

    def feed(self, read: bytes) -> Batch:
        """Return the chunks that `read` completes."""
        try:
            events = self._splitter.feed(read)
        except EventTooLarge:
            self.error = self.failures.given_up(f"an event is larger than [{MAX_EVENT_BYTES // 2**20}] MiB")
            return []
        return self._chunks(events)

    def end(self) -> Batch:
        """Return the chunks of what the end of the body left unfinished; the answer is complete now, or cut off."""
        batch = self._chunks(self._splitter.end())
        if self.error is None and not self.done:
            self.done = bool(self.finish_reason)
            if not self.done:
                self.error = self.failures.cut_off("the stream ended before the answer did")
        return batch

    def fail(self, data: bytes) -> None:
        """End the stream with the error that an event holds."""
        message = self.failures.read_message(data)
        self.error = self.failures.error_in_stream(message, status=self.error_status)

    def fail_unreadable(self, expected: str) -> None:
        self.error = self.failures.given_up(f"an event is not {expected}")

    def _chunks(self, events: Iterable[Event]) -> Batch:
        batch: Batch = []
        for name, data in events:
            chunk = self.take(name, data)
            if chunk is not None:
                batch.append(chunk)
            if self.done or self.error is not None:
                break
        return batch
