"""Measure what a stream costs the gateway: CPU time, time to first delta, memory.

Starts a gateway as its users do and a fake provider, both on 127.0.0.1 and with nothing kept, drives them from this
process, prints a table and stops them. Other gateways beside it: `python -m benchmarks`.

    python -m benchmarks.stream --quick
    python -m benchmarks.stream --service echo --rounds 5
    python -m benchmarks.stream --service all
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import uvloop

from benchmarks import beside, loads
from benchmarks.client import StreamFailed
from benchmarks.loads import Measurements
from benchmarks.numbers import positive
from benchmarks.processes import Program, fake_provider, most_streams
from benchmarks.table import ALONE_PER_SECOND, ALONE_STREAMS, notes, table
from benchmarks.targets import SERVICES, GatewayTarget, ProviderTarget, Target, service_urls
from tests.gateway import Gateway

# Instead of a service: each of them beside `openai`, and nothing else.
_ALL = "all"


@dataclass(frozen=True)
class Size:
    """How much is measured; see the help of the options."""

    rounds: int
    requests: int
    seconds: float
    streams: int

    def __str__(self) -> str:
        return f"rounds: {self.rounds}, requests: {self.requests}, seconds: {self.seconds:g}, streams: {self.streams}"


FULL = Size(rounds=3, requests=4000, seconds=5.0, streams=500)
QUICK = Size(rounds=1, requests=1500, seconds=2.0, streams=200)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        sys.exit("CPU time and memory are read as Linux shows them; on this system there is nothing to measure with.")
    size = _size(options)
    if (most := most_streams()) < size.streams:
        sys.exit(f"--streams {size.streams} is more than the limit of open files allows here: {most} (ulimit -Hn)")
    # A benchmark that is told to stop stops what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        print("\n".join(_report(options.service, size)))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (StreamFailed, OSError) as error:
        sys.exit(f"The benchmark stopped: {str(error) or 'an answer took too long'}")


def _report(service: str, size: Size) -> Iterator[str]:
    """Yield the lines of all that is measured."""
    if service != _ALL:
        rounds = [_round(service, size) for _ in _counted(size.rounds, service)]
        yield f"\nservice [{service}], {size}, median (lowest-highest round)\n"
        yield from (*table(rounds), "", *notes())
    if service != beside.REFERENCE:
        names = sorted(SERVICES) if service == _ALL else [service]
        others = dict.fromkeys((beside.REFERENCE, *names))
        yield ""
        yield from beside.lines([_round_beside(others, size) for _ in _counted(size.rounds, "beside openai")])


def _counted(rounds: int, what: str) -> Iterator[None]:
    for number in range(rounds):
        print(f"{what}: round {number + 1} of {rounds} …", file=sys.stderr, flush=True)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--service", choices=[*sorted(SERVICES), _ALL], default="openai", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="take less than 30 s; smaller defaults, in brackets below")
    for name, kind, most, what in (
        ("rounds", int, 100, "each with a gateway of its own"),
        ("requests", int, 1_000_000, "streams of the CPU per request"),
        ("seconds", float, 300, "how long lone deltas are counted"),
        ("streams", int, 20_000, "how many slow streams are open at once"),
    ):
        default = f"default: {getattr(FULL, name):g} [{getattr(QUICK, name):g}]"
        parser.add_argument(f"--{name}", type=positive(kind, most), metavar="N", help=f"{what}; {default}")
    return parser


def _size(options: argparse.Namespace) -> Size:
    default = QUICK if options.quick else FULL
    given = {name: value for name in vars(default) if (value := getattr(options, name)) is not None}
    return Size(**(vars(default) | given))


def _round(service: str, size: Size) -> list[Measurements]:
    """Return the measurements of the gateway and, where the service has a provider, of the provider."""
    with _targets(service) as targets, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(targets, size))


def _round_beside(services: Iterable[str], size: Size) -> dict[str, Measurements]:
    """Return the measurements of the gateway with each of the services."""
    with _running() as (gateway, provider), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        targets: dict[str, Target] = {name: GatewayTarget(gateway, name, provider) for name in services}
        return runner.run(beside.measure(targets, size.requests, size.seconds))


@contextlib.contextmanager
def _targets(service: str) -> Iterator[list[Target]]:
    wire = SERVICES[service].wire
    with _running() as (gateway, provider):
        targets: list[Target] = [GatewayTarget(gateway, service, provider)]
        if wire is not None:
            targets.append(ProviderTarget(provider, wire))
        yield targets


@contextlib.contextmanager
def _running() -> Iterator[tuple[Gateway, Program]]:
    """Yield a gateway and the provider behind it."""
    # The call that validates a new endpoint is no part of a stream.
    with (
        fake_provider() as provider,
        Gateway.started(GATEWAY_SKIP_VALIDATION="true", GATEWAY_SERVICE_URLS=service_urls(provider)) as gateway,
    ):
        yield gateway, provider


async def _measure(targets: Sequence[Target], size: Size) -> list[Measurements]:
    found: list[Measurements] = [{} for _ in targets]
    for target in targets:
        await loads.warm_up(target)
    async for _, held in loads.open_slow_streams(targets[0], [size.streams], loads.SLOW_SECONDS_APART):
        found[0] |= {"stream_memory": held["memory"], "threads": held["threads"]}
    await targets[0].program.settle()
    for target, values in zip(targets, found, strict=True):
        values |= await loads.short_streams(target, range(size.requests))
        values |= await loads.bursts(target, range(max(1, size.requests // 20)))
        values |= await loads.paced_deltas(target, size.seconds, ALONE_STREAMS, ALONE_PER_SECOND)
    for values, first in zip(found, await loads.first_deltas(targets, range(max(10, size.requests // 4))), strict=True):
        values |= first
    for percentile in ("p50", "p99"):
        direct = found[1][f"first_{percentile}"] if len(found) > 1 else 0.0
        found[0][f"added_{percentile}"] = found[0][f"first_{percentile}"] - direct
    return found


if __name__ == "__main__":
    main()
