"""Drive a gateway through the faults and print what held; leave with 1 where something did not."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance import processes, table
from conformance.dialects import DIALECTS, Refused
from conformance.promises import Limits
from conformance.provider.catalog import FAMILIES, FAULTS
from conformance.provider.wires import WIRES
from conformance.report import Report
from conformance.runner import Runner, Verdict, chosen


def main() -> int:
    arguments = _parser().parse_args()
    unknown = [name for name in arguments.faults if name not in FAULTS]
    if unknown:
        sys.exit(f"there is no fault {', '.join(unknown)}; python -m conformance.provider --list has all of them")
    with processes.provider(arguments.provider_host, arguments.provider_port) as url:
        try:
            verdicts = asyncio.run(_run(arguments, url))
        except Refused as refusal:
            sys.exit(str(refusal))
    print("\n".join(table.lines(verdicts, every=not arguments.quiet)))
    if arguments.json:
        Report.of(arguments.base_url, arguments.dialect, _limits(arguments), verdicts).write(arguments.json)
    return 0 if all(verdict.held for verdict in verdicts) else 1


async def _run(arguments: argparse.Namespace, provider_url: str) -> Sequence[Verdict]:
    dialect = DIALECTS[arguments.dialect](
        base_url=arguments.base_url.rstrip("/"),
        api_key=arguments.api_key,
        provider_url=arguments.provider_url or provider_url,
        provider_key=arguments.provider_key,
        model=arguments.model,
        first_delta_seconds=arguments.first_delta_seconds,
    )
    runner = Runner(
        dialect, provider_url, _limits(arguments), at_once=arguments.at_once, settle_seconds=arguments.settle_seconds
    )
    return await runner.run(chosen(arguments.wire or list(WIRES), arguments.faults, arguments.family or ()))


def _limits(arguments: argparse.Namespace) -> Limits:
    return Limits(
        first_delta=arguments.first_delta_seconds,
        idle=arguments.idle_seconds,
        stall=arguments.stall_seconds,
        heartbeat=arguments.heartbeat_seconds,
        delta_seconds=arguments.delta_ms / 1000,
        release_seconds=arguments.release_ms / 1000,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    add = parser.add_argument
    add("faults", nargs="*", help="names of faults; without any, all")
    add("--base-url", required=True, help="where the gateway is")
    key = os.environ.get("CONFORMANCE_API_KEY", "")
    add("--api-key", default=key, help="may make endpoints, or use models; CONFORMANCE_API_KEY, where others may look")
    add("--dialect", choices=DIALECTS, default="elasticsearch")
    add("--model", default="{wire}/{fault}", help="how OpenAI's clients call a model of the gateway")
    add("--wire", action="append", choices=WIRES, help="what the provider speaks; more than once for several")
    add("--family", action="append", choices=FAMILIES)
    add("--provider-host", default="127.0.0.1", help="where the provider listens")
    add("--provider-port", type=int, default=0)
    add("--provider-url", default="", help="how the gateway reaches the provider, where that is another address")
    add("--provider-key", default=f"sk-conformance-{secrets.token_hex(16)}", help="what the gateway proves itself with")
    add("--first-delta-seconds", type=float, help="the gateway's limit to the first delta")
    add("--idle-seconds", type=float, help="its limit between bytes of a provider")
    add("--stall-seconds", type=float, help="its limit between deltas")
    add("--heartbeat-seconds", type=float, help="after so much silence it sends a comment")
    add("--delta-ms", type=float, default=500, help="how late a delta may be")
    add("--release-ms", type=float, default=250, help="how late a provider may be released")
    add("--at-once", type=int, default=12, help="faults at a time")
    add("--settle-seconds", type=float, default=1.5, help="until all processes of the gateway know a new endpoint")
    add("--quiet", action="store_true", help="print only what did not hold")
    add("--json", type=Path, help="write the verdicts to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
