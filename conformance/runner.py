"""Meets every fault once, or once more where only time was short, and judges what happened."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from conformance.client import Leaving, Request, Seen, ask
from conformance.dialects import Dialect
from conformance.promises import RETRY_SECONDS, TIMED, Evidence, Exchange, Limits, broken
from conformance.provider.catalog import FAULTS
from conformance.provider.fault import Fault, Leave
from conformance.provider.playing import RUN_MARK

T = TypeVar("T")

_LOOK_SECONDS = 0.02
_LOOK_PATIENCE, _LONG_PATIENCE = 20.0, 60.0
_SETTLE_SECONDS = 2.0
_STOPPED_SECONDS = 3.0


@dataclass(frozen=True)
class Verdict:
    """`skipped` says why the fault was not met; it is empty where it was."""

    fault: Fault
    wire: str
    problems: Sequence[tuple[str, str]] = ()
    skipped: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        return not self.problems

    def facts(self) -> dict[str, Any]:
        """Return the verdict as JSON has it."""
        fault = self.fault
        names = {"family": fault.family, "fault": fault.name, "wire": self.wire, "does": fault.does, "must": fault.must}
        problems = [f"{promise}: {words}" for promise, words in self.problems]
        return {**names, "held": self.held, "skipped": self.skipped, "problems": problems, "seconds": self.seconds}


@dataclass
class Runner:
    """`provider_url` is where this program reaches the provider. `at_once` is how many faults are met at a time.

    `settle_seconds` are waited for before the first, so that all processes of a gateway know what was made for them;
    with `keep` that is left. An answer that has not ended after `patience` seconds, and the limit of its fault, never
    will. `attempts` are made where only time was short. `warm_up` requests that nobody judges come first, all at once:
    what a process does at its first request is not what is judged here. `revive` starts a gateway anew that does not
    answer any more.
    """

    dialect: Dialect
    provider_url: str
    limits: Limits = field(default_factory=Limits)
    at_once: int = 12
    settle_seconds: float = 0.0
    keep: bool = False
    patience: float = 20.0
    attempts: int = 5
    warm_up: int = 0
    revive: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.at_once)

    async def run(self, faults: Sequence[tuple[Fault, str]]) -> list[Verdict]:
        """Return a verdict for each fault and wire. Raise conformance.dialects.Refused."""
        async with self._prepared(faults):
            first = await asyncio.gather(*(self._with_place(self._verdict, *one) for one in faults if not one[0].alone))
            first += [await self._verdict(*one) for one in faults if one[0].alone]
            verdicts = [await self._judged(verdict) for verdict in first]
            return [*verdicts, await self._alive()] if verdicts else []

    async def meet(self, fault: Fault, wire: str) -> Evidence:
        """Ask the gateway for the fault; return all that is known about it then."""
        run = secrets.token_hex(8)
        request = self.dialect.request(fault, wire, f"{RUN_MARK}{run} Say something.")
        patience = _LONG_PATIENCE if fault.alone else self.patience + (self.limits.of(fault) or 0)
        if fault.twice is not None:
            await ask(self.dialect.base_url, request, patience)
            await asyncio.sleep(fault.twice + (self.limits.of(fault) or 0))
        seen = await ask(self.dialect.base_url, request, patience, self._leaving(fault, run))
        if fault.leave and fault.leave.phase == "retry":
            await asyncio.sleep(RETRY_SECONDS)
        exchanges = await self._settled(run, seen)
        told = self.dialect.read(seen, streamed=fault.streamed)
        alive = not fault.alone or await self._is_alive()
        return Evidence(fault, wire, seen, told, exchanges, self.limits, (self.dialect.provider_key,), alive)

    async def _is_alive(self) -> bool:
        """Return whether an ordinary answer still comes; where none does, the gateway is started anew."""
        fault, wire = _ALIVE
        request = self.dialect.request(fault, wire, f"{RUN_MARK}{secrets.token_hex(8)} Say something.")
        seen = await ask(self.dialect.base_url, request, self.patience)
        is_alive = seen.status == 200
        if not is_alive and self.revive:
            await self.revive()
        return is_alive

    @asynccontextmanager
    async def _prepared(self, faults: Sequence[tuple[Fault, str]]) -> AsyncIterator[None]:
        needed = list(dict.fromkeys([*faults, _ALIVE]))
        try:
            await asyncio.gather(*(self._with_place(self.dialect.prepare, *one) for one in needed))
            await asyncio.sleep(self.settle_seconds)
            await asyncio.gather(*(self._is_alive() for _ in range(self.warm_up)))
            yield
        finally:
            if not self.keep:
                await asyncio.gather(*(self._with_place(self.dialect.clean_up, *one) for one in needed))

    async def _with_place(self, call: Callable[[Fault, str], Awaitable[T]], fault: Fault, wire: str) -> T:
        """Call with at most `at_once` calls under way."""
        async with self._places:
            return await call(fault, wire)

    async def _verdict(self, fault: Fault, wire: str) -> Verdict:
        if fault.limit and self.limits.of(fault) is None:
            return Verdict(fault, wire, skipped=f"the limit [{fault.limit}] of the gateway is not known")
        evidence = await self.meet(fault, wire)
        return Verdict(fault, wire, broken(evidence), seconds=round(evidence.seen.seconds, 3))

    async def _judged(self, verdict: Verdict) -> Verdict:
        """Return the verdict, after some more attempts with nothing else going on where only time was short."""
        for _ in range(self.attempts - 1):
            if verdict.held or not TIMED.issuperset(promise for promise, _ in verdict.problems):
                break
            verdict = await self._verdict(verdict.fault, verdict.wire)
        return verdict

    async def _alive(self) -> Verdict:
        """Return whether the gateway still does what it should when nothing is wrong."""
        return await self._verdict(*_ALIVE)

    def _leaving(self, fault: Fault, run: str) -> Leaving | None:
        if fault.stops_reading:
            return Leaving(_stopped, stops_reading=True)
        if fault.leave is None:
            return None
        phase = fault.leave
        return Leaving(lambda seen: self._reached(phase, run, seen), reset=phase.reset)

    async def _reached(self, leave: Leave, run: str, seen: Seen) -> None:
        """Wait until the request is in the phase in which the client leaves."""
        wanted = {"head": "received", "delta": "sent", "stream": "sent", "retry": "finished"}[leave.phase]
        if leave.phase == "stream":
            await seen.begun.wait()
        # The provider is another program.
        while not await self._noted(run, wanted):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(5 * _LOOK_SECONDS)

    async def _noted(self, run: str, what: str) -> bool:
        return any(entry["what"] == what for entry in await self._log(run))

    async def _settled(self, run: str, seen: Seen) -> list[Exchange]:
        """Return what the provider noted, once nothing is open any more or should not be."""
        latest = seen.ended + self.limits.release_seconds + _SETTLE_SECONDS
        while True:
            exchanges = _exchanges(await self._log(run), seen.started)
            is_open = [one for one in exchanges if one.finished is None and one.left is None]
            if not is_open or time.monotonic() > latest:
                return exchanges
            await asyncio.sleep(_LOOK_SECONDS)

    async def _log(self, run: str) -> list[dict[str, Any]]:
        seen = await ask(self.provider_url, Request("GET", f"/_log?run={run}", {"Connection": "close"}), _LOOK_PATIENCE)
        return [json.loads(line) for line in seen.body.splitlines()]


_ALIVE = (FAULTS["ordinary"], "openai")


async def _stopped(seen: Seen) -> None:
    """Wait for the first text, and then for a while in which nothing is read."""
    await seen.begun.wait()
    await asyncio.sleep(_STOPPED_SECONDS)


def _exchanges(entries: Sequence[dict[str, Any]], since: float) -> list[Exchange]:
    """Return the attempts that began at `since` or later."""
    numbers = sorted({entry["exchange"] for entry in entries if entry["what"] == "received" and entry["at"] >= since})
    return [Exchange([entry for entry in entries if entry["exchange"] == number]) for number in numbers]


def chosen(wires: Sequence[str], names: Sequence[str] = (), families: Sequence[str] = ()) -> list[tuple[Fault, str]]:
    """Return the faults with one of `names` or of `families`, all where there are none, with each of `wires`."""
    wanted = [
        fault for fault in FAULTS.values() if not (names or families) or fault.name in names or fault.family in families
    ]
    return [(fault, wire) for fault in wanted for wire in wires if wire in fault.wires]


def by_turns(number: int = 0, names: Sequence[str] = ()) -> list[tuple[Fault, str]]:
    """Return each fault once, or those with one of `names`; in the run with the next number it has another wire."""
    wanted = [fault for fault in FAULTS.values() if not names or fault.name in names]
    return [(fault, fault.wires[(place + number) % len(fault.wires)]) for place, fault in enumerate(wanted)]
