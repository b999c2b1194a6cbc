"""Statuses that are no success, answers that are no HTTP, and what comes before an answer."""

from __future__ import annotations

from conformance.provider.fault import COMPLETE, REFUSED, Fault
from conformance.provider.steps import FOREVER, STREAM_HEAD, End, Pause, Script, Send, Step, answer, ended, started
from conformance.provider.wires import Wire

_NO_KEY = (400, 401, 403, 500, 502, 503)
"""That the gateway's own key is refused is no fault of its caller, and may be said so."""


def _refusal(status: str, headers: bytes = b"") -> Script:
    """Refuse with an error that repeats the key, as some providers do."""
    return lambda wire: [answer(status, wire.refusal(f"refused, the key is {wire.key}"), headers=headers)]


def _good(wire: Wire) -> list[Step]:
    return [*started(wire, "one"), *ended(wire)]


def _after(*bytes_before: bytes) -> Script:
    """Send an ordinary answer behind some bytes."""
    return lambda wire: [Send(b"".join(bytes_before)), *_good(wire)]


def _redirect(status: str) -> Script:
    def script(wire: Wire) -> list[Step]:
        location = f"Location: {wire.origin}/elsewhere{wire.path}\r\n".encode()
        return [answer(status, b"", "text/plain", location)]

    return script


FAULTS = (
    Fault("refused-400", "Status 400.", _refusal("400 Bad Request"), REFUSED, statuses=(400,), attempts=1),
    Fault(
        "refused-401",
        "Status 401, with the key in the message.",
        _refusal("401 Unauthorized"),
        REFUSED,
        statuses=_NO_KEY,
        attempts=3,
    ),
    Fault("refused-403", "Status 403.", _refusal("403 Forbidden"), REFUSED, statuses=_NO_KEY, attempts=3),
    Fault("refused-404", "Status 404.", _refusal("404 Not Found"), REFUSED, statuses=(404,), attempts=3),
    Fault("refused-408", "Status 408.", _refusal("408 Request Timeout"), REFUSED),
    Fault("refused-413", "Status 413.", _refusal("413 Content Too Large"), REFUSED, statuses=(400, 413), attempts=3),
    Fault(
        "refused-422", "Status 422.", _refusal("422 Unprocessable Content"), REFUSED, statuses=(400, 422), attempts=3
    ),
    Fault(
        "refused-429-once",
        "Status 429 with `Retry-After: 1`, then an answer.",
        _good,
        COMPLETE,
        before=(_refusal("429 Too Many Requests", b"Retry-After: 1\r\n"),),
    ),
    Fault(
        "refused-429-for-ever", "Status 429, every time.", _refusal("429 Too Many Requests"), REFUSED, statuses=(429,)
    ),
    Fault(
        "refused-429-for-an-hour",
        "Status 429 with `Retry-After: 3600`: nobody waits for that.",
        _refusal("429 Too Many Requests", b"Retry-After: 3600\r\n"),
        REFUSED,
        statuses=(429,),
    ),
    Fault(
        "refused-500-once",
        "Status 500, then an answer.",
        _good,
        COMPLETE,
        before=(_refusal("500 Internal Server Error"),),
    ),
    Fault("refused-500-for-ever", "Status 500, every time.", _refusal("500 Internal Server Error"), REFUSED),
    Fault(
        "refused-502",
        "Status 502 with a web page.",
        lambda wire: [answer("502 Bad Gateway", b"<html>502</html>", "text/html")],
        REFUSED,
    ),
    Fault("refused-503", "Status 503.", _refusal("503 Service Unavailable"), REFUSED),
    Fault(
        "refused-504",
        "Status 504 without a body.",
        lambda wire: [answer("504 Gateway Timeout", b"", "text/plain")],
        REFUSED,
    ),
    Fault("refused-529", "Status 529, Anthropic's own.", _refusal("529 Overloaded"), REFUSED),
    Fault(
        "reset-once",
        "A reset instead of an answer, then an answer.",
        _good,
        COMPLETE,
        before=(lambda wire: [End.RESET],),
    ),
    Fault("redirect-302", "Status 302 to elsewhere: the key may not follow.", _redirect("302 Found"), REFUSED),
    Fault(
        "redirect-307",
        "Status 307 to elsewhere: key and prompt may not follow.",
        _redirect("307 Temporary Redirect"),
        REFUSED,
    ),
    Fault("not-modified-304", "Status 304.", lambda wire: [Send(b"HTTP/1.1 304 Not Modified\r\n\r\n")], REFUSED),
    Fault(
        "garbage",
        "Bytes that are no HTTP.",
        lambda wire: [Send(b"SSH-2.0-OpenSSH_9.2\r\n\x00\xff\r\n"), Pause(0.1), End.CLOSE],
        REFUSED,
    ),
    Fault("status-out-of-range", "Status 999.", _refusal("999 Nine"), REFUSED),
    Fault(
        "http-1.0",
        "An answer in HTTP/1.0, which a close ends.",
        lambda wire: [
            Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
            Send(wire.stream(("one",)), "one"),
            Pause(0.1),
            End.CLOSE,
        ],
    ),
    Fault(
        "100-continue-first",
        "Status 100 before the answer, which nobody asked for.",
        _after(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ),
    Fault(
        "103-early-hints-first",
        "Status 103 before the answer.",
        _after(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    ),
    Fault(
        "lower-case-head",
        "Names of headers in small letters, no reason.",
        lambda wire: [Send(STREAM_HEAD.lower().replace(b"http/1.1 200 ok", b"HTTP/1.1 200 ")), *_good(wire)[1:]],
    ),
    Fault(
        "connection-close",
        "The connection is closed after the answer, as announced.",
        lambda wire: [
            Send(STREAM_HEAD.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"),
            *_good(wire)[1:],
            End.CLOSE,
        ],
    ),
    Fault(
        "set-cookie",
        "A cookie, which nobody may be sent again.",
        lambda wire: [
            Send(STREAM_HEAD.removesuffix(b"\r\n") + b"Set-Cookie: session=of-one-tenant; Path=/\r\n\r\n"),
            *_good(wire)[1:],
        ],
    ),
    Fault(
        "error-body-cut",
        "A refusal whose body is cut off.",
        lambda wire: [Send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n{"), Pause(0.1), End.CLOSE],
        REFUSED,
    ),
    Fault(
        "error-body-silent",
        "The head of a refusal, then nothing.",
        lambda wire: [Send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n{"), Pause(FOREVER)],
        REFUSED,
    ),
)
