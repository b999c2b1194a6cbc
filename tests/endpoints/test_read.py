"""`GET /_inference...` in all its forms."""

from __future__ import annotations

import pytest

from endpoints.models import Endpoint
from tests.endpoints.api import ECHO, Api, embeddings
from tests.fakes.provider import FakeProvider

NAMES = ["b", "a-b", "a.b", "a_b", "ab", "a"]


@pytest.fixture
def many(admin: Api) -> None:
    for number, name in enumerate(NAMES):
        task_type = "completion" if number % 2 else "chat_completion"
        assert admin.put(f"/{task_type}/{name}", ECHO).status == 200


def ids(api: Api, path: str) -> list[str]:
    answer = api.get(path)
    assert answer.status == 200, answer.text
    return [one["inference_id"] for one in answer.body["endpoints"]]


def test_without_endpoints_the_list_is_empty(user: Api) -> None:
    assert user.get().body == {"endpoints": []}


@pytest.mark.parametrize("path", ["", "/", "/_all", "/*", "/any/_all", "/any/*", "/_all/"])
@pytest.mark.usefixtures("many")
def test_all_endpoints_are_listed_in_the_order_of_their_ids(user: Api, path: str) -> None:
    assert ids(user, path) == ["a", "a-b", "a.b", "a_b", "ab", "b"]


@pytest.mark.usefixtures("many")
def test_the_order_of_ids_is_not_that_of_the_database(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collation of PostgreSQL may leave out signs when it compares."""
    monkeypatch.setattr(Endpoint._meta, "ordering", ["-inference_id"])
    assert ids(user, "") == ["a", "a-b", "a.b", "a_b", "ab", "b"]


@pytest.mark.usefixtures("many")
def test_those_of_a_task_type_are_listed(user: Api) -> None:
    assert ids(user, "/completion/_all") == ["a", "a-b", "a_b"]
    assert ids(user, "/chat_completion/*") == ["a.b", "ab", "b"]
    assert ids(user, "/rerank/_all") == []


@pytest.mark.parametrize("path", ["/a-b", "/completion/a-b", "/any/a-b", "/Completion/a-b"])
@pytest.mark.usefixtures("many")
def test_one_endpoint_is_a_list_of_one(user: Api, path: str) -> None:
    assert ids(user, path) == ["a-b"]


@pytest.mark.parametrize("path", ["/nope", "/completion/nope", "/a*", "/completion", "/%00", "/" + "x" * 2000])
@pytest.mark.usefixtures("many")
def test_an_unknown_id_is_not_found(user: Api, path: str) -> None:
    answer = user.get(path)
    assert (answer.status, answer.type) == (404, "resource_not_found_exception")
    assert answer.reason.startswith("Inference endpoint not found [")


@pytest.mark.usefixtures("many")
def test_another_task_type_is_a_mismatch(user: Api) -> None:
    answer = user.get("/chat_completion/a-b")
    assert (answer.status, answer.type) == (400, "status_exception")
    assert answer.reason == (
        "Requested task type [chat_completion] does not match the inference endpoint's task type [completion]"
    )


def test_an_unknown_task_type_is_named(user: Api) -> None:
    answer = user.get("/foo/_all")
    assert (answer.status, answer.reason) == (400, "Unknown task_type [foo]")


@pytest.mark.parametrize("path", ["", "/_all", "/a"])
@pytest.mark.usefixtures("many")
def test_a_service_that_is_gone_is_an_error_of_the_gateway(user: Api, path: str) -> None:
    Endpoint.objects.filter(inference_id="a").update(service="gone")
    answer = user.get(path)
    assert (answer.status, answer.type) == (500, "status_exception")
    assert answer.reason == "Unknown service [gone] for inference endpoint [a]."


@pytest.mark.usefixtures("many")
def test_the_others_can_still_be_read(user: Api) -> None:
    Endpoint.objects.filter(inference_id="a").update(service="gone")
    assert ids(user, "/b") == ["b"]


@pytest.mark.usefixtures("many")
def test_head_is_get_without_a_body(user: Api) -> None:
    answer = user.call("HEAD", "/a")
    assert (answer.status, answer.text) == (200, "")
    assert user.call("HEAD", "/nope").status == 404


def test_the_order_of_keys_is_not_that_of_the_database(admin: Api, fake: FakeProvider) -> None:
    """PostgreSQL keeps the keys of JSON sorted by length."""
    admin.put("/text_embedding/x", embeddings(fake))
    row = Endpoint.objects.get()
    row.service_settings = dict(sorted(row.service_settings.items(), key=lambda item: (len(item[0]), item)))
    row.chunking_settings = dict(sorted((row.chunking_settings or {}).items()))
    row.save()
    shown = admin.get("/x").body["endpoints"][0]
    assert list(shown["service_settings"]) == ["model_id", "url", "dimensions", "similarity", "rate_limit"]
    assert list(shown["chunking_settings"]) == ["strategy", "max_chunk_size", "sentence_overlap"]
