"""Endpoints in the admin: made in two steps, changed, deleted, by those who may."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.contrib.messages import get_messages
from django.forms import BooleanField
from django.test import Client
from django.utils import timezone

from access import cache
from access.models import ApiKey, User
from endpoints import bulk_actions, catalog, chunking
from endpoints.models import Change, Endpoint, EndpointSecret
from endpoints.providers import load, names
from endpoints.providers._settings import applying
from endpoints.time_limits import MEANINGS
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Gateway
from wire.errors import ApiError, StatusError

LIST = "/admin/endpoints/endpoint/"
ADD = f"{LIST}add/"


def browser(role: str) -> Client:
    user = User.objects.create_user(role or "nobody", "correct horse", is_superuser=role == "superuser")
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(db: None) -> Client:
    return browser("inference_admin")


def step_2(service: str, task_type: str, inference_id: str = "x") -> str:
    return f"{ADD}?inference_id={inference_id}&service={service}&task_type={task_type}"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def errors(response: Any) -> dict[str, list[str]]:
    """Return the errors of the form; those that stand on top under ""."""
    assert response.status_code == 200
    form = response.context["adminform"].form
    shown = {("" if name == "__all__" else name): list(lines) for name, lines in form.errors.items()}
    for lines in shown.values():
        for line in lines:
            assert html.escape(line) in response.content.decode()
    return shown


def chat(fake: FakeProvider, **more: str) -> dict[str, str]:
    return {"api_key": API_KEY, "model_id": "gpt-fake", "url": f"{fake.url}/v1/chat/completions", **more}


@pytest.fixture
def endpoint(admin: Client, fake: FakeProvider) -> Endpoint:
    """A completion endpoint with a key and a header."""
    data = chat(fake, headers="X-Tenant: header-hidden", user="me")
    assert admin.post(step_2("openai", "completion"), data).status_code == 302
    fake.requests.clear()
    return Endpoint.objects.get()


def change(endpoint: Endpoint) -> str:
    return f"{LIST}{endpoint.pk}/change/"


def as_it_is(response: Any) -> dict[str, str]:
    """Return what a browser would send back of the form in `response`, if nothing were typed."""
    form = response.context["adminform"].form
    data = {}
    for bound in form:
        if not bound.field.disabled and not isinstance(bound.field, BooleanField):
            shown = bound.field.widget.format_value(bound.value())
            data[bound.name] = "" if shown is None else shown[0] if isinstance(shown, list) else shown
    return data


def test_the_kind_of_endpoint_is_asked_first(admin: Client) -> None:
    response = admin.get(ADD)
    fields = response.context["adminform"].form.fields
    assert list(fields) == ["inference_id", "service", "task_type"]
    assert [name for name, _ in fields["service"].choices] == list(names())
    assert '<form method="get"' in text(response)


@pytest.mark.parametrize(
    ("query", "field", "error"),
    [
        ("inference_id=Bad&service=echo&task_type=completion", "inference_id", "Invalid inference_id; 'Bad' can contain"),
        ("inference_id=&service=echo&task_type=completion", "inference_id", "This field is required."),
        ("inference_id=x&service=nope&task_type=completion", "service", "nope is not one of the available choices"),
        ("inference_id=x&service=echo&task_type=nope", "task_type", "nope is not one of the available choices"),
        ("inference_id=x&service=echo&task_type=text_embedding", "task_type", "The [echo] service does not support task type [text_embedding], but [completion, chat_completion]"),
    ],
)  # fmt: skip
def test_a_kind_that_is_not_offered_is_asked_for_again(admin: Client, query: str, field: str, error: str) -> None:
    shown = errors(admin.get(f"{ADD}?{query}"))
    assert list(shown) == [field]
    assert error in shown[field][0]


def test_an_id_that_is_taken_is_found_out_in_the_first_step(admin: Client, endpoint: Endpoint) -> None:
    shown = errors(admin.get(step_2("echo", "completion", endpoint.inference_id)))
    assert shown == {"inference_id": ["Inference endpoint [x] already exists"]}


@pytest.mark.parametrize(
    ("service", "task_type"), [(name, task_type) for name in names() for task_type in load(name).task_types]
)
def test_the_second_step_has_exactly_the_settings_of_the_kind(admin: Client, service: str, task_type: str) -> None:
    fields = admin.get(step_2(service, task_type)).context["adminform"].form.fields
    provider = load(service)
    settings = [*applying(provider.service_settings, task_type), *applying(provider.task_settings, task_type)]
    if task_type in chunking.TASK_TYPES:
        settings += [one for one, _ in chunking.settings().values()]
    assert list(fields) == [
        "inference_id",
        "service",
        "task_type",
        *(one.key for one in settings),
        "enabled",
        "team",
        *MEANINGS,
    ]
    assert all(fields[one.key].label == one.label for one in settings)


def test_a_setting_is_shown_with_what_is_declared_of_it(admin: Client) -> None:
    form = admin.get(step_2("openai", "text_embedding")).context["adminform"].form
    assert form.fields["model_id"].required
    assert form["similarity"].initial == "dot_product"
    assert [name for name, _ in form.fields["similarity"].choices] == ["", "cosine", "dot_product", "l2_norm"]
    assert form["rate_limit.requests_per_minute"].initial == 3000
    assert "vectors" in form.fields["dimensions"].help_text
    assert {key: form[key].initial for key in chunking.DEFAULT} == chunking.DEFAULT
    assert form.fields["api_key"].widget.input_type == "password"


def test_an_endpoint_is_made_as_by_the_api(admin: Client, fake: FakeProvider) -> None:
    data = chat(fake, user="me", headers="X-A: 1\n\n X-B :two: parts \n")
    response = admin.post(step_2("openai", "completion"), {**data, "rate_limit.requests_per_minute": "9"})
    assert (response.status_code, response.headers["Location"]) == (302, LIST)
    endpoint = Endpoint.objects.get()
    assert (endpoint.inference_id, endpoint.service, endpoint.task_type) == ("x", "openai", "completion")
    assert endpoint.service_settings["rate_limit"] == {"requests_per_minute": 9}
    assert endpoint.task_settings == {"user": "me", "headers": {"X-A": "***", "X-B": "***"}}
    assert catalog.opened(endpoint)[0].secrets() == {"api_key": API_KEY, "headers": {"X-A": "1", "X-B": "two: parts"}}
    assert fake.last.headers["x-b"] == "two: parts"


def test_time_limits_are_set_and_cleared_without_asking_the_provider(
    admin: Client, fake: FakeProvider, endpoint: Endpoint
) -> None:
    data = {"user": "me", "headers": "X-Tenant: ***"}
    assert admin.post(change(endpoint), {**data, "stall_seconds": "20", "total_seconds": "0.5"}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.stall_seconds, endpoint.total_seconds, endpoint.idle_seconds) == (20, 0.5, None)
    assert admin.get(change(endpoint)).context["adminform"].form["stall_seconds"].initial == 20
    assert admin.post(change(endpoint), data).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.stall_seconds is None
    assert fake.requests == []
    assert catalog.opened(endpoint)[0].secrets()["api_key"] == API_KEY


@pytest.mark.parametrize("seconds", ["0", "-1", "86401", "nan", "soon"])
def test_a_time_limit_is_a_number_of_seconds_up_to_a_day(admin: Client, seconds: str) -> None:
    assert list(errors(admin.post(step_2("echo", "completion"), {"idle_seconds": seconds}))) == ["idle_seconds"]


def test_what_is_left_empty_gets_its_default(admin: Client) -> None:
    data = dict.fromkeys(("words_per_second", "words_per_delta", "rate_limit.requests_per_minute"), "")
    assert admin.post(step_2("echo", "completion"), data).status_code == 302
    assert Endpoint.objects.get().service_settings == {"words_per_delta": 1}


def test_chunking_settings_of_other_strategies_are_left_out(admin: Client, fake: FakeProvider) -> None:
    data = {**chat(fake), "url": f"{fake.url}/v1/embeddings", "similarity": "cosine"}
    chunks = {"strategy": "word", "max_chunk_size": "20", "overlap": "5", "sentence_overlap": "1"}
    assert admin.post(step_2("openai", "text_embedding"), data | chunks).status_code == 302
    endpoint = Endpoint.objects.get()
    assert endpoint.chunking_settings == {"strategy": "word", "max_chunk_size": 20, "overlap": 5}
    assert endpoint.dimensions == 3


def test_separators_are_one_on_each_line(admin: Client, fake: FakeProvider) -> None:
    data = {**chat(fake), "url": f"{fake.url}/v1/embeddings"}
    chunks = {"strategy": "recursive", "max_chunk_size": "20", "separators": "\r\n# \r\n\\n\r\n"}
    assert admin.post(step_2("openai", "text_embedding"), data | chunks).status_code == 302
    assert (Endpoint.objects.get().chunking_settings or {})["separators"] == ["#", "\\n"]


def test_each_problem_stands_beside_its_field(admin: Client, fake: FakeProvider) -> None:
    data = chat(fake, url="http://10.0.0.1/", api_key="ünicode", headers="Authorization: x")
    response = admin.post(step_2("openai", "completion"), {**data, "rate_limit.requests_per_minute": "0"})
    shown = errors(response)
    assert set(shown) == {"url", "api_key", "headers", "rate_limit.requests_per_minute"}
    assert "not at a public address" in shown["url"][0]
    assert "must not set the header [Authorization]" in shown["headers"][0]
    assert not Endpoint.objects.exists()
    assert fake.requests == []


def test_chunking_problems_stand_beside_their_fields(admin: Client, fake: FakeProvider) -> None:
    data = {**chat(fake), "strategy": "word", "max_chunk_size": "20", "overlap": "11"}
    shown = errors(admin.post(step_2("openai", "text_embedding"), data))
    assert shown == {
        "overlap": ["[chunking_settings] Invalid value [11]. [overlap] must be less than or equal to [10]"]
    }


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("rate_limit.requests_per_minute", "many", "Enter a whole number."),
        ("rate_limit.requests_per_minute", "9" * 5000, "Enter a whole number."),
        ("headers", "X-A: 1\nhidden", "Line 2 is not of the form `Name: value`"),
        ("headers", "X-A: 1\nX-A: 2", "Line 2 has a name that was there before"),
        ("user", "a\x00b", "Null characters are not allowed."),
        ("model_id", "", "This field is required."),
    ],
)
def test_what_cannot_be_read_is_said_beside_its_field(
    admin: Client, fake: FakeProvider, field: str, value: str, error: str
) -> None:
    assert errors(admin.post(step_2("openai", "completion"), chat(fake) | {field: value})) == {field: [error]}


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "x"])
def test_a_number_is_finite(admin: Client, value: str) -> None:
    assert list(errors(admin.post(step_2("echo", "completion"), {"words_per_second": value}))) == ["words_per_second"]


def test_the_providers_own_words_are_shown_and_escaped(admin: Client, fake: FakeProvider) -> None:
    response = admin.post(step_2("openai", "completion"), chat(fake, api_key="wrong"))
    top = errors(response)[""]
    assert top == [
        "Could not complete inference endpoint creation as validation call to service threw an exception.",
        "Received an authentication error status code for request from inference entity id [x] status [401]. "
        "Error message: [Incorrect API key provided]",
    ]
    assert not Endpoint.objects.exists()


def test_what_a_provider_says_cannot_be_html(
    admin: Client, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise StatusError("no", caused_by=ApiError("<script>alert(1)</script>"))

    monkeypatch.setattr("endpoints.validation.validate", refuse)
    response = admin.post(step_2("openai", "completion"), chat(fake))
    assert errors(response)[""] == ["no", "<script>alert(1)</script>"]
    assert b"<script>alert" not in response.content


def test_what_cannot_be_changed_is_shown_and_not_taken(admin: Client, endpoint: Endpoint) -> None:
    response = admin.get(change(endpoint))
    form = response.context["adminform"].form
    disabled = [name for name, field in form.fields.items() if field.disabled]
    assert disabled == ["inference_id", "service", "task_type", "model_id", "url"]
    assert form["model_id"].value() == "gpt-fake"
    data = as_it_is(response) | {"model_id": "other", "inference_id": "y", "service": "echo"}
    assert admin.post(change(endpoint), data).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.inference_id, endpoint.service) == ("x", "openai")
    assert endpoint.service_settings["model_id"] == "gpt-fake"


def test_a_form_that_is_sent_back_untouched_changes_nothing(
    admin: Client, endpoint: Endpoint, fake: FakeProvider
) -> None:
    before, version = list(EndpointSecret.objects.values_list("ciphertext", flat=True)), cache.read_version()
    assert admin.post(change(endpoint), as_it_is(admin.get(change(endpoint)))).status_code == 302
    assert fake.requests == []
    assert list(EndpointSecret.objects.values_list("ciphertext", flat=True)) == before
    assert cache.read_version() == version
    assert Change.objects.count() == 1


def test_a_change_is_made_as_by_the_api(admin: Client, endpoint: Endpoint, fake: FakeProvider) -> None:
    data = as_it_is(admin.get(change(endpoint)))
    data |= {"user": "", "organization_id": "org", "headers": "X-Tenant: ***\nX-New: n"}
    assert admin.post(change(endpoint), data).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.service_settings["organization_id"] == "org"
    assert endpoint.task_settings == {"headers": {"X-Tenant": "***", "X-New": "***"}}
    assert (fake.last.headers["x-tenant"], fake.last.headers["x-new"]) == ("header-hidden", "n")
    assert fake.last.headers["authorization"] == f"Bearer {API_KEY}"
    change_made = Change.objects.latest("pk")
    assert change_made.changed_by == "inference_admin"
    settings = ["service_settings.organization_id", "task_settings.headers.X-New", "task_settings.user"]
    assert [one["setting"] for one in change_made.difference] == settings


def test_emptied_headers_are_taken_away(admin: Client, endpoint: Endpoint) -> None:
    data = as_it_is(admin.get(change(endpoint))) | {"headers": ""}
    assert admin.post(change(endpoint), data).status_code == 302
    assert list(EndpointSecret.objects.values_list("name", flat=True)) == ["api_key"]


def test_an_empty_secret_keeps_the_stored_one_and_a_new_one_replaces_it(
    admin: Client, endpoint: Endpoint, fake: FakeProvider
) -> None:
    response = admin.get(change(endpoint))
    fields = response.context["adminform"].form.fields
    set_when = r"Set on \d\d \w+ \d{4}, \d\d:\d\d UTC by inference_admin; leave it empty to keep it.$"
    assert re.search(set_when, fields["api_key"].help_text)
    assert fields["client_secret"].help_text.endswith(" Not set.")
    fake.tokens.add("sk-second")
    assert admin.post(change(endpoint), as_it_is(response) | {"api_key": " sk-second "}).status_code == 302
    assert catalog.opened(endpoint)[0].secrets()["api_key"] == "sk-second"


def test_the_detected_length_of_the_vectors_is_shown(admin: Client, fake: FakeProvider) -> None:
    data = {**chat(fake), "url": f"{fake.url}/v1/embeddings"}
    admin.post(step_2("openai", "text_embedding"), data)
    endpoint = Endpoint.objects.get()
    response = admin.get(change(endpoint))
    assert response.context["adminform"].form["dimensions"].value() == 3
    assert admin.post(change(endpoint), as_it_is(response) | {"user": "u"}).status_code == 302
    assert "dimensions" not in fake.last.json()


def test_chunking_settings_are_replaced(admin: Client, fake: FakeProvider) -> None:
    admin.post(step_2("openai", "text_embedding"), {**chat(fake), "url": f"{fake.url}/v1/embeddings"})
    endpoint = Endpoint.objects.get()
    data = as_it_is(admin.get(change(endpoint)))
    assert (data["strategy"], data["max_chunk_size"], data["sentence_overlap"]) == ("sentence", "250", "1")
    assert admin.post(change(endpoint), data | {"strategy": "none"}).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.chunking_settings == {"strategy": "none"}


def test_an_update_that_runs_already_is_told_on_top(admin: Client, endpoint: Endpoint) -> None:
    Endpoint.objects.update(updating_since=timezone.now())
    response = admin.post(change(endpoint), as_it_is(admin.get(change(endpoint))) | {"user": "u"})
    assert "is currently being updated" in errors(response)[""][0]


def test_an_endpoint_whose_service_is_gone_can_only_be_deleted(admin: Client, endpoint: Endpoint) -> None:
    Endpoint.objects.update(service="gone")
    response = admin.get(change(endpoint), follow=True)
    assert "Service [gone] not found" in text(response)
    assert admin.post(f"{LIST}{endpoint.pk}/delete/", {"understood": "on"}).status_code == 302
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("pk", ["7a3c1d0e-0000-4000-8000-000000000000", "nope"])
def test_an_endpoint_that_is_not_there_leads_back_to_the_list(admin: Client, pk: str) -> None:
    response = admin.get(f"{LIST}{pk}/change/")
    assert (response.status_code, response.headers["Location"]) == (302, LIST)


SECRET = "typed-and-hidden"


def test_no_secret_is_ever_sent_back(admin: Client, endpoint: Endpoint, fake: FakeProvider) -> None:
    typed = {"api_key": f"{SECRET}-1", "client_secret": f"{SECRET}-2", "headers": f"X-Tenant: {SECRET}-3\n{SECRET}-4"}
    pages = [
        admin.get(change(endpoint)),
        admin.post(change(endpoint), as_it_is(admin.get(change(endpoint))) | typed),
        admin.post(change(endpoint), as_it_is(admin.get(change(endpoint))) | typed | {"headers": f"Host: {SECRET}-5"}),
        admin.post(step_2("openai", "completion", "y"), chat(fake) | typed),
        admin.post(step_2("openai", "completion", "y"), chat(fake, api_key=f"{SECRET}-6")),
        admin.get(LIST),
        admin.get(f"{LIST}{endpoint.pk}/history/", follow=True),
        admin.get(f"{LIST}{endpoint.pk}/delete/"),
        admin.get("/admin/"),
    ]
    for page in pages:
        assert page.status_code == 200
        for secret in (SECRET, API_KEY, "header-hidden"):
            assert secret not in text(page)
    assert Endpoint.objects.count() == 1


def test_the_names_of_headers_are_shown_with_masks(admin: Client, endpoint: Endpoint) -> None:
    response = admin.post(change(endpoint), as_it_is(admin.get(change(endpoint))) | {"headers": "no colon"})
    assert re.search(r"<textarea name=\"headers\"[^>]*>\s*X-Tenant: \*\*\*</textarea>", response.content.decode())


def test_the_history_has_no_secret(admin: Client, endpoint: Endpoint, fake: FakeProvider) -> None:
    fake.tokens.add(SECRET)
    data = as_it_is(admin.get(change(endpoint))) | {"api_key": SECRET, "headers": f"X-Tenant: {SECRET}"}
    assert admin.post(change(endpoint), data).status_code == 302
    admin.post(f"{LIST}{endpoint.pk}/delete/", {"understood": "on"})
    history = json.dumps(list(Change.objects.values()), default=str)
    assert Change.objects.count() == 3
    for secret in (SECRET, API_KEY, "header-hidden"):
        assert secret not in history
    assert "api_key" in history


def test_an_endpoint_is_deleted_after_a_question(admin: Client, endpoint: Endpoint) -> None:
    page = admin.get(f"{LIST}{endpoint.pk}/delete/")
    assert "api_key" not in text(page)
    assert Endpoint.objects.exists()
    version = cache.read_version()
    response = admin.post(f"{LIST}{endpoint.pk}/delete/", {"understood": "on"})
    assert (response.status_code, response.headers["Location"]) == (302, LIST)
    assert not Endpoint.objects.exists()
    assert not EndpointSecret.objects.exists()
    assert cache.read_version() > version


def test_several_are_deleted_at_once_with_a_tick(admin: Client, endpoint: Endpoint) -> None:
    admin.post(step_2("echo", "completion", "y"), {"words_per_second": "1"})
    user = User.objects.get()
    ApiKey.objects.create(name="limited", owner=user, digest=b"", inference_ids=["x", "gone"])
    ApiKey.objects.create(name="revoked", owner=user, digest=b"r", inference_ids=["x"], invalidated_at=timezone.now())
    data: dict[str, Any] = {"action": "delete_selected", "_selected_action": [one.pk for one in Endpoint.objects.all()]}
    page = admin.post(LIST, data)
    assert [(str(one), used, keys) for one, used, keys in page.context["rows"]] == [
        ("x", "never", 1),
        ("y", "never", 0),
    ]
    assert "Tick the box" not in text(page)
    assert "api_key" not in text(page)
    assert "Tick the box to delete them." in text(admin.post(LIST, data | {"asked": "yes", "post": "yes"}))
    assert Endpoint.objects.count() == 2
    response = admin.post(LIST, data | {"asked": "yes", "understood": "on"})
    assert [str(one) for one in get_messages(response.wsgi_request)] == ["Deleted: 2"]
    assert not Endpoint.objects.exists()


def test_several_are_disabled_instead_of_deleted(admin: Client, endpoint: Endpoint) -> None:
    page = text(admin.post(LIST, {"action": "delete_selected", "_selected_action": [endpoint.pk]}))
    assert "Disable instead" in page
    assert '<input type="hidden" name="action" value="disable">' in page


def test_a_page_asks_about_a_bounded_number(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_actions, "MOST_ASKED", 2)
    Endpoint.objects.bulk_create(
        Endpoint(inference_id=f"echo-{number}", service="echo", task_type="completion") for number in range(3)
    )
    chosen = [one.pk for one in Endpoint.objects.all()]
    for action in ("move", "delete_selected"):
        page = text(admin.post(LIST, {"action": action, "_selected_action": chosen}))
        assert "Here are the first 2; 1 were left out." in page
        assert "echo-2" not in page
    admin.post(LIST, {"action": "delete_selected", "_selected_action": chosen, "understood": "on"})
    assert [one.inference_id for one in Endpoint.objects.all()] == ["echo-2"]


def test_none_of_several_is_deleted_while_one_is_being_updated(admin: Client, endpoint: Endpoint) -> None:
    admin.post(step_2("echo", "completion", "a"), {"words_per_second": "1"})
    Endpoint.objects.filter(inference_id="x").update(updating_since=timezone.now() - timedelta(seconds=5))
    keys = [one.pk for one in Endpoint.objects.all()]
    noted = Change.objects.count()
    chosen = {"action": "delete_selected", "_selected_action": keys, "understood": "on"}
    response = admin.post(LIST, chosen, follow=True)
    assert "The inference endpoint(s) [x] are currently being updated" in text(response)
    assert "Deleted" not in text(response)
    assert (Endpoint.objects.count(), Change.objects.count()) == (2, noted)
    response = admin.post(f"{LIST}{endpoint.pk}/delete/", {"understood": "on"}, follow=True)
    assert "The inference endpoint(s) [x] are currently being updated" in text(response)
    assert (Endpoint.objects.count(), Change.objects.count()) == (2, noted)


def test_the_list_can_be_searched_and_filtered(admin: Client, endpoint: Endpoint) -> None:
    admin.post(step_2("echo", "chat_completion", "other"), {"words_per_second": "1"})

    def listed(query: str) -> list[str]:
        return [one.inference_id for one in admin.get(f"{LIST}?{query}").context["cl"].result_list]

    assert listed("") == ["other", "x"]
    assert listed("q=oth") == ["other"]
    assert listed("service__exact=openai") == ["x"]
    assert listed("task_type__exact=chat_completion") == ["other"]


def paths(endpoint: Endpoint) -> list[str]:
    own = f"{LIST}{endpoint.pk}"
    return [LIST, ADD, step_2("echo", "completion", "y"), f"{own}/change/", f"{own}/delete/", f"{own}/history/"]


@pytest.mark.parametrize("role", ["superuser", "inference_admin"])
def test_those_who_may_manage_endpoints_see_all_pages(endpoint: Endpoint, role: str) -> None:
    User.objects.all().delete()
    client = browser(role)
    assert [client.get(path, follow=True).status_code for path in paths(endpoint)] == [200] * 6
    assert "Inference gateway" in text(client.get("/admin/"))


@pytest.mark.parametrize("role", ["", None])
def test_others_are_sent_to_the_login(endpoint: Endpoint, role: str | None) -> None:
    client = Client() if role is None else browser(role)
    for path in paths(endpoint):
        for response in (client.get(path), client.post(path, {"post": "yes", "user": "u"})):
            assert response.status_code == 302
            assert response.headers["Location"].startswith("/admin/login/")
    assert Endpoint.objects.get().task_settings["user"] == "me"


def test_who_may_only_use_endpoints_sees_them_without_secrets_and_changes_nothing(endpoint: Endpoint) -> None:
    client = browser("inference_user")
    page = client.get(change(endpoint))
    form = page.context["adminform"].form
    assert all(field.disabled for field in form.fields.values())
    assert {"api_key", "client_secret"}.isdisjoint(form.fields)
    assert 'name="_save"' not in text(page)
    assert client.get(LIST).status_code == 200
    for path in paths(endpoint)[1:-1]:
        assert client.post(path, {"understood": "on", "user": "u"}).status_code == 403
    for path in (ADD, f"{LIST}{endpoint.pk}/delete/", f"{LIST}{endpoint.pk}/test/", f"{LIST}{endpoint.pk}/state/"):
        assert client.get(path).status_code == 403
    assert Endpoint.objects.get().task_settings["user"] == "me"


def test_a_role_that_was_taken_away_counts_at_once(admin: Client, endpoint: Endpoint) -> None:
    User.objects.get(username="inference_admin").groups.clear()
    assert admin.get(LIST).status_code == 302


def test_no_page_has_a_script_of_its_own(admin: Client, endpoint: Endpoint) -> None:
    for path in paths(endpoint):
        scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", admin.get(path).content.decode(), re.DOTALL)
        assert all("src=" in attributes and not body.strip() for attributes, body in scripts)


@pytest.mark.parametrize("service", names())
def test_the_keys_of_settings_are_unique_in_the_form(service: str) -> None:
    provider = load(service)
    for task_type in provider.task_types:
        own = [*applying(provider.service_settings, task_type), *applying(provider.task_settings, task_type)]
        keys = ["inference_id", "service", "task_type", *(one.key for one in own), *chunking.settings()]
        assert len(set(keys)) == len(keys)


def test_a_newcomer_makes_an_endpoint_in_the_running_gateway(gateway: Gateway, fake: FakeProvider) -> None:
    """Through the real server, where the provider is asked from within a request."""
    cookies = urllib.request.HTTPCookieProcessor()
    browse = urllib.request.build_opener(cookies)

    def send(path: str, data: dict[str, str]) -> str:
        with browse.open(f"{gateway.url}{path}") as page:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
        assert token is not None
        body = urllib.parse.urlencode({**data, "csrfmiddlewaretoken": token[1]}).encode()
        with browse.open(f"{gateway.url}{path}", body) as answer:
            return html.unescape(answer.read().decode())

    send("/admin/login/?next=/admin/", {"username": "admin", "password": gateway.password})
    wrong = send(step_2("openai", "completion", "made-by-hand"), chat(fake, api_key="wrong"))
    assert "Incorrect API key provided" in wrong
    assert "was added successfully" in send(step_2("openai", "completion", "made-by-hand"), chat(fake))
    answer = gateway.call("POST", "/_inference/completion/made-by-hand", {"input": "hello"})
    assert answer.json() == {"completion": [{"result": "hello"}]}
