"""Secrets at rest: bound to their endpoint and to their host, opened by any key, written with the first."""

from __future__ import annotations

import uuid
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from pytest_django import Settings

from endpoints import catalog
from endpoints.encryption import SecretUnreadable, decrypt, encrypt, opens, rotate
from endpoints.management.commands import rotate_secrets
from endpoints.models import Endpoint, EndpointSecret
from tests.endpoints.api import ECHO, Api, openai
from tests.fakes.provider import API_KEY, FakeProvider
from wire.errors import StatusError

ONE, OTHER = uuid.uuid4(), uuid.uuid4()
BOUND: dict[str, Any] = {"endpoint": ONE, "name": "api_key", "host": "example.org:443"}


@pytest.mark.parametrize("value", ["sk-hidden", {"X-A": "hidden", "X-B": "ä"}, ""])
def test_a_secret_comes_back_as_it_was(value: object) -> None:
    ciphertext = encrypt(value, **BOUND)
    assert "hidden" not in ciphertext
    assert decrypt(ciphertext, **BOUND) == value


@pytest.mark.parametrize("other", [{"endpoint": OTHER}, {"name": "client_secret"}, {"host": "evil.example.org:443"}])
def test_a_secret_is_of_use_only_where_it_belongs(other: dict[str, Any]) -> None:
    ciphertext = encrypt("sk-hidden", **BOUND)
    with pytest.raises(SecretUnreadable, match="was stored for another endpoint or another host") as caught:
        decrypt(ciphertext, **BOUND | other)
    assert "hidden" not in str(caught.value)


def test_any_key_opens_and_the_first_one_writes(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRET_KEYS = (old,)
    ciphertext = encrypt("x", **BOUND)
    settings.SECRET_KEYS = (new, old)
    assert decrypt(ciphertext, **BOUND) == "x"
    rotated = rotate(ciphertext)
    settings.SECRET_KEYS = (new,)
    assert decrypt(rotated, **BOUND) == "x"
    assert not opens(ciphertext)
    with pytest.raises(SecretUnreadable, match=r"no key of GATEWAY_SECRET_KEYS opens the secret \[api_key\]"):
        decrypt(ciphertext, **BOUND)


@pytest.mark.parametrize("ciphertext", ["", "x", "ä", "gAAAAA=="])
def test_what_is_no_ciphertext_is_unreadable(ciphertext: str) -> None:
    assert not opens(ciphertext)
    with pytest.raises(SecretUnreadable):
        decrypt(ciphertext, **BOUND)
    with pytest.raises(SecretUnreadable):
        rotate(ciphertext)


@pytest.fixture
def chat(admin: Api, fake: FakeProvider) -> Endpoint:
    body = openai(fake, task_settings={"headers": {"X-Tenant": "t1"}})
    assert admin.put("/completion/my-chat", body).status == 200
    fake.requests.clear()
    return Endpoint.objects.get()


@async_to_sync
async def loaded(inference_id: str) -> catalog.Entry:
    """Return what the path of a request gets to know of an endpoint."""
    http = catalog.new_http_client()
    try:
        entry = await sync_to_async(catalog._load)(inference_id, http)
    finally:
        await http.aclose()
    assert entry is not None
    return entry


def test_the_stored_secrets_reach_the_provider(chat: Endpoint) -> None:
    opened, unreadable = catalog.opened(chat)
    assert opened.secrets() == {"api_key": API_KEY, "headers": {"X-Tenant": "t1"}}
    assert unreadable == {}
    assert API_KEY not in repr(opened)
    assert "t1" not in repr(opened)


def test_a_ciphertext_that_was_moved_cannot_be_used(admin: Api, fake: FakeProvider, chat: Endpoint) -> None:
    admin.put("/completion/thief", openai(fake))
    stolen = EndpointSecret.objects.get(endpoint=chat, name="api_key").ciphertext
    EndpointSecret.objects.filter(endpoint__inference_id="thief", name="api_key").update(ciphertext=stolen)
    entry = loaded("thief")
    assert entry.provider is None
    assert entry.fault == (
        "Inference endpoint [thief] cannot be used as it is stored, update it: the secret [api_key] was stored for "
        f"another endpoint or another host than [{fake.url.removeprefix('http://')}]"
    )


def test_an_address_that_was_changed_behind_the_gateways_back_gets_no_secret(chat: Endpoint) -> None:
    chat.service_settings["url"] = "https://evil.example.org/v1"
    chat.save()
    entry = loaded("my-chat")
    assert entry.provider is None
    for name in ("api_key", "headers"):
        reason = f"the secret [{name}] was stored for another endpoint or another host than [evil.example.org:443]"
        assert reason in entry.fault
    with pytest.raises(StatusError) as caught:
        entry.ready()
    assert (caught.value.status, caught.value.reason) == (500, entry.fault)


@pytest.mark.parametrize(
    ("name", "reason"), [("api_key", "required setting [api_key]"), ("headers", "[headers] is missing")]
)
def test_a_secret_that_is_missing_is_named(chat: Endpoint, name: str, reason: str) -> None:
    EndpointSecret.objects.get(name=name).delete()
    entry = loaded("my-chat")
    assert entry.provider is None
    assert reason in entry.fault


def test_settings_that_are_no_longer_valid_are_named(chat: Endpoint) -> None:
    chat.service_settings["model_id"] = 7
    chat.save()
    assert "does not contain the required setting [model_id]" in loaded("my-chat").fault


def test_a_service_that_is_gone_is_named(chat: Endpoint) -> None:
    Endpoint.objects.update(service="gone")
    entry = loaded("my-chat")
    assert (entry.fault, entry.fault_status) == ("Unknown service [gone] for model [my-chat]", 400)


@pytest.fixture
def locked(chat: Endpoint, settings: Settings) -> Endpoint:
    """An endpoint whose key is lost."""
    settings.SECRET_KEYS = (Fernet.generate_key().decode(),)
    return chat


def test_secrets_that_cannot_be_read_have_to_be_given_again(admin: Api, locked: Endpoint, fake: FakeProvider) -> None:
    answer = admin.update("/my-chat", {"service_settings": {"api_key": API_KEY}})
    assert answer.problems == ["[secret_settings] the setting [headers] must be given again, since it cannot be read"]
    body = {"service_settings": {"api_key": API_KEY}, "task_settings": {"headers": {"X-Tenant": "***"}}}
    assert "[headers] must be given again" in admin.update("/my-chat", body).reason
    assert fake.requests == []
    body["task_settings"] = {"headers": {"X-Tenant": "t2"}}
    assert admin.update("/my-chat", body).status == 200
    assert fake.last.headers["x-tenant"] == "t2"


def test_headers_that_cannot_be_read_may_be_given_up(admin: Api, locked: Endpoint) -> None:
    body = {"service_settings": {"api_key": API_KEY}, "task_settings": {"headers": None}}
    assert admin.update("/my-chat", body).status == 200
    assert list(EndpointSecret.objects.values_list("name", flat=True)) == ["api_key"]


def test_an_endpoint_whose_secrets_cannot_be_read_can_be_read_and_deleted(admin: Api, locked: Endpoint) -> None:
    assert admin.get("/my-chat").status == 200
    assert admin.delete("/my-chat").status == 200


def database_errors() -> list[str]:
    return [str(one.id) for one in run_checks(databases=["default"]) if str(one.id).startswith("endpoints.")]


def test_a_wrong_key_is_found_by_a_system_check(locked: Endpoint) -> None:
    (error,) = [one for one in run_checks(databases=["default"]) if one.id == "endpoints.E001"]
    assert error.msg == "No key of GATEWAY_SECRET_KEYS opens api_key of my-chat, headers of my-chat"


def test_one_secret_that_cannot_be_read_is_found_among_others(chat: Endpoint) -> None:
    assert database_errors() == []
    EndpointSecret.objects.filter(name="headers").update(
        ciphertext=Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    )
    assert database_errors() == ["endpoints.E001"]


def test_without_a_database_nothing_is_checked(locked: Endpoint) -> None:
    assert [one for one in run_checks() if str(one.id).startswith("endpoints.")] == []


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("rotate_secrets", *arguments, stdout=output)
    return output.getvalue()


def test_rotation_lets_the_old_key_be_removed(chat: Endpoint, settings: Settings) -> None:
    old, new = settings.SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.SECRET_KEYS = (new, old)
    assert command() == "2 secrets are encrypted with the first key.\n"
    settings.SECRET_KEYS = (new,)
    opened, unreadable = catalog.opened(chat)
    assert opened.secrets() == {"api_key": API_KEY, "headers": {"X-Tenant": "t1"}}
    assert unreadable == {}
    assert command() == "2 secrets are encrypted with the first key.\n"


@pytest.mark.parametrize("meanwhile", ["replaced", "deleted"])
def test_rotation_writes_over_nothing_that_was_written_meanwhile(
    chat: Endpoint, settings: Settings, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    old, new = settings.SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.SECRET_KEYS = (new, old)
    fresh: dict[str, str] = {}
    bound: dict[str, Any] = {"endpoint": chat.id, "host": "example.org:443"}

    def rotated(ciphertext: str) -> str:
        """Rotate, after an update has stored all secrets anew, or a delete has removed them."""
        if not fresh:
            names = list(EndpointSecret.objects.values_list("name", flat=True))
            EndpointSecret.objects.all().delete()
            fresh.update({name: encrypt("written meanwhile", name=name, **bound) for name in names})
            if meanwhile == "replaced":
                for name, text in fresh.items():
                    EndpointSecret.objects.create(endpoint=chat, name=name, ciphertext=text)
        return rotate(ciphertext)

    monkeypatch.setattr(rotate_secrets, "rotate", rotated)
    count = 2 if meanwhile == "replaced" else 0
    assert command() == f"{count} secrets are encrypted with the first key.\n"
    settings.SECRET_KEYS = (new,)
    stored = EndpointSecret.objects.values_list("name", "ciphertext")
    assert [decrypt(text, name=name, **bound) for name, text in stored] == ["written meanwhile"] * count


def test_rotation_names_what_no_key_opens_and_does_the_rest(admin: Api, fake: FakeProvider, chat: Endpoint) -> None:
    admin.put("/completion/other", openai(fake))
    EndpointSecret.objects.filter(endpoint=chat, name="headers").update(ciphertext="x")
    with pytest.raises(CommandError, match=r"^No key of GATEWAY_SECRET_KEYS opens headers of my-chat$"):
        command()
    assert EndpointSecret.objects.count() == 3


def test_what_no_key_opens_can_be_forgotten(chat: Endpoint) -> None:
    EndpointSecret.objects.filter(name="headers").update(ciphertext="x")
    assert "Deleted, since no key opens them: headers of my-chat" in command("--forget-unreadable")
    assert list(EndpointSecret.objects.values_list("name", flat=True)) == ["api_key"]
    assert database_errors() == []


def test_without_secrets_there_is_nothing_to_do(admin: Api) -> None:
    admin.put("/completion/e", ECHO)
    assert command() == "0 secrets are encrypted with the first key.\n"
