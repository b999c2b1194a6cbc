"""The promises, and whether a gateway kept them: one function for each, which says what was wrong.

A promise looks at what the client saw, at what it was told and at what the provider noted; never into the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.client import Seen, Transfer
from conformance.events import Told
from conformance.provider.fault import Ending, Fault
from conformance.provider.steps import LONGEST_ANSWER, text_of
from conformance.provider.wires import WIRES

RETRY_SECONDS = 3.0
"""How long to watch whether the provider is asked again after the client left; the wait of the fault is shorter."""
_HELD_BACK = LONGEST_ANSWER // 4
"""Bytes that the provider could send to a client which reads nothing: what systems buffer, and a little more."""


@dataclass(frozen=True)
class Limits:
    """What the gateway was started with, None where it is not known, and how exact it has to be; all in seconds.

    A time limit may be `slack_seconds` late, a delta `delta_seconds`, the release of the provider `release_seconds`.
    """

    first_delta: float | None = None
    idle: float | None = None
    stall: float | None = None
    heartbeat: float | None = None
    delta_seconds: float = 0.5
    release_seconds: float = 0.25
    slack_seconds: float = 2.0

    def of(self, fault: Fault) -> float | None:
        """Return the limit that has to end the fault, None where nobody said what it is."""
        match fault.limit:
            case "first_delta":
                return self.first_delta
            case "idle":
                return min(filter(None, (self.idle, self.stall)), default=None)
            case "stall":
                return self.stall
        return None


@dataclass(frozen=True)
class Exchange:
    """What the provider noted about one attempt of the gateway. `left` and `finished` are times, None for never."""

    entries: Sequence[Mapping[str, Any]]

    @property
    def left(self) -> float | None:
        return self._at("left")

    @property
    def finished(self) -> float | None:
        return self._at("finished")

    @property
    def received(self) -> Mapping[str, Any]:
        return self.entries[0]

    @property
    def bytes_sent(self) -> int:
        return max((entry.get("bytes", 0) for entry in self.entries if entry["what"] != "received"), default=0)

    def last_text(self) -> float:
        """Return when the last text was sent, or the request received where none was."""
        length = max(entry["text"] for entry in self.entries)
        return next(float(entry["at"]) for entry in self.entries if entry["text"] == length)

    def _at(self, what: str) -> float | None:
        return next((float(entry["at"]) for entry in self.entries if entry["what"] == what), None)


@dataclass(frozen=True)
class Evidence:
    """All that is known about one fault and one wire; `secrets` may not be shown to any client."""

    fault: Fault
    wire: str
    seen: Seen
    told: Told
    exchanges: Sequence[Exchange]
    limits: Limits
    secrets: Sequence[str]
    alive_after: bool = True

    @property
    def expected(self) -> str:
        return text_of(self.fault.script(WIRES[self.wire]()))

    @property
    def ending(self) -> Ending | None:
        """Return in which of the ways that a client can make something of the answer ended, None for none of them."""
        seen, told = self.seen, self.told
        if seen.transfer is not Transfer.WHOLE or told.after_end or told.strange:
            return None
        if seen.status >= 300:
            return Ending.REFUSED if len(told.errors) == 1 and not told.dones and not told.parts else None
        if told.errors:
            return Ending.CUT if len(told.errors) == 1 and not told.dones else None
        return Ending.COMPLETE if told.dones == 1 else None


def one_ending(it: Evidence) -> Iterator[str]:
    """It ends in one way, and in one that is right for the fault."""
    if it.ending is None or it.ending not in it.fault.endings:
        yield _words(it)


def exact_text(it: Evidence) -> Iterator[str]:
    """The text is the provider's, byte for byte: all of it, and nothing else."""
    expected, text = it.expected, it.told.text
    if it.fault.free_text or it.ending is Ending.REFUSED or text == expected:
        return
    if it.fault.prefix and it.ending is Ending.CUT and expected.startswith(text):
        return
    if expected.startswith(text):
        yield f"{len(expected) - len(text)} of {len(expected)} characters did not arrive"
    else:
        same = next((n for n, (a, b) in enumerate(zip(expected, text, strict=False)) if a != b), len(expected))
        yield f"from character {same} on it is {text[same : same + 20]!r}, not {expected[same : same + 20]!r}"


def on_time(it: Evidence) -> Iterator[str]:
    """A delta is passed on while the provider holds the stream open behind it."""
    for exchange in it.exchanges[-1:]:
        for entry in exchange.entries:
            if entry["what"] != "holds":
                continue
            at = it.told.seen_at(entry["text"])
            late = None if at is None else at - entry["at"]
            if late is None or late > it.limits.delta_seconds:
                words = "never" if late is None else f"after {late * 1000:.0f} ms"
                yield f"the text up to character {entry['text']} was passed on {words}"


def status_first(it: Evidence) -> Iterator[str]:
    """What fails before the first delta has a status of its own, and the right one."""
    if it.ending is Ending.REFUSED and it.fault.statuses and it.seen.status not in it.fault.statuses:
        yield f"the status is {it.seen.status}, not {' or '.join(map(str, it.fault.statuses))}"


def released(it: Evidence) -> Iterator[str]:
    """The connection to the provider is closed as soon as the client is gone or has its end."""
    for exchange in it.exchanges:
        if exchange.finished is not None:
            continue
        late = None if exchange.left is None else exchange.left - it.seen.ended
        if late is None:
            yield "the provider was not released"
        elif late > it.limits.release_seconds:
            yield f"the provider was released after {late * 1000:.0f} ms"


def within_limits(it: Evidence) -> Iterator[str]:
    """What would go on for ever is ended by a time limit of the gateway; the end of what has begun is told soon."""
    limit, last = it.limits.of(it.fault), it.exchanges[-1] if it.exchanges else None
    if it.seen.transfer is Transfer.ENDLESS:
        yield f"no end within {it.seen.seconds:.0f} s"
    elif last is None:
        return
    # Before the first delta a gateway may still wait for another attempt.
    elif (over := last.finished or last.left) is not None and it.told.parts and not it.fault.alone:
        late = it.seen.ended - over
        if late > it.limits.slack_seconds:
            yield f"the client was told {late:.1f} s after all was over between gateway and provider"
    elif limit is not None:
        took = it.seen.ended - (it.seen.started if it.fault.limit == "first_delta" else last.last_text())
        if took > limit + it.limits.slack_seconds:
            yield f"the limit of {limit:g} s ended it after {took:.1f} s"


def asked_once(it: Evidence) -> Iterator[str]:
    """The provider is asked again only where that helps, nobody has seen a delta yet, and it is the same provider."""
    if not it.exchanges:
        yield "the provider was not asked"
    if len(it.exchanges) > it.fault.attempts:
        yield f"the provider was asked {len(it.exchanges)} times"
    if it.told.parts and any(exchange.entries[-1]["text"] for exchange in it.exchanges[:-1]):
        yield "the provider was asked again after a delta had been passed on"
    if any("/elsewhere" in exchange.received["path"] for exchange in it.exchanges):
        yield "a redirect was followed"
    if any("cookie" in exchange.received["headers"] for exchange in it.exchanges):
        yield "a cookie was sent"


def no_secret(it: Evidence) -> Iterator[str]:
    """What the gateway proves itself with is not shown to its client."""
    shown = it.seen.head + it.seen.body
    if any(secret.encode() in shown for secret in it.secrets if secret):
        yield "the key of the provider is in the answer"


def held_back(it: Evidence) -> Iterator[str]:
    """A client that reads nothing costs nothing: the provider is held back."""
    if it.fault.stops_reading and it.exchanges and it.exchanges[-1].bytes_sent > _HELD_BACK:
        yield f"the provider could send {it.exchanges[-1].bytes_sent / 2**20:.0f} MB to a client that reads nothing"


def heartbeats(it: Evidence) -> Iterator[str]:
    """In a silence behind the first delta, comments say that the gateway is alive."""
    limit = it.limits.of(it.fault)
    every = it.limits.heartbeat
    if every and limit and limit > 1.5 * every and it.fault.endings == (Ending.CUT,) and not it.told.comments:
        yield f"no comment in {limit:g} s of silence"


def alive(it: Evidence) -> Iterator[str]:
    """Afterwards the gateway does for others what it should. It is asked behind faults that are met alone."""
    if not it.alive_after:
        yield "the gateway did not answer any more"


Promise = Callable[[Evidence], Iterator[str]]
PROMISES: Mapping[str, Promise] = {
    "one ending": one_ending,
    "exact text": exact_text,
    "on time": on_time,
    "status first": status_first,
    "released": released,
    "within limits": within_limits,
    "asked once": asked_once,
    "no secret": no_secret,
    "held back": held_back,
    "heartbeats": heartbeats,
    "alive": alive,
}
WHEN_LEAVING = ("released", "asked once", "no secret", "held back", "alive")
TIMED = frozenset({"on time", "released", "within limits"})
"""Promises with a time in them: a pause of the machine breaks them as well as a gateway does."""


def broken(it: Evidence) -> list[tuple[str, str]]:
    """Return the names of the promises that were not kept, and how."""
    leaving = it.fault.leave is not None or it.fault.stops_reading
    if leaving and it.seen.transfer is not Transfer.LEFT:
        return [("one ending", f"the client wanted to leave, but the answer ended before: {_words(it)}")]
    names = WHEN_LEAVING if leaving else PROMISES
    return [(name, words) for name in names for words in PROMISES[name](it)]


def _words(it: Evidence) -> str:
    """Say how an answer ended that did not end as it should."""
    seen, told = it.seen, it.told
    if seen.transfer is not Transfer.WHOLE:
        return f"{seen.transfer.value}, status {seen.status}" if seen.status else seen.transfer.value
    if told.strange:
        return f"it has {told.strange[0]}"
    facts = (
        f"status {seen.status}",
        f"{len(told.parts)} deltas",
        f"{len(told.errors)} errors",
        f"{told.dones} [DONE]",
        f"{told.after_end} events behind the end" if told.after_end else "",
    )
    error = f": {str(told.errors[0])[:200]}" if told.errors else ""
    return "it ended with " + ", ".join(filter(None, facts)) + error
