"""A page of the admin as a browser has it: a session, the token for forms, and WebSockets with an origin."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.gateway import Answer, Gateway, deltas

STREAM = "/admin/playground/stream"


@dataclass
class Ended:
    """One stream of the playground, read to its end: the text, the events as they came, and how it ended."""

    text: str
    events: list[tuple[str, str]]
    end: dict[str, Any]

    @property
    def error(self) -> dict[str, Any]:
        name, data = self.events[-1]
        assert name == "error"
        error: dict[str, Any] = json.loads(data)["error"]
        return error


class Browser:
    """Signed in to the admin; `cookies` is what it sends along."""

    def __init__(self, gateway: Gateway | Any, username: str = "admin", password: str = "") -> None:
        self._gateway = gateway
        self._jar: dict[str, str] = {}
        page = self.get("/admin/login/")
        form = {"csrfmiddlewaretoken": _token(page), "username": username, "password": password or gateway.password}
        answer = self.post("/admin/login/?next=/admin/", form)
        assert answer.status == 302, answer.body.decode()

    @property
    def cookies(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._jar.items())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self._send("GET", path, None, headers or {})

    def post(self, path: str, form: dict[str, Any]) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": self._gateway.url + path}
        return self._send("POST", path, urllib.parse.urlencode(form), headers)

    def post_by_script(self, path: str, form: dict[str, Any]) -> Answer:
        return self.post(path, {**form, "csrfmiddlewaretoken": self._jar["csrftoken"]})

    @contextmanager
    def playground(self, **options: Any) -> Iterator[Playground]:
        """Yield the WebSocket of the page."""
        headers = {"Cookie": options.pop("cookies", self.cookies)}
        origin = options.pop("origin", self._gateway.url)
        address = self._gateway.url.replace("http", "ws") + STREAM
        with connect(address, additional_headers=headers, origin=origin, proxy=None, **options) as socket:
            yield Playground(socket)

    @contextmanager
    def unread_playground(self, message: Any, receive_bytes: int) -> Iterator[socket.socket]:
        """Send one message of less than 126 bytes on a WebSocket, and yield its connection; nothing is read."""
        head = (
            f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1:{self._gateway.port}\r\nOrigin: {self._gateway.url}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {'A' * 22}==\r\nCookie: {self.cookies}\r\n\r\n"
        )
        with socket.socket() as connection:
            # Has to be said before the connection is made.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            connection.settimeout(10)
            connection.connect(("127.0.0.1", self._gateway.port))
            connection.sendall(head.encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += connection.recv(1)
            assert answer.startswith(b"HTTP/1.1 101"), answer
            connection.sendall(_frame(json.dumps(message).encode()))
            yield connection

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=30)
        try:
            connection.request(method, path, body, {"Cookie": self.cookies, **headers})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self._jar[name] = value
        return answer


class Playground:
    """One WebSocket; its messages are kept until they are asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._kept: list[dict[str, Any]] = []

    def send(self, message: Any) -> None:
        self.socket.send(json.dumps(message))

    def start(self, inference_id: str, number: int = 1, text: str = "one two three", **more: Any) -> None:
        self.send({"type": "start", "id": number, "inference_id": inference_id, "input": text, **more})

    def stop(self, number: int = 1) -> None:
        self.send({"type": "stop", "id": number})

    def message(self, number: int | None = None, seconds: float = 20) -> dict[str, Any]:
        """Return the next message, of one stream if a number is given."""
        deadline = time.monotonic() + seconds
        while True:
            for position, kept in enumerate(self._kept):
                if number is None or kept.get("id") == number:
                    return self._kept.pop(position)
            self._kept.append(json.loads(self.socket.recv(max(0.0, deadline - time.monotonic()))))

    def ended(self, number: int = 1, seconds: float = 20) -> Ended:
        """Read one stream to its end."""
        events = []
        while (message := self.message(number, seconds))["type"] == "event":
            events.append(_event(message["event"]))
        assert message["type"] == "end", message
        text = "".join(deltas(data) for name, data in events if name == "message" and data != "[DONE]")
        return Ended(text, events, message)

    def answer(self, inference_id: str, number: int = 1, **more: Any) -> Ended:
        self.start(inference_id, number, **more)
        return self.ended(number)


def _frame(text: bytes) -> bytes:
    """Return the frame of a text message, with a mask that leaves it as it is."""
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def _event(event: str) -> tuple[str, str]:
    found = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", event)
    assert found, event
    return found[1], found[2]


def _token(page: Answer) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())
    assert found, page.body.decode()
    return found[1]
