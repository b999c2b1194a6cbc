"""A request in the form in which it is sent again and again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import ClientRequest
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict
from yarl import URL


@dataclass(slots=True)
class Prepared:
    """A request but for its body, ready to be sent any number of times; who made it has judged its URL."""

    method: str
    # Some services take their key in the query.
    url: URL = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)
    _head: bytes = field(default=b"", init=False, repr=False)
    _request: ClientRequest | None = field(default=None, init=False, repr=False)

    def request(self) -> ClientRequest:
        """Return what aiohttp's connector wants to know. Raise aiohttp.InvalidURL for a URL without a host."""
        if self._request is None:
            self._request = ClientRequest(self.method, self.url, headers=self.headers, loop=asyncio.get_running_loop())
        return self._request

    def head(self, length: int) -> bytes:
        """Return request line and headers; `length` is that of the body that follows."""
        if not self._head:
            headers = self.request().headers
            headers.popall("Content-Length", None)
            line = f"{self.method} {self.url.raw_path_qs} HTTP/1.1"
            self._head = _serialize_headers(line, headers)[:-2]
        if not length and self.method in ClientRequest.GET_METHODS:
            return self._head + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n" % (self._head, length)
