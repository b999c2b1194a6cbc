"""Plays the script of a fault on a connection, and notes in the journal what happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from itertools import count
from urllib.parse import parse_qs, urlsplit

from conformance.provider.catalog import FAULTS
from conformance.provider.http import Connection, Request
from conformance.provider.journal import Journal
from conformance.provider.steps import (
    ENDLESS,
    HEAD,
    LAST_CHUNK,
    LONGEST_ANSWER,
    End,
    Hold,
    Pause,
    Send,
    Step,
    answer,
    body,
)
from conformance.provider.wires import WIRES, Wire

RUN_MARK = "conformance-run-"
"""Behind it a prompt names its run. Without one, as where a gateway tries an endpoint, nothing is wrong."""
_RUN = re.compile(RUN_MARK.encode() + rb"([0-9a-f]+)")
_FAULT_IN_PATH = re.compile(r"/fault/([^/]+)/")
_NOTE_SECONDS = 0.25
_READY = ("ready",)


class Player:
    """Answers all requests of all connections."""

    def __init__(self) -> None:
        self._journal = Journal()

    async def answer(self, connection: Connection, request: Request) -> None:
        address = urlsplit(request.path)
        if address.path == "/_log":
            run = parse_qs(address.query).get("run", [""])[0]
            await connection.write(answer("200 OK", self._journal.lines(run), "application/x-ndjson").data)
        elif (run := _run_of(request)) and request.method == "POST":
            await self._play(connection, request, run)
        elif request.method == "POST":
            await connection.write(_good(_wire(request), request))
        else:
            await connection.write(answer("200 OK", b'{"object":"list","data":[]}').data)

    async def _play(self, connection: Connection, request: Request, run: str) -> None:
        number = self._journal.open(run)
        playing = _Playing(self._journal, connection, run, number)
        # Names only: a log with keys in it would be a fault of our own.
        names = sorted(request.headers)
        playing.note("received", path=request.path, bytes=len(request.body), headers=names)
        try:
            for step in _script(request, number):
                await playing.do(step)
        except asyncio.CancelledError:
            if connection.peer_left:
                playing.note("left", bytes=connection.sent)
            raise
        playing.note("finished", bytes=connection.sent)


class _Playing:
    """One answer. Its entries count the characters of text that were sent so far."""

    def __init__(self, journal: Journal, connection: Connection, run: str, number: int) -> None:
        self._journal = journal
        self._connection = connection
        self._run = run
        self._number = number
        self._text = 0

    def note(self, what: str, **facts: object) -> None:
        self._journal.note(self._run, self._number, what, text=self._text, **facts)

    async def do(self, step: Step) -> None:
        match step:
            case Send():
                await self._send(step)
                self._text += len(step.text)
                self.note("sent", bytes=self._connection.sent)
            case Pause():
                await self._connection.flushed()
                await asyncio.sleep(step.seconds)
            case Hold():
                await self._connection.flushed()
                self.note("holds")
                await asyncio.sleep(step.seconds)
                self.note("held")
            case End():
                await self._connection.flushed()
                self.note("finished", bytes=self._connection.sent)
                self._connection.close(reset=step is End.RESET)
                # The connection is lost, and this task with it.
                await asyncio.sleep(1)

    async def _send(self, step: Send) -> None:
        clock = asyncio.get_running_loop().time
        noted = clock()
        for piece in _pieces(step):
            await self._connection.write(piece)
            # Gives way even where nothing is waited for, so that a peer that leaves is noticed.
            await asyncio.sleep(step.apart)
            if clock() - noted > _NOTE_SECONDS:
                noted = clock()
                self.note("sent", bytes=self._connection.sent)
            if step.times == ENDLESS and self._connection.sent > LONGEST_ANSWER:
                return


def _pieces(step: Send) -> Iterator[bytes]:
    repeated = count() if step.times == ENDLESS else range(step.times)
    size = step.size or len(step.data)
    for _ in repeated:
        for place in range(0, len(step.data), size):
            yield step.data[place : place + size]


def _run_of(request: Request) -> str:
    found = _RUN.search(request.body)
    return found[1].decode() if found else ""


def _wire(request: Request) -> Wire:
    """Return what the caller wants to be answered in, by its path."""
    name = "anthropic" if urlsplit(request.path).path.endswith("/messages") else "openai"
    return WIRES[name](request.key, f"http://{request.headers.get('host', '')}")


def _script(request: Request, attempt: int) -> Sequence[Step]:
    """Return what is done at attempt number `attempt`, for the fault that the path or else the model names."""
    found = _FAULT_IN_PATH.search(request.path)
    name = found[1] if found else str(request.fields().get("model", "")).rpartition("/")[2]
    fault, wire = FAULTS.get(name), _wire(request)
    if fault is None:
        return [answer("404 Not Found", wire.refusal(f"there is no fault [{name}]"))]
    script = fault.before[attempt - 1] if attempt <= len(fault.before) else fault.script
    return script(wire)


def _good(wire: Wire, request: Request) -> bytes:
    """Return a good answer, streamed if the request wants that."""
    if request.fields().get("stream"):
        return HEAD.data + body(wire.stream(_READY)).data + LAST_CHUNK.data
    return answer("200 OK", wire.whole(_READY[0])).data
