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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance import processes, table
from conformance.dialects import OpenAI
from conformance.promises import Limits
from conformance.provider.catalog import FAULTS
from conformance.provider.wires import WIRES
from conformance.report import Report
from conformance.runner import Runner, Verdict, chosen

LIMITS = Limits(first_delta=3, idle=3, stall=8)
"""What its settings can say: `stream_timeout` is the silence on the connection, before the head as well, and
LITELLM_MAX_STREAMING_DURATION_SECONDS, a whole number, is the only limit for a stream that is not silent."""
_RETRIES = 2
# It may not be blamed for being slow where much happens at the same time.
_AT_ONCE = 4


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
        how = f"1 process, num_retries {_RETRIES}, stream_timeout {LIMITS.idle:g}, no cooldowns, no database"
        Report.of(name, how, LIMITS, verdicts).write(arguments.json)
    return 0 if all(verdict.held for verdict in verdicts) else 1


def _judged(environment: Path, faults: Sequence[str]) -> Sequence[Verdict]:
    provider_key, master_key = (f"sk-conformance-{secrets.token_hex(16)}" for _ in range(2))
    cases = chosen(list(WIRES), faults)
    with processes.provider() as provider, _started(environment, _config(provider, provider_key, master_key)) as url:
        dialect = OpenAI(base_url=url, api_key=master_key, provider_url=provider, provider_key=provider_key)
        return asyncio.run(Runner(dialect, provider, LIMITS, at_once=_AT_ONCE).run(cases))


def _config(provider: str, provider_key: str, master_key: str) -> Mapping[str, Any]:
    """Return a configuration with a model for each fault and wire, retried as often as ours retries."""
    addresses = {"openai": f"{provider}/v1", "anthropic": provider}
    limits = {"timeout": LIMITS.first_delta, "stream_timeout": LIMITS.idle}
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


@contextmanager
def _started(environment: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Run the proxy on 127.0.0.1; yield its address."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        # JSON is YAML.
        Path(directory, "config.yaml").write_text(json.dumps(config))
        log, port = Path(directory, "log"), processes.free_port()
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": directory}
        variables = processes.environment(**settings, LITELLM_MAX_STREAMING_DURATION_SECONDS=LIMITS.stall)
        command = [str(environment.absolute() / "bin" / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
        with log.open("w") as output:
            process = subprocess.Popen(  # noqa: S603 (named by who runs this)
                [*command, "--port", str(port)],
                cwd=directory, env=variables, stdout=output, stderr=output, text=True,
            )  # fmt: skip
        try:
            processes.wait_until_ready(process, f"http://127.0.0.1:{port}/health/liveliness", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            processes.stop(process)


def _version(environment: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    command = [str(environment.absolute() / "bin" / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 (see above)


if __name__ == "__main__":
    sys.exit(main())
