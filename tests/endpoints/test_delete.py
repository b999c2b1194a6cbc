"""`DELETE /_inference/[<task_type>/]<id>`."""

from __future__ import annotations

import pytest

from endpoints.models import Endpoint, EndpointSecret
from tests.endpoints.api import Api, openai
from tests.fakes.provider import FakeProvider


@pytest.fixture
def chat(admin: Api, fake: FakeProvider) -> str:
    assert admin.put("/completion/my-chat", openai(fake)).status == 200
    return "/my-chat"


@pytest.mark.parametrize("path", ["/my-chat", "/completion/my-chat", "/any/my-chat", "/my-chat?force=true"])
@pytest.mark.usefixtures("chat")
def test_a_deleted_endpoint_is_gone_with_its_secrets(admin: Api, path: str) -> None:
    answer = admin.delete(path)
    assert answer.status == 200
    assert answer.body == {"acknowledged": True, "pipelines": [], "indexes": []}
    assert not Endpoint.objects.exists()
    assert not EndpointSecret.objects.exists()
    assert admin.delete(path).status == 404


@pytest.mark.parametrize("query", ["?dry_run", "?dry_run=true", "?dry_run=true&force=true"])
def test_a_dry_run_deletes_nothing(admin: Api, chat: str, query: str) -> None:
    answer = admin.delete(chat + query)
    assert answer.status == 200
    assert answer.body == {"acknowledged": False, "pipelines": [], "indexes": [], "error_message": ""}
    assert Endpoint.objects.exists()


@pytest.mark.parametrize("path", ["/nope", "/_all", "/*", "/nope?dry_run"])
@pytest.mark.usefixtures("chat")
def test_an_unknown_id_is_not_found(admin: Api, path: str) -> None:
    answer = admin.delete(path)
    assert (answer.status, answer.type) == (404, "resource_not_found_exception")
    assert Endpoint.objects.exists()


@pytest.mark.usefixtures("chat")
def test_another_task_type_is_a_mismatch(admin: Api) -> None:
    answer = admin.delete("/rerank/my-chat")
    assert (answer.status, answer.type) == (400, "status_exception")
    assert answer.reason == (
        "Requested task type [rerank] does not match the inference endpoint's task type [completion]"
    )
    assert Endpoint.objects.exists()


@pytest.mark.parametrize("query", ["?dry_run=yes", "?force=1"])
def test_a_flag_is_true_or_false(admin: Api, chat: str, query: str) -> None:
    answer = admin.delete(chat + query)
    assert (answer.status, answer.type) == (400, "illegal_argument_exception")
    assert Endpoint.objects.exists()


def test_an_endpoint_of_a_service_that_is_gone_can_be_deleted(admin: Api, chat: str) -> None:
    Endpoint.objects.update(service="gone")
    assert admin.delete(chat).status == 200
