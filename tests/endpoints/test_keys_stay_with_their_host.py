"""Ways to make the gateway send a stored key to a host that it was not given for. Each is refused, and says why.

Who may manage endpoints may not see their keys, so a host of his own must not see them either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from access.models import User
from endpoints import catalog
from endpoints.models import Endpoint, EndpointSecret
from endpoints.providers._http import HttpClient, PrivateHosts
from tests.endpoints.api import Answer, Api, openai
from tests.fakes.googlevertexai import key_file
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway
from tests.providers.sockets import Names
from wire.errors import StatusError

KEY = "sk-canary-0123456789"
GIVEN_AGAIN = "must be given again, since it would go to another host"


@dataclass
class Thief:
    """A server that waits for keys, and all names, each of which would lead to it."""

    fake: FakeProvider
    names: Names = field(default_factory=Names)

    @property
    def url(self) -> str:
        return f"{self.fake.url}/v1/chat/completions"

    @property
    def was_asked(self) -> bool:
        return bool(self.fake.connections or self.names.asked)


@pytest.fixture
def thief(monkeypatch: pytest.MonkeyPatch) -> Iterator[Thief]:
    with FakeProvider.running(api_key="") as fake:
        thief = Thief(fake)
        hosts = PrivateHosts.parse("127.0.0.1")
        monkeypatch.setattr(catalog, "new_http_client", lambda: HttpClient(hosts, resolver=thief.names))
        yield thief


def made(admin: Api, settings: Settings, body: dict[str, Any], task_type: str = "completion") -> str:
    """Store an endpoint without asking anybody; whatever comes later is tried at the provider."""
    asking = settings.ENVIRONMENT
    settings.ENVIRONMENT = asking.model_copy(update={"skip_validation": True})
    answer = admin.put(f"/{task_type}/victim", body)
    settings.ENVIRONMENT = asking
    assert answer.status == 200, answer.text
    return "/victim"


def assert_refused(answer: Answer, reason: str, thief: Thief) -> None:
    assert 400 <= answer.status < 500, answer.text
    assert reason in answer.reason
    assert KEY not in answer.text
    assert not thief.was_asked


OPENAI = {"api_key": KEY, "model_id": "m", "url": "https://mine.example/v1/chat/completions"}
OAUTH = {"model_id": "m", "client_id": "me", "client_secret": KEY, "scopes": ["all"]}
TOKENS = {**OAUTH, "token_url": "https://login.example/token"}
AZURE = {"api_key": KEY, "resource_name": "mine", "deployment_id": "gpt", "api_version": "2024-10-21"}
STUDIO = {"api_key": KEY, "target": "https://mine.example", "provider": "openai", "endpoint_type": "token"}
WATSONX = {"url": "mine.example", "api_version": "2024-05-02", "model_id": "m", "project_id": "p", "api_key": KEY}
VERTEX = {"service_account_json": key_file(), "project_id": "p", "location": "us-central1", "model_id": "gemini"}
GARDEN = {"service_account_json": key_file(), "provider": "meta", "url": "https://mine.example/predict"}
HEADERS = {"headers": {"X-Tenant": KEY}}
FIXED = "the setting [{}] cannot be updated; create a new inference endpoint instead"


@pytest.mark.parametrize(
    ("service", "stored", "changed", "reason"),
    [
        ("openai", OPENAI, {"url": "{thief}"}, FIXED.format("url")),
        ("openai", OPENAI, {"url": "{thief}"}, f"[api_key] {GIVEN_AGAIN}"),
        ("openai", OPENAI, {"url": None}, f"[api_key] {GIVEN_AGAIN}"),
        ("openai", OPENAI, {"url": "https://mine.example:8443/v1"}, f"[api_key] {GIVEN_AGAIN}"),
        ("openai", OPENAI, {"url": "https://mine.example@thief.example/v1"}, "a user, a password"),
        ("openai", OPENAI, {"url": "{thief}", "api_key": "new"}, f"[headers] {GIVEN_AGAIN}"),
        ("openai", TOKENS, {"token_url": "{thief}"}, f"[client_secret] {GIVEN_AGAIN}"),
        ("openai", TOKENS, {"token_url": "https://login.example:8443/token"}, f"[client_secret] {GIVEN_AGAIN}"),
        ("azureopenai", AZURE, {"resource_name": "thief"}, f"[api_key] {GIVEN_AGAIN}"),
        ("azureopenai", AZURE, {"resource_name": "thief.example/"}, "resource_name"),
        ("azureopenai", AZURE, {"api_version": "2024-10-21@thief.example"}, FIXED.format("api_version")),
        ("azureaistudio", STUDIO, {"target": "{thief}"}, f"[api_key] {GIVEN_AGAIN}"),
        ("hugging_face", {"api_key": KEY, "url": OPENAI["url"]}, {"url": "{thief}"}, f"[api_key] {GIVEN_AGAIN}"),
        ("cohere", {"api_key": KEY, "model_id": "m"}, {"url": "{thief}"}, f"[api_key] {GIVEN_AGAIN}"),
        ("anthropic", {"api_key": KEY, "model_id": "m"}, {"url": "{thief}"}, f"[api_key] {GIVEN_AGAIN}"),
        ("watsonxai", WATSONX, {"url": "thief.example"}, f"[api_key] {GIVEN_AGAIN}"),
        ("googlevertexai", VERTEX, {"location": "europe-west1"}, f"[service_account_json] {GIVEN_AGAIN}"),
        ("googlevertexai", VERTEX, {"location": "thief.example/"}, "location"),
        ("googlevertexai", VERTEX, {"project_id": "p@thief.example/"}, "project_id"),
        ("googlevertexai", VERTEX, {"provider": "meta", "url": "{thief}"}, f"[service_account_json] {GIVEN_AGAIN}"),
        ("googlevertexai", GARDEN, {"url": "{thief}"}, f"[service_account_json] {GIVEN_AGAIN}"),
        ("googlevertexai", GARDEN, {"streaming_url": "{thief}"}, f"[service_account_json] {GIVEN_AGAIN}"),
    ],
)
def test_an_update_of_what_decides_the_host_is_refused(
    admin: Api,
    thief: Thief,
    settings: Settings,
    service: str,
    stored: dict[str, Any],
    changed: dict[str, Any],
    reason: str,
) -> None:
    body = {"service": service, "service_settings": stored}
    if service == "anthropic":
        body["task_settings"] = {"max_tokens": 10}
    if stored is OPENAI:
        body["task_settings"] = HEADERS
    path = made(admin, settings, body)
    before = (admin.get(path).body, list(EndpointSecret.objects.values_list("name", "ciphertext").order_by("name")))
    filled = {name: thief.url if value == "{thief}" else value for name, value in changed.items()}
    assert_refused(admin.update(path, {"service_settings": filled}), reason, thief)
    after = (admin.get(path).body, list(EndpointSecret.objects.values_list("name", "ciphertext").order_by("name")))
    assert after == before


@pytest.mark.parametrize("name", ["Host", "host", "Authorization", "X-Api-Key", "Forwarded", "Proxy-Authorization"])
def test_headers_do_not_name_another_host_or_caller(admin: Api, thief: Thief, settings: Settings, name: str) -> None:
    path = made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    headers = {"headers": {name: "thief.example"}}
    reason = f"[headers] must not set the header [{name}]"
    assert_refused(admin.update(path, {"task_settings": headers}), reason, thief)


def test_headers_end_where_their_line_ends(admin: Api, thief: Thief, settings: Settings) -> None:
    path = made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    headers = {"headers": {"X-A": "a\r\nHost: thief.example"}}
    assert_refused(admin.update(path, {"task_settings": headers}), "without line ends", thief)


@pytest.mark.parametrize("setting", ["headers", "url", "api_key", "service", "service_settings"])
def test_a_request_does_not_decide_the_host(gateway: Gateway, fake: FakeProvider, thief: Thief, setting: str) -> None:
    """Not even those who may only use the endpoint can."""
    url = f"{fake.url}/v1/chat/completions"
    path = f"/_inference/{gateway.put('openai', api_key=API_KEY, model_id='m', url=url)}"
    fake.requests.clear()
    value = {"Host": thief.fake.url} if setting == "headers" else thief.url
    for body in ({"task_settings": {setting: value}}, {setting: value}):
        answer = gateway.call("POST", path, {"input": "hi", **body})
        assert answer.status == 400
        assert setting in answer.error["reason"]
    assert not thief.was_asked
    assert fake.requests == []


def test_an_endpoint_does_not_change_its_service(admin: Api, thief: Thief, settings: Settings) -> None:
    path = made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    answer = admin.update(path, {"service": "hugging_face", "service_settings": {"url": thief.url}})
    assert_refused(answer, "fields which cannot be updated", thief)


def test_an_endpoint_is_not_made_anew_over_its_keys(admin: Api, thief: Thief, settings: Settings) -> None:
    path = made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    body = openai(thief.fake, service_settings={"api_key": None})
    assert_refused(admin.put(f"/completion{path}", body), "required setting [api_key]", thief)
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    assert_refused(admin.put(f"/completion{path}", openai(thief.fake)), "already exists", thief)
    assert admin.get(path).body["endpoints"][0]["service_settings"]["url"] == OPENAI["url"]


def test_an_endpoint_that_was_deleted_leaves_no_key_for_the_next_of_its_name(
    admin: Api, thief: Thief, settings: Settings
) -> None:
    path = made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    admin.delete(path)
    assert not EndpointSecret.objects.exists()
    body = openai(thief.fake, service_settings={"api_key": None})
    assert_refused(admin.put(f"/completion{path}", body), "required setting [api_key]", thief)


def test_the_admin_page_does_not_send_a_key_elsewhere(admin: Api, thief: Thief, settings: Settings) -> None:
    made(admin, settings, {"service": "openai", "service_settings": TOKENS})
    user = User.objects.create_user("manager", "correct horse")
    user.groups.set(Group.objects.filter(name="inference_admin"))
    browser = Client()
    browser.force_login(user)
    page = f"/admin/endpoints/endpoint/{Endpoint.objects.get().pk}/change/"
    sent = {"url": thief.url, "token_url": thief.url, "client_id": "me", "scopes": "all", "client_secret": ""}
    answer = browser.post(page, sent)
    assert answer.status_code == 200, "the form comes back"
    assert GIVEN_AGAIN in answer.content.decode()
    assert not thief.was_asked
    assert Endpoint.objects.get().service_settings["token_url"] == TOKENS["token_url"]


@pytest.mark.parametrize("service", ["openai", "hugging_face"])
def test_a_row_that_was_changed_behind_the_gateway_opens_no_key(
    admin: Api, thief: Thief, settings: Settings, service: str
) -> None:
    made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    values = {"model_id": "m", "url": thief.url}
    Endpoint.objects.filter(inference_id="victim").update(service=service, service_settings=values)
    assert_unusable("victim", thief)


def test_a_ciphertext_that_was_moved_to_another_row_is_not_opened(admin: Api, thief: Thief, settings: Settings) -> None:
    made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    assert admin.put("/completion/thief", openai(thief.fake)).status == 200
    stolen = EndpointSecret.objects.get(endpoint__inference_id="victim", name="api_key").ciphertext
    EndpointSecret.objects.filter(endpoint__inference_id="thief").update(ciphertext=stolen)
    assert_unusable("thief", thief)


def test_secrets_that_were_moved_with_their_row_number_are_not_opened(
    admin: Api, thief: Thief, settings: Settings
) -> None:
    """An endpoint that was renamed in the database, so that its keys hang on a row of another address."""
    made(admin, settings, {"service": "openai", "service_settings": OPENAI})
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    assert admin.put("/completion/thief", openai(thief.fake)).status == 200
    EndpointSecret.objects.filter(endpoint__inference_id="thief").delete()
    EndpointSecret.objects.update(endpoint=Endpoint.objects.get(inference_id="thief"))
    assert_unusable("thief", thief)


def assert_unusable(inference_id: str, thief: Thief) -> None:
    """What a request gets to know of the endpoint is that it cannot be asked."""
    entry = catalog._read(inference_id, catalog.new_http_client())
    assert entry is not None
    with pytest.raises(StatusError, match="was stored for another endpoint or another host than") as error:
        entry.ready()
    assert KEY not in error.value.reason
    assert not thief.was_asked
