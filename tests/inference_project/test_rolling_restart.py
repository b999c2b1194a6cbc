"""Two processes behind a load balancer are replaced one after the other, and no request is lost."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.balancer import Balancer
from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway, Stream

STREAMS = 6
REQUESTS = 3
DELTAS = "".join(f" {number}" for number in range(10))


class Load:
    """Clients that ask again and again, and remember what did not come as it should."""

    def __init__(self, port: int, key: str, path: str) -> None:
        self._port, self._path = port, path
        self._headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
        self._over = threading.Event()
        self.outcomes: Counter[str] = Counter()

    @contextmanager
    def steady(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._stream) for _ in range(STREAMS)]
        threads += [threading.Thread(target=self._request) for _ in range(REQUESTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)

    def _stream(self) -> None:
        """Each stream has a connection of its own."""
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                stream = Stream(connection, self._sent(connection, "POST", f"{self._path}/_stream"))
                text = stream.text() if stream.status == 200 else f"status {stream.status}"
                stream.leave()
            except (OSError, http.client.HTTPException) as error:
                text = repr(error)
            self.outcomes["stream" if text == DELTAS else f"stream: {text}"] += 1

    def _request(self) -> None:
        """A connection is used until the server says that it closes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            for method, path in (("POST", self._path), ("GET", "/_inference")):
                try:
                    response = self._sent(connection, method, path)
                    response.read()
                    status = str(response.status)
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    status = repr(error)
                self.outcomes["request" if status == "200" else f"{method}: {status}"] += 1
            time.sleep(0.1)
        connection.close()

    def _sent(self, connection: http.client.HTTPConnection, method: str, path: str) -> http.client.HTTPResponse:
        body = json.dumps({"input": "x"}) if method == "POST" else None
        connection.request(method, path, body, self._headers)
        return connection.getresponse()


def replace(balancer: Balancer, old: Gateway, new: Gateway) -> None:
    """Put `new` into the place of `old`, which is told to leave and goes when its streams have ended."""
    balancer.ports.append(new.port)
    deadline = time.monotonic() + 30
    while new.port not in balancer.ready:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(30) == 0
    balancer.ports.remove(old.port)


def test_a_rolling_restart_of_two_processes_loses_no_request(tmp_path: Path, postgresql: str) -> None:
    environment = {
        "DATABASE_URL": postgresql,
        "GATEWAY_SKIP_VALIDATION": "true",
        # Longer than the balancer needs to notice, with room for a busy machine.
        "GATEWAY_SHUTDOWN_DELAY_SECONDS": "3",
    }
    with (
        FakeProvider.running() as provider,
        Balancer.running() as balancer,
        Gateway.started(tmp_path, **environment) as first,
        Gateway.started(tmp_path, **environment) as second,
        Gateway.started(tmp_path, **environment) as third,
        Gateway.started(tmp_path, **environment) as fourth,
    ):
        url = f"{provider.url}/v1/chat/completions"
        inference_id = first.put("openai", api_key=provider.api_key, model_id="tick:0.1:10", url=url)
        balancer.ports = [first.port, second.port]
        while len(balancer.ready) < 2:
            time.sleep(0.05)
        load = Load(balancer.port, first.key, f"/_inference/completion/{inference_id}")
        with load.steady():
            replace(balancer, first, third)
            replace(balancer, second, fourth)
            time.sleep(1)
        assert set(load.outcomes) == {"stream", "request"}, load.outcomes
        assert min(load.outcomes.values()) > 20
        assert "Traceback" not in first.read_log() + second.read_log()
