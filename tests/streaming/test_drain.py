"""A process that is told to leave: it says so, finishes what runs, ends the rest politely, and goes in time."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.fakes.provider import FakeProvider
from tests.fakes.silent import SilentServer
from tests.gateway import Answer, Gateway, Stream
from tests.streaming.test_client_gone import raw_request

ECHO = "/_inference/completion/echo-completion"
# What the server itself needs to stop; on a busy machine more than it should.
STOP_SECONDS = 8


@contextmanager
def leaving(drain_seconds: int, **environment: str) -> Iterator[Gateway]:
    """Yield a gateway that asks no provider before it stores an endpoint; without a traceback in its log at the end."""
    with Gateway.started(
        None, GATEWAY_DRAIN_SECONDS=str(drain_seconds), GATEWAY_SKIP_VALIDATION="true", **environment
    ) as gateway:
        yield gateway
        assert "Traceback" not in gateway.read_log()


def asking(gateway: Gateway, provider: FakeProvider, model: str, **settings: Any) -> str:
    """Make an endpoint and return its path."""
    url = f"{provider.url}/v1/chat/completions"
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id=model, url=url, **settings)
    return f"/_inference/completion/{inference_id}"


def tell_to_leave(gateway: Gateway, number: int = signal.SIGTERM) -> None:
    """Send a signal and wait until it is heeded."""
    gateway.process.send_signal(number)
    deadline = time.monotonic() + 5
    while gateway.call("GET", "/readyz", key="").status != 503:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def last_event(stream: Stream) -> tuple[str, int]:
    """Read to a clean end of the body; return the name and the status of its last event."""
    name, data = list(stream.events())[-1]
    return name, json.loads(data).get("status", 200) if data != "[DONE]" else 200


def test_while_a_stream_runs_new_requests_are_refused_and_everything_else_is_answered() -> None:
    with leaving(30) as gateway, FakeProvider.running() as provider:
        path = asking(gateway, provider, "tick:0.1:30") + "/_stream"
        with gateway.stream(path, {"input": "x"}) as stream:
            stream.event()
            tell_to_leave(gateway)
            assert gateway.call("GET", "/readyz", key="").json() == {"status": "draining"}
            for refused in (
                gateway.call("POST", f"{ECHO}/_stream", {"input": "x"}),
                gateway.call("POST", ECHO, {"input": "x"}),
            ):
                assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
                assert refused.error["reason"] == "The gateway is shutting down, try again"
                # Whoever keeps connections would send the next request to a process that is gone.
                assert refused.headers["Connection"] == "close"
            assert gateway.call("GET", "/livez", key="").status == 200
            assert gateway.call("GET", "/_inference").status == 200
            assert last_event(stream) == ("message", 200)
        finished = time.monotonic()
        assert gateway.process.wait(STOP_SECONDS) == 0
        assert time.monotonic() - finished < STOP_SECONDS
        assert len(provider.requests) == 1


def test_at_the_end_of_the_drain_whoever_waits_is_told_in_every_phase() -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(leaving(2, GATEWAY_CONNECT_SECONDS="60"))
        provider = stack.enter_context(FakeProvider.running())
        silent = stack.enter_context(SilentServer.running())
        limited = asking(gateway, provider, "x", rate_limit={"requests_per_minute": 1})
        assert gateway.call("POST", limited, {"input": "x"}).status == 200
        handshake = f"https://127.0.0.1:{silent.port}/v1/chat/completions"
        connecting = f"/_inference/completion/{gateway.put('openai', api_key='x', model_id='x', url=handshake)}"
        paths = [
            *(limited, f"{limited}/_stream", connecting, f"{connecting}/_stream"),
            *(asking(gateway, provider, "slow-headers:60"), asking(gateway, provider, "slow-headers:60") + "/_stream"),
            asking(gateway, provider, "late:60") + "/_stream",
            asking(gateway, provider, "error:503:9:60") + "/_stream",
        ]
        running = stack.enter_context(
            gateway.stream(asking(gateway, provider, "tick:0.1:1000") + "/_stream", {"input": "x"})
        )
        pool = stack.enter_context(ThreadPoolExecutor(len(paths)))
        answers = [pool.submit(gateway.call, "POST", path, {"input": "x"}) for path in paths]
        assert provider.wait_requests(6, 10)
        assert silent.wait_accepted(2)
        asked = time.monotonic()
        tell_to_leave(gateway)
        told: list[Answer] = [answer.result(20) for answer in answers]
        assert [(answer.status, answer.error["type"]) for answer in told] == [(503, "status_exception")] * len(paths)
        assert last_event(running) == ("error", 503)
        assert 1.5 < time.monotonic() - asked < 2 + STOP_SECONDS
        # Each connection to a provider was closed, and not only by the end of the process.
        assert provider.wait_closed(1, count=4)
        assert silent.wait_closed(1, count=2)
        assert gateway.process.wait(STOP_SECONDS) == 0


def test_connections_that_do_nothing_do_not_keep_the_process() -> None:
    with leaving(1) as gateway, FakeProvider.running() as provider, ExitStack() as stack:
        address = ("127.0.0.1", gateway.port)
        connections = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(3)]
        idle, half_a_head, half_a_body = connections
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        half_a_head.sendall(b"POST /_inference/completion/echo-completion HTTP/1.1\r\nHost: x\r\n")
        half_a_body.sendall(
            b"POST /_inference/completion/echo-completion HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
        )
        not_reading = raw_request(gateway, asking(gateway, provider, "flood:100") + "/_stream")
        stack.enter_context(not_reading)
        assert provider.wait_requests(1)
        time.sleep(0.5)
        asked = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
        # The drain, the time that connections have to close, and a busy machine.
        assert time.monotonic() - asked < 1 + 5 + STOP_SECONDS
        assert provider.wait_closed(2)


def test_a_second_sigterm_changes_nothing_and_a_second_sigint_ends_the_drain() -> None:
    with leaving(60) as gateway, FakeProvider.running() as provider:
        path = asking(gateway, provider, "tick:0.1:1000") + "/_stream"
        with gateway.stream(path, {"input": "x"}) as stream:
            stream.event()
            tell_to_leave(gateway, signal.SIGINT)
            gateway.process.send_signal(signal.SIGTERM)
            for _ in range(10):
                assert stream.event()[0] == "message"
            gateway.process.send_signal(signal.SIGINT)
            assert last_event(stream) == ("error", 503)
        assert gateway.process.wait(STOP_SECONDS) == 0
        assert provider.wait_closed(1)


def test_several_processes_leave_together() -> None:
    with leaving(2, GATEWAY_WORKERS="2") as gateway, FakeProvider.running() as provider, ExitStack() as stack:
        path = asking(gateway, provider, "tick:0.1:1000") + "/_stream"
        streams = [stack.enter_context(gateway.stream(path, {"input": "x"})) for _ in range(6)]
        for stream in streams:
            stream.event()
        tell_to_leave(gateway)
        # The port is open until the end; nobody may wait behind it for a process that takes no more.
        assert gateway.call("POST", ECHO, {"input": "x"}).status == 503
        assert [last_event(stream) for stream in streams] == [("error", 503)] * 6
        assert gateway.process.wait(STOP_SECONDS) == 0


def test_with_a_delay_new_requests_are_served_after_sigterm_for_so_long() -> None:
    with leaving(30, GATEWAY_SHUTDOWN_DELAY_SECONDS="3") as gateway:
        asked = time.monotonic()
        tell_to_leave(gateway)
        assert gateway.call("POST", ECHO, {"input": "x"}).status == 200
        with gateway.stream(f"{ECHO}/_stream", {"input": "a b c"}) as stream:
            assert stream.text() == "a b c"
        assert gateway.process.wait(3 + STOP_SECONDS) == 0
        assert time.monotonic() - asked > 2.5
