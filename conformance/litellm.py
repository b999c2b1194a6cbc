"""Drive LiteLLM's proxy, out of a virtual environment of its own, through the faults.

python -m venv var/litellm && var/litellm/bin/pip install 'litellm[proxy]'
python -m conformance.litellm --environment var/litellm
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance import processes, table
from conformance.dialects import OpenAI
from conformance.promises import Limits
from conformance.provider.catalog import FAULTS
from conformance.report import Report
from conformance.runner import Runner, Verdict, by_turns

_TIMEOUT_SECONDS = 3
LIMITS = Limits(first_delta=15, idle=_TIMEOUT_SECONDS, stall=8)
"""`timeout` and `stream_timeout` are the longest silence on the connection, before the head as well, in each attempt:
up to the first delta that makes three of them and the waits between. Nothing of it limits a stream that is not silent;
what is said for `stall` is what one could wait for."""
_RETRIES = 2
# It may not be blamed for being slow where much happens at the same time.
_AT_ONCE = 6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.litellm", description=__doc__)
    parser.add_argument("--environment", type=Path, required=True, help="virtual environment with litellm[proxy]")
    parser.add_argument("--json", type=Path, help="write the verdicts to this file")
    parser.add_argument("faults", nargs="*")
    arguments = parser.parse_args()
    verdicts = _judged(arguments.environment, arguments.faults)
    print("\n".join(table.lines(verdicts, every=False)))
    if arguments.json:
        name = f"LiteLLM {_version(arguments.environment)}"
        how = f"1 process, num_retries {_RETRIES}, stream_timeout {_TIMEOUT_SECONDS}, no cooldowns, no database"
        Report.of(name, how, LIMITS, verdicts).write(arguments.json)
    return 0 if all(verdict.held for verdict in verdicts) else 1


def _judged(environment: Path, faults: Sequence[str]) -> Sequence[Verdict]:
    provider_key, master_key = (f"sk-conformance-{secrets.token_hex(16)}" for _ in range(2))
    with processes.provider() as provider, tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        # JSON is YAML.
        Path(directory, "config.yaml").write_text(json.dumps(_config(provider, provider_key, master_key)))
        proxy = _Proxy(environment, Path(directory))
        dialect = OpenAI(base_url=proxy.url, api_key=master_key, provider_url=provider, provider_key=provider_key)
        runner = Runner(dialect, provider, LIMITS, at_once=_AT_ONCE, attempts=3, revive=proxy.restart)
        try:
            proxy.start()
            return asyncio.run(runner.run(by_turns(0, faults)))
        finally:
            proxy.stop()


def _config(provider: str, provider_key: str, master_key: str) -> Mapping[str, Any]:
    """Return a configuration with a model for each fault and wire, retried as often as ours retries."""
    addresses = {"openai": f"{provider}/v1", "anthropic": provider}
    limits = {"timeout": _TIMEOUT_SECONDS, "stream_timeout": _TIMEOUT_SECONDS}
    models = [
        {
            "model_name": f"{wire}/{fault.name}",
            "litellm_params": {
                "model": f"{wire}/{fault.name}",
                "api_base": addresses[wire],
                "api_key": provider_key,
                **limits,
            },
        }
        for fault in FAULTS.values()
        for wire in fault.wires
    ]
    return {
        "model_list": models,
        "router_settings": {"num_retries": _RETRIES, "disable_cooldowns": True},
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": master_key},
    }


class _Proxy:
    """The proxy, on 127.0.0.1, with the configuration in `directory`."""

    def __init__(self, environment: Path, directory: Path) -> None:
        self._command = [str(environment.absolute() / "bin" / "litellm"), "--config", "config.yaml"]
        self._directory = directory
        self._port = processes.free_port()
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": self._directory}
        variables = processes.environment(**settings)
        log = self._directory / "log"
        with log.open("a") as output:
            self._process = subprocess.Popen(  # noqa: S603 (named by who runs this)
                [*self._command, "--host", "127.0.0.1", "--port", str(self._port)],
                cwd=self._directory, env=variables, stdout=output, stderr=output, text=True,
            )  # fmt: skip
        processes.wait_until_ready(self._process, f"{self.url}/health/liveliness", log)

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process)

    async def restart(self) -> None:
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)


def _version(environment: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    command = [str(environment.absolute() / "bin" / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 (see above)


if __name__ == "__main__":
    sys.exit(main())
