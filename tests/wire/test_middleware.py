"""Compressed bodies, the headers of every answer, and Django's own stack for pages only."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory
from pytest_django import Settings

from wire.compression import unpack
from wire.errors import BadRequest, TooLarge
from wire.middleware import BrowserSession, Elastic, is_browser


def packed(body: bytes, encoding: str = "gzip") -> HttpRequest:
    return RequestFactory().put("/x", body, "application/json", headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_gzip_body_is_unpacked(encoding: str) -> None:
    request = packed(gzip.compress(b'{"a": 1}'), encoding)
    unpack(request)
    assert request.body == b'{"a": 1}'
    assert request.META["CONTENT_LENGTH"] == "8"


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_a_plain_body_stays_as_it_is(encoding: str) -> None:
    request = packed(b"{}", encoding)
    unpack(request)
    assert request.body == b"{}"


def test_another_encoding_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match=r"Content-Encoding \[br\] is not supported"):
        unpack(packed(b"x", "br"))


@pytest.mark.parametrize(
    "body",
    [b"{}", gzip.compress(b"{}")[:-3], zlib.compress(b"{}"), gzip.compress(b"{}") + b"more", gzip.compress(b"") * 2],
    ids=["plain", "cut", "zlib", "more", "twice"],
)
def test_what_is_not_one_whole_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not valid gzip"):
        unpack(packed(body))


def test_a_body_may_be_as_large_as_the_limit_once_unpacked(settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 1000
    request = packed(gzip.compress(b"x" * 1000))
    unpack(request)
    assert len(request.body) == 1000


def test_a_bomb_is_refused_without_unpacking_it(settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 1000
    with pytest.raises(TooLarge):
        unpack(packed(gzip.compress(b"x" * 50_000_000)))


async def answered(path: str, **headers: str) -> Any:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    return await Elastic(view)(AsyncRequestFactory().get(path, headers=headers))


async def test_every_answer_of_the_api_says_what_it_is() -> None:
    assert (await answered("/_inference")).headers["X-Elastic-Product"] == "Elasticsearch"
    assert "X-Elastic-Product" not in (await answered("/admin/")).headers


async def test_only_a_printable_opaque_id_is_sent_back() -> None:
    assert (await answered("/", **{"X-Opaque-Id": "my app/1"})).headers["X-Opaque-Id"] == "my app/1"
    assert "X-Opaque-Id" not in (await answered("/", **{"X-Opaque-Id": "a\r\nSet-Cookie: b"})).headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/admin", True), ("/admin/", True), ("/admin/login/", True), ("/administration", False), ("/_inference", False)],
)
def test_only_the_admin_is_for_browsers(path: str, expected: bool) -> None:
    assert is_browser(RequestFactory().get(path)) is expected


async def test_the_session_is_read_for_pages_only() -> None:
    seen: list[bool] = []

    async def view(request: HttpRequest) -> HttpResponse:
        seen.append(hasattr(request, "session"))
        return HttpResponse()

    middleware = BrowserSession(view)
    for path in ("/_inference", "/admin/"):
        await middleware(AsyncRequestFactory().get(path))
    assert seen == [False, True]


def test_every_middleware_is_asynchronous() -> None:
    assert all(dotted.startswith("wire.middleware.") for dotted in settings.MIDDLEWARE)


async def test_a_page_that_changes_something_needs_its_token() -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    assert (await client.post("/admin/login/", {})).status_code == 403


async def test_the_api_needs_no_token_and_sets_no_cookie() -> None:
    response = await AsyncClient(enforce_csrf_checks=True).post("/_security/api_key", {})
    assert response.status_code == 401
    assert not response.cookies
