"""What uvicorn's WebSocket protocol leaves open: clients that do not read, and what it would log of hostile ones."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from inference_project.write_limit import WriteLimit

# The answer to a ping comes behind all that a slow client has still to read. Clients that are gone while nothing is
# sent to them are found this late; the others by the write limit.
_PONG_SECONDS = 300.0
_write_seconds = settings.ENVIRONMENT.write_seconds


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection. A client that takes nothing of what is sent for `write_seconds` is dropped."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ping_timeout = _PONG_SECONDS

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._write_limit = WriteLimit(transport, _write_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_limit.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_limit.drained()

    def send_receive_event_to_app(self) -> None:
        # uvicorn would write a traceback into the log.
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def connection_lost(self, exc: Exception | None) -> None:
        self._write_limit.stop()
        super().connection_lost(exc)


def _is_text(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
