"""A client that reads slowly, or not at all: the provider is slowed down with it, and memory does not grow."""

from __future__ import annotations

import time

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway
from tests.streaming.conftest import MakePath
from tests.streaming.test_client_gone import raw_request


def test_what_a_slow_reader_does_not_take_is_not_kept(
    impatient: Gateway, provider: FakeProvider, asking: MakePath
) -> None:
    path = asking("flood:100") + "/_stream"
    before = impatient.memory()
    connection = raw_request(impatient, path)
    for _ in range(15):
        connection.recv(1024)
        time.sleep(0.1)
    assert impatient.memory() - before < 10 * 2**20
    connection.close()
    assert provider.wait_closed(2)


def test_one_who_reads_nothing_is_dropped_and_the_provider_released(
    impatient: Gateway, provider: FakeProvider, asking: MakePath
) -> None:
    path = asking("flood:100") + "/_stream"
    descriptors = impatient.descriptors()
    connection = raw_request(impatient, path)
    began = time.monotonic()
    assert provider.wait_closed(8)
    assert time.monotonic() - began > 1.5
    # Its own connection too: to wait until it reads the rest would be to wait for ever.
    deadline = time.monotonic() + 2
    while impatient.descriptors() > descriptors:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    connection.close()


def test_a_slow_reader_does_not_keep_others_waiting(impatient: Gateway, asking: MakePath) -> None:
    connection = raw_request(impatient, asking("flood:100") + "/_stream")
    time.sleep(0.3)
    began = time.monotonic()
    assert impatient.call("POST", "/_inference/echo-completion", {"input": ""}).status == 200
    assert time.monotonic() - began < 1
    connection.close()
