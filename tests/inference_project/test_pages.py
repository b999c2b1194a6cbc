"""All pages of the admin: what a browser may do with them, what they hold, what they cost."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from access.models import ApiKey, Membership, Team, User
from endpoints import lifecycle
from endpoints.encryption import encrypt
from endpoints.models import Endpoint, EndpointSecret

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Executable(HTMLParser):
    """Collects what a page would run by itself, were it allowed to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            if name.startswith("on") or (value or "").lower().strip().startswith("javascript:"):
                self.found.append(f"<{tag} {name}={value}>")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.found.append(f"<{self._open}>{data[:60]}")


@pytest.fixture
def root() -> Client:
    user = User.objects.create_user("root", "correct horse", is_superuser=True, full_name=HOSTILE)
    team = Team.objects.create(name=HOSTILE, slug="hostile", description=HOSTILE)
    Membership.objects.create(team=team, user=user)
    lifecycle.create("x", "completion", {"service": "echo", "service_settings": {}}, team_id=team.pk)
    ApiKey.objects.create(
        name=HOSTILE, owner=user, digest=b"", expires_at=timezone.now() + timedelta(days=3), inference_ids=["x"]
    )
    Endpoint.objects.update(last_used_at=timezone.now(), last_used_by=HOSTILE)
    client = Client()
    client.force_login(user)
    return client


def pages() -> list[str]:
    """Return the addresses of all pages that the admin has for the objects that there are."""
    found = ["/admin/", "/admin/login/", "/admin/password_change/", "/admin/search/?s=inf"]
    for model in admin.site._registry:
        row: Any = model._default_manager.first()
        found += _addresses(model, ("changelist", "add"))
        found += _addresses(model, ("change", "delete", "history", "test"), row.pk) if row else []
    kind = "inference_id=new&service=openai&task_type=completion"
    password = f"/admin/access/user/{User.objects.get().pk}/password/"
    return [*found, f"/admin/endpoints/endpoint/add/?{kind}", password]


def _addresses(model: type[Model], names: tuple[str, ...], *arguments: Any) -> list[str]:
    found = []
    for name in names:
        with suppress(NoReverseMatch):
            found.append(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments))
    return found


def test_no_page_runs_what_is_written_in_it_whatever_names_it_shows(root: Client) -> None:
    for address in pages():
        response = root.get(address, follow=True)
        # What is only read has no page to add it.
        assert response.status_code in (200, 403), address
        assert Executable(response.content.decode()).found == [], address


def test_every_page_forbids_scripts_that_are_not_files_of_the_gateway(root: Client) -> None:
    for address in [*pages(), "/admin/nothing/", "/admin"]:
        policy = dict(
            directive.split(" ", 1) for directive in root.get(address).headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert "Content-Security-Policy" not in root.get("/livez").headers


def test_what_pages_load_is_there_and_ours(root: Client) -> None:
    from django.contrib.staticfiles import finders

    loaded = set()
    for address in pages():
        loaded |= set(re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', root.get(address).content.decode()))
    assert any("alpine.csp.js" in one for one in loaded)
    for one in loaded - {reverse("admin:jsi18n")}:
        assert one.startswith("/static/")
        assert finders.find(one.removeprefix("/static/")), one


def many(count: int) -> None:
    """Store so many endpoints with a secret, a tenth of them in a team, and ten times as many keys."""
    user, team = User.objects.get(username="root"), Team.objects.get()
    rows = [
        Endpoint(
            inference_id=f"many-{number}",
            task_type="completion",
            service="openai",
            service_settings={"model_id": "gpt", "rate_limit": {"requests_per_minute": 500}},
            team=team if number % 10 == 0 else None,
            enabled=number % 7 != 0,
        )
        for number in range(count)
    ]
    Endpoint.objects.bulk_create(rows)
    host = "api.openai.com:443"
    EndpointSecret.objects.bulk_create(
        EndpointSecret(
            endpoint=row, name="api_key", ciphertext=encrypt("sk-1", endpoint=row.pk, name="api_key", host=host)
        )
        for row in rows
    )
    ApiKey.objects.bulk_create(
        ApiKey(name=f"key {number}", owner=user, digest=number.to_bytes(4), inference_ids=[f"many-{number % count}"])
        for number in range(count * 10)
    )


def measured(client: Client, address: str) -> tuple[int, float]:
    """Return the number of queries and the seconds of CPU that the second visit of a page takes."""
    assert client.get(address).status_code == 200
    with CaptureQueriesContext(connection) as queries:
        began = time.process_time()
        assert client.get(address).status_code == 200
        return len(queries), time.process_time() - began


def test_a_page_asks_the_database_as_often_for_many_endpoints_as_for_few(root: Client) -> None:
    """Every page that the admin has, the filters of the list besides."""
    filtered = "/admin/endpoints/endpoint/?state=broken"
    addresses = [one for one in [*pages(), filtered] if "search/" not in one and root.get(one).status_code == 200]
    few = [measured(root, address)[0] for address in addresses]
    many(300)
    for address, before in zip(addresses, few, strict=True):
        queries, seconds = measured(root, address)
        assert queries <= before + 1, address
        assert queries <= 20, address
        # The promise is 300 ms for 1,000; tests run on machines that are busy with others.
        assert seconds < 1, address
