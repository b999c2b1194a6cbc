"""The gateway keeps its promises whatever a provider does: every fault once, with one process on SQLite.

`make conformance-ours` meets them with every database and number of processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from conformance import processes
from conformance.dialects import Elasticsearch
from conformance.ours import ENVIRONMENT, LIMITS
from conformance.provider.catalog import FAULTS
from conformance.runner import Runner, Verdict, by_turns
from tests.gateway import Gateway

PROVIDER_KEY = "sk-conformance-in-tests"


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Mapping[str, Verdict]]:
    """What came of each fault, by its name."""
    with processes.provider() as provider, Gateway.started(None, **ENVIRONMENT) as gateway:
        dialect = Elasticsearch(
            gateway.url, gateway.key, provider, PROVIDER_KEY, first_delta_seconds=LIMITS.first_delta
        )
        runner = Runner(dialect, provider, LIMITS, at_once=24, keep=True, warm_up=4)
        *found, alive = asyncio.run(runner.run(by_turns()))
        yield {verdict.fault.name: verdict for verdict in found} | {"alive": alive}
        assert PROVIDER_KEY not in gateway.read_log()


@pytest.mark.parametrize("name", [*FAULTS, "alive"])
def test_the_gateway_holds(verdicts: Mapping[str, Verdict], name: str) -> None:
    assert verdicts[name].skipped == ""
    assert list(verdicts[name].problems) == []
