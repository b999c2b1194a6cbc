"""What all processes of the machine answer now: each listens on a Unix socket in the data directory.

The one that serves a page asks them all. Only the user that the gateway runs as can connect; what a page may see is
decided in the process that is asked, by the caller that the question names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from access.privileges import Caller
from streaming import live
from streaming.live import Listing

logger = logging.getLogger(__name__)

_ENDING = ".sock"
# For a process that is busy; one that is stopped in a debugger must not keep a page waiting.
_ANSWER_SECONDS = 2.0
_MOST_BYTES = 2**20
_OPEN_FILES = Path("/proc/self/fd")
_encode = msgspec.json.Encoder().encode


class AskListing(msgspec.Struct, tag="list"):
    caller: Caller


class AskStop(msgspec.Struct, tag="stop"):
    caller: Caller
    number: int


class _Listener:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.path = _directory() / f"{os.getpid()}{_ENDING}"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        # What a killed process of the same number left.
        self.path.unlink(missing_ok=True)
        with _address(self.path) as address:
            self._server = await asyncio.start_unix_server(_answer, address, limit=_MOST_BYTES)
            self.path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    async def aclose(self) -> None:
        self.path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()


_decode = msgspec.json.Decoder(AskListing | AskStop).decode
_listener: _Listener | None = None


async def listen() -> None:
    """Answer other processes from now on; every call but the first does nothing. Raise OSError."""
    global _listener
    loop = asyncio.get_running_loop()
    if _listener is None or _listener.loop is not loop:
        _listener = _Listener(loop)
        await _listener.start()


async def close() -> None:
    """Answer nobody any more."""
    global _listener
    listener, _listener = _listener, None
    if listener is not None:
        await listener.aclose()


async def listing(caller: Caller) -> tuple[Listing, int]:
    """Return what `caller` may see, the oldest first, and how many processes did not answer."""
    question = AskListing(_essential(caller))
    answers = await asyncio.gather(*(_ask(path, question, Listing) for path in _paths()))
    heard = [answer for answer in answers if answer is not None]
    running = sorted((one for answer in heard for one in answer.running), key=lambda one: -one.seconds)
    found = Listing(sum(answer.total for answer in heard), running[: live.MOST_SHOWN])
    return found, len(answers) - len(heard)


async def stop(caller: Caller, process: int, number: int) -> bool:
    """Stop one request; return whether it is there and `caller` may see it."""
    path = _directory() / f"{process}{_ENDING}"
    return bool(path.exists() and await _ask(path, AskStop(_essential(caller), number), bool))


def _essential(caller: Caller) -> Caller:
    """Return `caller` without metadata and other names than the user name, which nobody asks for."""
    return replace(caller, full_name="", email="", metadata={}, roles=(), undefined_roles=())


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one line by one line."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            asked = _decode(await reader.readline())
            if isinstance(asked, AskStop):
                answer: Any = live.stop(asked.caller, asked.number)
            else:
                answer = live.listing(asked.caller, os.getpid())
            writer.write(_encode(answer) + b"\n")
            await writer.drain()
    except (OSError, ValueError) as error:
        logger.warning("Another process asked what runs here, and got no answer: %s", type(error).__name__)
    finally:
        writer.close()


async def _ask(path: Path, question: Any, kind: Any) -> Any:
    """Return the answer of one process, None where it gave none. A killed one says nothing; what it left is removed."""
    writer = None
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            with _address(path) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=_MOST_BYTES)
            writer.write(_encode(question) + b"\n")
            return msgspec.json.decode(await reader.readline(), type=kind)
    except ConnectionRefusedError:
        _remove(path)
        return kind()
    except (OSError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _paths() -> list[Path]:
    return sorted(_directory().glob(f"*{_ENDING}"))


def _directory() -> Path:
    directory = Path(settings.DATA_DIR) / "run"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield an address of the socket at `path`: some hundred bytes are the most, and directories are often longer."""
    if not _OPEN_FILES.is_dir():
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"{_OPEN_FILES}/{directory}/{path.name}"
    finally:
        with suppress(OSError):
            os.close(directory)
