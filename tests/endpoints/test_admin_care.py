"""What the admin does with an endpoint besides its settings: try it, disable it, keep its secrets, delete it."""

from __future__ import annotations

import html
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from access.models import ApiKey, Membership, Team, User
from endpoints import faults, lifecycle, trials, validation
from endpoints.models import Endpoint, EndpointSecret
from endpoints.providers import load
from endpoints.providers._base import VALIDATION_INPUT
from tests.fakes.provider import API_KEY, FakeProvider

pytestmark = pytest.mark.django_db
LIST = "/admin/endpoints/endpoint/"


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user("ada <b>")
    user.groups.set(Group.objects.filter(name="inference_admin"))
    return user


@pytest.fixture
def admin(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def body(fake: FakeProvider, **more: Any) -> dict[str, Any]:
    settings = {"api_key": API_KEY, "model_id": "gpt-fake", "url": f"{fake.url}/v1/chat/completions", **more}
    return {"service": "openai", "service_settings": settings}


@pytest.fixture
def endpoint(fake: FakeProvider) -> Endpoint:
    made = lifecycle.create("x", "completion", body(fake))
    fake.requests.clear()
    return made


def page(endpoint: Endpoint, name: str = "change") -> str:
    return f"{LIST}{endpoint.pk}/{name}/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_a_test_shows_what_the_provider_answers_and_how_fast(
    admin: Client, endpoint: Endpoint, fake: FakeProvider
) -> None:
    assert fake.requests == []
    assert "Test" in text(admin.get(page(endpoint, "test")))
    assert fake.requests == []
    response = admin.post(page(endpoint, "test"))
    trial = response.context["trial"]
    assert (trial.works, trial.status, trial.text) == (True, 200, VALIDATION_INPUT)
    assert 0 < trial.first_delta <= trial.seconds
    assert trial.deltas > 0
    assert "works" in text(response)


def test_save_and_test_saves_and_tests(admin: Client, fake: FakeProvider) -> None:
    form = {"_test": "", **body(fake)["service_settings"]}
    step = f"{LIST}add/?inference_id=y&service=openai&task_type=completion"
    response = admin.post(step, form, follow=True)
    endpoint = Endpoint.objects.get()
    assert response.redirect_chain == [(page(endpoint, "test"), 307)]
    assert response.context["trial"].works
    assert API_KEY not in text(response)


def test_a_provider_that_refuses_is_quoted_with_a_hint(admin: Client, fake: FakeProvider) -> None:
    endpoint = lifecycle.create("x", "completion", body(fake, api_key="wrong"), validate=False)
    response = admin.post(page(endpoint, "test"))
    trial = response.context["trial"]
    assert (trial.works, trial.status) == (False, 401)
    assert "Incorrect API key provided" in text(response)
    assert "Check the key" in text(response)


def test_nobody_listening_is_told_with_a_hint(admin: Client, fake: FakeProvider) -> None:
    with socket.socket() as taken:
        # Bound, and not listening.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        endpoint = lifecycle.create("x", "completion", body(fake, url=url), validate=False)
        shown = text(admin.post(page(endpoint, "test")))
    assert "connection refused" in shown
    assert "GATEWAY_PRIVATE_HOSTS" in shown


def test_a_secret_that_cannot_be_read_is_told_with_a_hint(admin: Client, endpoint: Endpoint) -> None:
    EndpointSecret.objects.update(ciphertext="torn")
    assert "A secret cannot be opened" in text(admin.post(page(endpoint, "test")))


def test_what_a_provider_says_stays_text(admin: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "<script>alert(1)</script>"
    trial = trials.Trial("x", "completion", text=said, error=[said], hint="h")
    monkeypatch.setattr(trials, "run", lambda endpoints: [trial])
    response = admin.post(page(endpoint, "test"))
    assert said.encode() not in response.content
    assert text(response).count(said) == 2


def test_several_are_tested_at_once_with_one_message_each(admin: Client, endpoint: Endpoint) -> None:
    lifecycle.create("loud", "completion", {"service": "echo", "service_settings": {"fail_after_words": 0}})
    chosen = [str(pk) for pk in Endpoint.objects.values_list("pk", flat=True)]
    response = admin.post(LIST, {"action": "test", "_selected_action": chosen}, follow=True)
    loud, quiet = (str(one) for one in response.context["messages"])
    assert loud.startswith("loud: echo was told to fail after 0 words")
    assert quiet.startswith("x works: ")


def test_no_more_than_a_bounded_number_is_tested(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MOST", 2)
    for number in range(3):
        lifecycle.create(f"echo-{number}", "completion", {"service": "echo", "service_settings": {}})
    chosen = [str(pk) for pk in Endpoint.objects.values_list("pk", flat=True)]
    response = admin.post(LIST, {"action": "test", "_selected_action": chosen}, follow=True)
    shown = [str(one) for one in response.context["messages"]]
    assert shown[0] == "Tested the first 2; 1 were left out."
    assert len(shown) == 3


@pytest.mark.parametrize("origin", ["button", "list", "form"])
def test_an_endpoint_is_disabled_and_enabled(
    admin: Client, endpoint: Endpoint, fake: FakeProvider, origin: str
) -> None:
    for enabled in (False, True):
        if origin == "button":
            admin.post(page(endpoint, "state"), {"state": "enabled" if enabled else "disabled"})
        elif origin == "list":
            action = "enable" if enabled else "disable"
            admin.post(LIST, {"action": action, "_selected_action": str(endpoint.pk)})
        else:
            admin.post(page(endpoint), {"enabled": str(enabled), "team": ""})
        endpoint.refresh_from_db()
        assert endpoint.enabled == enabled
    assert fake.requests == []


def test_only_the_button_changes_the_state(admin: Client, endpoint: Endpoint) -> None:
    admin.get(page(endpoint, "state"), {"state": "disabled"})
    admin.post(page(endpoint, "state"), {"state": "gone"})
    endpoint.refresh_from_db()
    assert endpoint.enabled


def test_what_is_disabled_while_the_provider_is_asked_stays_so(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*arguments: Any) -> None:
        lifecycle.set_gateway("x", {"enabled": False})

    monkeypatch.setattr(validation, "validate", ask)
    lifecycle.update("x", None, {"service_settings": {"organization_id": "o"}})
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert endpoint.service_settings["organization_id"] == "o"


def test_an_unchanged_secret_keeps_who_set_it_and_when(admin: Client, endpoint: Endpoint, fake: FakeProvider) -> None:
    before = EndpointSecret.objects.get()
    long_ago = timezone.now() - timedelta(days=9)
    EndpointSecret.objects.update(set_at=long_ago, set_by="first")
    lifecycle.update("x", None, {"service_settings": {"organization_id": "o"}})
    kept = EndpointSecret.objects.get()
    assert (kept.set_at, kept.set_by) == (long_ago, "first")
    assert kept.pk != before.pk
    fake.tokens.add("sk-second")
    assert admin.post(page(endpoint), {"api_key": "sk-second", "team": ""}).status_code == 302
    replaced = EndpointSecret.objects.get()
    assert replaced.set_by == "ada <b>"
    assert replaced.set_at is not None
    assert replaced.set_at > long_ago
    shown = admin.get(page(endpoint)).content.decode()
    assert "by ada &lt;b&gt;; leave it empty" in shown


AZURE = {"api_key": "key", "resource_name": "r", "deployment_id": "d", "api_version": "2024-06-01"}


def test_a_secret_is_cleared_where_the_other_settings_do_without_it(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "validate", lambda *arguments: None)
    endpoint = lifecycle.create("x", "completion", {"service": "azureopenai", "service_settings": AZURE})
    assert "clear-api_key" not in admin.get(page(endpoint)).context["adminform"].form.fields
    monkeypatch.setattr(load("azureopenai").service_settings, "check", lambda values, task_type: ())
    assert "clear-api_key" in admin.get(page(endpoint)).context["adminform"].form.fields
    both = {"api_key": "other", "clear-api_key": "on", "team": ""}
    assert list(admin.post(page(endpoint), both).context["adminform"].form.errors) == ["api_key"]
    assert admin.post(page(endpoint), {"clear-api_key": "on", "team": ""}).status_code == 302
    assert not EndpointSecret.objects.exists()


def test_a_secret_that_is_required_cannot_be_cleared(admin: Client) -> None:
    settings = {"api_key": "key", "model_id": "m"}
    made = lifecycle.create("c", "completion", {"service": "cohere", "service_settings": settings}, validate=False)
    assert "clear-api_key" not in admin.get(page(made)).context["adminform"].form.fields


def test_a_broken_endpoint_is_told_from_others(admin: Client, endpoint: Endpoint) -> None:
    lifecycle.create("fine", "completion", {"service": "echo", "service_settings": {}})
    assert faults.faults(Endpoint.objects.all()) == {}
    EndpointSecret.objects.update(ciphertext="torn")
    Endpoint.objects.filter(pk=endpoint.pk).update(updated_at=timezone.now())
    assert list(faults.faults(Endpoint.objects.all())) == [endpoint.pk]
    broken = admin.get(f"{LIST}?state=broken").context["cl"].result_list
    assert [one.inference_id for one in broken] == ["x"]
    assert [one.inference_id for one in admin.get(f"{LIST}?state=enabled").context["cl"].result_list] == ["fine"]
    assert "It cannot be used as it is stored" in text(admin.get(page(endpoint)))


def test_a_delete_names_what_it_breaks_and_wants_a_tick(admin: Client, ada: User, endpoint: Endpoint) -> None:
    team = Team.objects.create(name="Search", slug="search")
    Membership.objects.create(team=team, user=ada, role="inference_admin")
    other = User.objects.create_user("bob")
    owners: list[dict[str, Any]] = [{"owner": ada}, {"team": team, "team_role": "inference_user"}, {"owner": other}]
    for number, owner in enumerate(owners):
        ApiKey.objects.create(name=f"limited-{number}", digest=bytes([number]), inference_ids=["a", "x"], **owner)
    gone = timezone.now() - timedelta(days=1)
    ApiKey.objects.create(name="not-x", digest=b"d", owner=ada, inference_ids=["x2", "ax"])
    ApiKey.objects.create(name="expired", digest=b"e", owner=ada, inference_ids=["x"], expires_at=gone)
    Endpoint.objects.update(last_used_at=timezone.now() - timedelta(hours=3), last_used_by="carol")
    shown = text(admin.get(page(endpoint, "delete")))
    for expected in ("limited-0", "limited-1", "1 of others", "3\xa0hours ago by carol", "Disable instead"):
        assert expected in shown
    for hidden in ("limited-2", "bob", "not-x", "expired"):
        assert hidden not in shown
    assert "Tick the box to delete it." in text(admin.post(page(endpoint, "delete"), {"post": "yes"}))
    assert Endpoint.objects.exists()
    assert admin.post(page(endpoint, "delete"), {"understood": "on"}).status_code == 302
    assert not Endpoint.objects.exists()
