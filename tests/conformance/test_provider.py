"""The faults: what is declared about them, and what goes over the wire."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import processes
from conformance.client import Leaving, Request, Seen, Transfer, ask
from conformance.provider.catalog import FAMILIES, FAULTS
from conformance.provider.fault import Ending
from conformance.provider.playing import RUN_MARK
from conformance.provider.steps import End, Hold, text_of
from conformance.provider.wires import WIRES

CASES = [(fault, wire, fault.script(WIRES[wire]())) for fault in FAULTS.values() for wire in fault.wires]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with processes.provider() as url:
        yield url


def test_there_are_more_than_sixty_faults_and_each_family_has_some() -> None:
    assert len(FAULTS) > 60
    assert {fault.family for fault in FAULTS.values()} == set(FAMILIES)


def test_a_fault_is_a_name_that_a_path_and_a_model_can_have_and_a_script() -> None:
    for fault, _, script in CASES:
        assert re.fullmatch(r"[a-z0-9.-]+", fault.name)
        assert fault.does.endswith(".")
        assert script, fault.name
        assert not any(isinstance(step, End) for step in script[:-1]), fault.name


def test_no_text_is_said_where_only_a_refusal_is_right() -> None:
    refused = [(fault, script) for fault, _, script in CASES if fault.endings == (Ending.REFUSED,)]
    assert [fault.name for fault, script in refused if text_of(script)] == []


def test_what_has_to_be_seen_while_it_is_held_was_said_before() -> None:
    places = [(script, place) for _, _, script in CASES for place, step in enumerate(script) if isinstance(step, Hold)]
    assert places
    assert all(text_of(script[:place]) for script, place in places)


async def test_a_request_without_a_run_gets_a_good_answer(provider: str) -> None:
    seen = await ask(provider, Request("POST", "/v1/chat/completions", {}, body("refused-401", prompt="hello")), 5)
    assert seen.status == 200
    assert json.loads(seen.body)["choices"][0]["message"]["content"] == "ready"


async def test_the_path_chooses_a_fault_as_well_as_the_model(provider: str) -> None:
    path = "/fault/refused-404/v1/messages"
    seen = await ask(provider, Request("POST", path, {"x-api-key": "sk-1"}, body("whatever", run="a1")), 5)
    assert seen.status == 404
    assert json.loads(seen.body)["error"]["message"] == "refused, the key is sk-1"


async def test_a_fault_may_be_another_at_the_next_attempt(provider: str) -> None:
    request = Request("POST", "/v1/chat/completions", {}, body("refused-500-once", run="a2"))
    assert [(await ask(provider, request, 5)).status for _ in range(3)] == [500, 200, 200]


async def test_the_log_has_what_was_received_and_sent_without_keys(provider: str) -> None:
    headers = {"Authorization": "Bearer sk-secret"}
    seen = await ask(provider, Request("POST", "/v1/chat/completions", headers, body("deltas-held", run="a3")), 10)
    log = await entries(provider, "a3")
    whats = [entry["what"] for entry in log]
    assert whats[0] == "received"
    assert whats[-1] == "finished"
    assert "held" in whats
    assert log[-1]["bytes"] > len(seen.body)
    assert log[-1]["text"] == len("one two three")
    assert "sk-secret" not in json.dumps(log)


async def test_the_log_says_when_the_peer_left(provider: str) -> None:
    request = Request("POST", "/v1/chat/completions", {}, body("silent-mid-stream", run="a4"))
    seen = await ask(provider, request, 10, Leaving(begun))
    assert seen.transfer is Transfer.LEFT
    log = await until_left(provider, "a4")
    assert log[-1]["what"] == "left"
    assert 0 <= log[-1]["at"] - seen.ended < 1


@pytest.mark.parametrize(("name", "transfer"), [("reset-mid-event", "broken off"), ("reset-before-head", "no answer")])
async def test_a_cut_is_no_end(provider: str, name: str, transfer: str) -> None:
    seen = await ask(provider, Request("POST", "/v1/chat/completions", {}, body(name, run="a5")), 5)
    assert seen.transfer.value == transfer


async def begun(seen: Seen) -> None:
    await seen.begun.wait()


def body(model: str, run: str = "", prompt: str = "") -> dict[str, Any]:
    content = prompt or f"{RUN_MARK}{run}"
    return {"model": model, "stream": not prompt, "messages": [{"role": "user", "content": content}]}


async def entries(provider: str, run: str) -> list[dict[str, Any]]:
    seen = await ask(provider, Request("GET", f"/_log?run={run}", {}), 5)
    return [json.loads(line) for line in seen.body.splitlines()]


async def until_left(provider: str, run: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while (log := await entries(provider, run))[-1]["what"] != "left":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return log
