"""Programs that a run needs beside itself, started here and stopped however it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 300
_STOP_SECONDS = 20


@contextmanager
def provider(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Run the provider in a process of its own, so that what it notes is not late; yield its address."""
    command = [sys.executable, "-m", "conformance.provider", "--host", host, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 (ours)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the provider did not start")
        yield url
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()


def wait_until_ready(process: subprocess.Popen[str], url: str, log: Path) -> None:
    """Wait until `url` is answered with 200. Raise RuntimeError with the end of `log` where that never is."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (http)
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the gateway did not start: {log.read_text()[-2000:]}")


def environment(**variables: object) -> dict[str, str]:
    """Return an environment with `variables` and what every program needs; no keys of whoever runs this."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **{name: str(value) for name, value in variables.items()}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(process: subprocess.Popen[str]) -> None:
    """End a program, and by force where it does not want to."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
