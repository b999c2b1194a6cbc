"""`PUT /_inference/[<task_type>/]<id>/_update`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from access import cache
from endpoints import catalog
from endpoints.models import Endpoint, EndpointSecret
from tests.endpoints.api import ECHO, Answer, Api, embeddings, openai
from tests.fakes.provider import API_KEY, FakeProvider


@pytest.fixture
def chat(admin: Api, fake: FakeProvider) -> str:
    """The id of a completion endpoint of the fake provider, which forgot that it was asked."""
    task_settings = {"user": "me", "headers": {"X-Tenant": "t1"}}
    assert admin.put("/completion/my-chat", openai(fake, task_settings=task_settings)).status == 200
    fake.requests.clear()
    return "/my-chat"


def refused(answer: Answer, status: int = 400, type_: str = "status_exception") -> str:
    assert (answer.status, answer.type) == (status, type_), answer.text
    return answer.reason


def test_an_endpoint_has_to_be_there(admin: Api) -> None:
    reason = refused(admin.update("/nope", {"service": "openai"}), 404)
    assert reason == "The inference endpoint [nope] does not exist and cannot be updated"


def test_an_empty_object_is_refused(admin: Api, chat: str) -> None:
    assert refused(admin.update(chat, {})) == "Request body is empty"


def test_a_body_is_required(admin: Api, chat: str) -> None:
    assert refused(admin.update(chat, None), type_="parse_exception") == "request body is required"


def test_other_fields_are_refused_even_the_service(admin: Api, chat: str) -> None:
    reason = refused(admin.update(chat, {"service": "openai", "a": [1, None], "task_settings": {}}))
    assert reason == (
        "Request contained fields which cannot be updated, remove these fields and try again "
        "[{service=openai, a=[1, null]}]"
    )


@pytest.mark.parametrize("section", ["service_settings", "task_settings", "chunking_settings"])
@pytest.mark.parametrize(("value", "shown"), [(None, "null"), ([1, "a"], "[1, a]"), ("x", "x")])
def test_a_section_is_an_object(admin: Api, chat: str, section: str, value: Any, shown: str) -> None:
    reason = refused(admin.update(chat, {section: value}))
    assert reason == f"Unable to parse [{section}] in the request [{shown}]"


@pytest.mark.parametrize(("path", "body"), [("/rerank/my-chat", {}), ("/my-chat", {"task_type": "rerank"})])
def test_the_task_type_has_to_be_that_of_the_endpoint(admin: Api, chat: str, path: str, body: dict[str, Any]) -> None:
    reason = refused(admin.update(path, {"task_settings": {}, **body}))
    assert reason == "Task type must match the task type of the existing endpoint"


@pytest.mark.parametrize("path", ["/completion/my-chat", "/any/my-chat", "/my-chat"])
@pytest.mark.parametrize("task_type", [{}, {"task_type": "completion"}, {"task_type": "any"}])
def test_the_task_type_may_be_named(admin: Api, chat: str, path: str, task_type: dict[str, str]) -> None:
    assert admin.update(path, {"task_settings": {}, **task_type}).status == 200


def test_an_unknown_task_type_is_named(admin: Api, chat: str) -> None:
    assert refused(admin.update("/foo/my-chat", {})) == "Unknown task_type [foo]"
    assert refused(admin.update(chat, {"task_type": "bar"})) == "Unknown task_type [bar]"


def test_a_service_that_is_gone_is_named(admin: Api, chat: str) -> None:
    Endpoint.objects.update(service="gone")
    assert refused(admin.update(chat, {"task_settings": {"user": "x"}})) == "Service [gone] not found"


def test_settings_that_stay_as_they_are_made_are_refused(admin: Api, chat: str, fake: FakeProvider) -> None:
    body = {"service_settings": {"model_id": "other", "url": "https://other.example.org/", "max_input_tokens": 0}}
    answer = admin.update(chat, body)
    refused(answer, type_="validation_exception")
    fixed = "[service_settings] the setting [{}] cannot be updated; create a new inference endpoint instead"
    # The key would go to the other address, so it is asked for as well.
    assert answer.problems == [
        "[service_settings] Invalid value [0]. [max_input_tokens] must be a positive integer",
        fixed.format("model_id"),
        fixed.format("url"),
        "[secret_settings] the setting [api_key] must be given again, since it would go to another host",
        "[secret_settings] the setting [headers] must be given again, since it would go to another host",
    ]
    assert fake.requests == []


def test_unknown_settings_are_listed(admin: Api, chat: str) -> None:
    body = {"service_settings": {"a": 1}, "task_settings": {"b": {"c": 2}}, "chunking_settings": {}}
    reason = refused(admin.update(chat, body))
    listed = "{a=1, b={c=2}, chunking_settings={}}"
    assert reason == f"Configuration contains settings [{listed}] unknown to the [openai] service"


def test_a_post_is_not_an_update(admin: Api, chat: str) -> None:
    answer = admin.call("POST", f"{chat}/_update", {"task_settings": {}})
    assert (answer.status, answer.headers["Allow"]) == (405, "PUT")


def test_settings_are_merged_into_the_stored_ones(admin: Api, chat: str, fake: FakeProvider) -> None:
    body = {
        "service_settings": {"organization_id": "org", "rate_limit": {"requests_per_minute": 9}},
        "task_settings": {"headers": {"X-Tenant": "t2"}},
    }
    answer = admin.update(chat, body)
    assert answer.status == 200
    assert answer.body == {
        "inference_id": "my-chat",
        "task_type": "completion",
        "service": "openai",
        "service_settings": {
            "model_id": "gpt-fake",
            "url": f"{fake.url}/v1/chat/completions",
            "organization_id": "org",
            "rate_limit": {"requests_per_minute": 9},
        },
        "task_settings": {"user": "me", "headers": {"X-Tenant": "***"}},
    }
    assert list(answer.body["service_settings"]) == ["model_id", "url", "organization_id", "rate_limit"]
    assert admin.get(chat).body == {"endpoints": [answer.body]}


def test_a_changed_endpoint_is_tried_at_the_provider(admin: Api, chat: str, fake: FakeProvider) -> None:
    admin.update(
        chat, {"service_settings": {"organization_id": "org"}, "task_settings": {"headers": {"X-Tenant": "t2"}}}
    )
    (request,) = fake.requests
    assert request.headers["openai-organization"] == "org"
    assert request.headers["x-tenant"] == "t2"
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.json()["user"] == "me"


@pytest.mark.parametrize(
    "body",
    [
        {"task_settings": {}},
        {"task_type": "completion"},
        {"task_settings": {"user": "me"}},
        {"service_settings": {"model_id": "gpt-fake", "rate_limit": {"requests_per_minute": 500}}},
        {"service_settings": {"api_key": API_KEY}, "task_settings": {"headers": {"X-Tenant": "***"}}},
        {"task_settings": {"headers": {"X-Tenant": "t1"}}},
        {"service_settings": {"organization_id": None, "rate_limit": None}},
    ],
)
def test_what_changes_nothing_asks_nobody(admin: Api, chat: str, fake: FakeProvider, body: dict[str, Any]) -> None:
    before, version = Endpoint.objects.get().updated_at, cache.read_version()
    answer = admin.update(chat, body)
    assert answer.status == 200
    assert answer.body == admin.get(chat).body["endpoints"][0]
    assert fake.requests == []
    assert Endpoint.objects.get().updated_at == before
    assert cache.read_version() == version


def test_null_brings_back_the_default_or_nothing(admin: Api, chat: str, fake: FakeProvider) -> None:
    admin.update(chat, {"service_settings": {"organization_id": "org", "rate_limit": {"requests_per_minute": 9}}})
    body = {
        "service_settings": {"organization_id": None, "rate_limit": {"requests_per_minute": None}},
        "task_settings": {"user": None, "headers": None},
    }
    shown = admin.update(chat, body).body
    assert "organization_id" not in shown["service_settings"]
    assert shown["service_settings"]["rate_limit"] == {"requests_per_minute": 500}
    assert "task_settings" not in shown
    assert "x-tenant" not in fake.last.headers


def test_a_required_setting_cannot_be_taken_away(admin: Api, chat: str) -> None:
    answer = admin.update(chat, {"service_settings": {"api_key": None}})
    refused(answer, type_="validation_exception")
    assert answer.problems == ["[secret_settings] does not contain the required setting [api_key]"]


def test_chunking_settings_are_replaced(admin: Api, fake: FakeProvider) -> None:
    old = {"strategy": "word", "max_chunk_size": 100, "overlap": 50}
    admin.put("/text_embedding/my-emb", embeddings(fake, chunking_settings=old))
    new = {"strategy": "sentence", "max_chunk_size": 30}
    answer = admin.update("/my-emb", {"chunking_settings": new})
    assert answer.body["chunking_settings"] == {**new, "sentence_overlap": 1}
    assert admin.update("/my-emb", {"task_settings": {"user": "x"}}).body["chunking_settings"]["strategy"] == "sentence"


def test_wrong_chunking_settings_are_refused_with_the_other_problems(admin: Api, fake: FakeProvider) -> None:
    admin.put("/text_embedding/my-emb", embeddings(fake))
    answer = admin.update("/my-emb", {"task_settings": {"user": 1}, "chunking_settings": {"strategy": "x"}})
    refused(answer, type_="validation_exception")
    assert len(answer.problems) == 2


def test_the_length_of_the_vectors_stays_known(admin: Api, fake: FakeProvider, settings: Settings) -> None:
    admin.put("/text_embedding/my-emb", embeddings(fake))
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    answer = admin.update("/my-emb", {"task_settings": {"user": "x"}})
    assert answer.body["service_settings"]["dimensions"] == 3


def test_a_new_key_takes_the_place_of_the_old_one(admin: Api, chat: str, fake: FakeProvider) -> None:
    old = EndpointSecret.objects.get(name="api_key").ciphertext
    answer = admin.update(chat, {"service_settings": {"api_key": "wrong"}})
    assert refused(answer) == (
        "Could not complete inference endpoint update as validation call to service threw an exception."
    )
    assert EndpointSecret.objects.get(name="api_key").ciphertext == old
    fake.tokens.add("sk-second")
    assert admin.update(chat, {"service_settings": {"api_key": "sk-second"}}).status == 200
    assert fake.last.headers["authorization"] == "Bearer sk-second"
    assert EndpointSecret.objects.get(name="api_key").ciphertext != old
    assert EndpointSecret.objects.count() == 2


def test_an_answer_of_get_may_be_sent_back_with_its_masks(admin: Api, chat: str, fake: FakeProvider) -> None:
    shown = admin.get(chat).body["endpoints"][0]
    task_settings = {**shown["task_settings"], "headers": {**shown["task_settings"]["headers"], "X-New": "n"}}
    body = {"service_settings": shown["service_settings"], "task_settings": task_settings}
    answer = admin.update(chat, body)
    assert answer.body["task_settings"]["headers"] == {"X-Tenant": "***", "X-New": "***"}
    assert (fake.last.headers["x-tenant"], fake.last.headers["x-new"]) == ("t1", "n")


def test_headers_are_one_setting_and_replaced_as_a_whole(admin: Api, chat: str, fake: FakeProvider) -> None:
    answer = admin.update(chat, {"task_settings": {"headers": {"X-New": "n"}}})
    assert answer.body["task_settings"]["headers"] == {"X-New": "***"}
    assert "x-tenant" not in fake.last.headers


def test_a_mask_without_a_stored_value_is_refused(admin: Api, chat: str) -> None:
    answer = admin.update(chat, {"task_settings": {"headers": {"X-New": "***"}}})
    refused(answer, type_="validation_exception")
    assert "[X-New] in [headers]" in answer.reason


def test_reserved_headers_are_refused_and_their_values_not_repeated(admin: Api, chat: str) -> None:
    answer = admin.update(chat, {"task_settings": {"headers": {"Authorization": "hidden"}}})
    refused(answer, type_="validation_exception")
    assert "must not set the header [Authorization]" in answer.reason
    assert "hidden" not in answer.text


@pytest.fixture
def oauth(admin: Api, fake: FakeProvider) -> str:
    """The id of an endpoint that fetches tokens from the fake provider."""
    service_settings = {
        "api_key": None,
        "client_id": "me",
        "client_secret": "client-hidden",
        "scopes": ["all"],
        "token_url": f"{fake.url}/token",
    }
    answer = admin.put("/completion/my-oauth", openai(fake, service_settings=service_settings))
    assert answer.status == 200, answer.text
    fake.requests.clear()
    return "/my-oauth"


def test_a_secret_that_would_go_to_another_host_has_to_be_given_again(
    admin: Api, oauth: str, fake: FakeProvider
) -> None:
    answer = admin.update(oauth, {"service_settings": {"token_url": "https://elsewhere.example.org/token"}})
    refused(answer, type_="validation_exception")
    assert answer.problems == [
        "[secret_settings] the setting [client_secret] must be given again, since it would go to another host"
    ]
    assert fake.requests == []


def test_a_secret_may_go_to_another_path_of_its_host(
    admin: Api, oauth: str, fake: FakeProvider, settings: Settings
) -> None:
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    assert admin.update(oauth, {"service_settings": {"token_url": f"{fake.url}/other/token"}}).status == 200
    opened, unreadable = catalog.opened(Endpoint.objects.get())
    assert opened.secrets() == {"client_secret": "client-hidden"}
    assert unreadable == {}


def test_a_secret_that_is_given_again_may_go_to_another_host(admin: Api, oauth: str, settings: Settings) -> None:
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})
    body = {"service_settings": {"token_url": "https://elsewhere.example.org/token", "client_secret": "new"}}
    assert admin.update(oauth, body).status == 200
    assert EndpointSecret.objects.count() == 1


def test_a_second_update_has_to_wait(admin: Api, chat: str) -> None:
    Endpoint.objects.update(updating_since=timezone.now())
    reason = refused(admin.update(chat, {"task_settings": {"user": "x"}}), 409)
    assert reason == "Endpoint [my-chat] is currently being updated. Try again once the update completes"


def test_an_endpoint_that_is_being_updated_is_not_deleted(admin: Api, chat: str) -> None:
    Endpoint.objects.update(updating_since=timezone.now())
    assert refused(admin.delete(chat), 409) == (
        "The inference endpoint(s) [my-chat] are currently being updated, "
        "please wait until after they are finished updating to delete."
    )
    assert Endpoint.objects.exists()


def test_an_update_that_was_killed_is_forgotten(admin: Api, chat: str) -> None:
    Endpoint.objects.update(updating_since=timezone.now() - timedelta(minutes=4))
    assert admin.update(chat, {"task_settings": {"user": "x"}}).status == 200
    assert Endpoint.objects.get().updating_since is None
    Endpoint.objects.update(updating_since=timezone.now() - timedelta(minutes=4))
    assert admin.delete(chat).status == 200


def test_a_failed_update_leaves_the_way_free(admin: Api, chat: str, fake: FakeProvider) -> None:
    assert admin.update(chat, {"service_settings": {"api_key": "wrong"}}).status == 400
    assert Endpoint.objects.get().updating_since is None
    assert admin.update(chat, {"task_settings": {"user": "x"}}).status == 200


def test_an_update_whose_turn_is_over_is_not_stored(admin: Api, chat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waited for the provider, so long that another one took its turn."""

    def ask(*arguments: Any) -> None:
        Endpoint.objects.update(updating_since=timezone.now() + timedelta(seconds=1))

    monkeypatch.setattr("endpoints.validation.validate", ask)
    assert "currently being updated" in refused(admin.update(chat, {"task_settings": {"user": "late"}}), 409)
    assert admin.get(chat).body["endpoints"][0]["task_settings"]["user"] == "me"
    assert Endpoint.objects.get().updating_since is not None


def test_an_endpoint_without_settings_of_a_section_can_get_some(admin: Api) -> None:
    admin.put("/completion/e", ECHO)
    answer = admin.update("/e", {"service_settings": {"words_per_second": 10}})
    assert answer.body["service_settings"]["words_per_second"] == 10
