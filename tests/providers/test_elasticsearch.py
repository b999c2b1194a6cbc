"""The services `elasticsearch` and `elser`: endpoints are kept, checked and shown; nothing runs their models."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.models import Endpoint
from endpoints.providers import load
from endpoints.providers._base import Provider
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import parse
from endpoints.serializers import service_listing
from tests.endpoints.api import Api, api_of
from tests.gateway import Gateway
from tests.providers.endpoints import bound
from wire.errors import StatusError

LEAST = {"model_id": ".elser_model_2", "num_allocations": 1, "num_threads": 2}
E5 = {**LEAST, "model_id": ".multilingual-e5-small"}
RERANK = {**LEAST, "model_id": ".rerank-v1"}
OWN = {**LEAST, "model_id": "my-model"}
NEITHER = "[service_settings] does not contain one of the required settings [num_allocations, adaptive_allocations]"
CHUNKS = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}


@pytest.fixture
def admin(db: None) -> Api:
    return api_of("inference_admin")


def body(settings: dict[str, Any], service: str = "elasticsearch", **more: Any) -> dict[str, Any]:
    return {"service": service, "service_settings": settings, **more}


def problems(
    settings: dict[str, Any], task_type: str = "sparse_embedding", service: str = "elasticsearch"
) -> list[str]:
    declaration = load(service).service_settings
    return [problem.text for problem in parse(declaration, task_type, settings).problems]


def without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def provider(task_type: str, settings: dict[str, Any]) -> Provider:
    return bound("elasticsearch", HttpClient(PrivateHosts()), task_type, settings)


@pytest.mark.parametrize(
    ("task_type", "given", "more"),
    [
        ("sparse_embedding", LEAST, {}),
        ("text_embedding", E5, {"similarity": "cosine", "element_type": "float"}),
        ("rerank", RERANK, {"long_document_strategy": "truncate"}),
    ],
)
def test_an_endpoint_is_made_without_asking_anyone(
    admin: Api, task_type: str, given: dict[str, Any], more: dict[str, Any]
) -> None:
    answer = admin.put(f"/{task_type}/local", body(given))
    assert answer.status == 200, answer.text
    shown = answer.body
    assert (shown["service"], shown["task_type"]) == ("elasticsearch", task_type)
    assert shown["service_settings"] == {**given, **more}
    assert shown.get("task_settings") == ({"return_documents": True} if task_type == "rerank" else None)
    assert shown.get("chunking_settings") == (None if task_type == "rerank" else CHUNKS)
    assert admin.get(f"/{task_type}/local").body["endpoints"] == [shown]


def test_adaptive_allocations_are_not_enabled_unless_they_say_so(admin: Api) -> None:
    given = {**without(LEAST, "num_allocations"), "adaptive_allocations": {"max_number_of_allocations": 4}}
    shown = admin.put("/sparse_embedding/local", body(given)).body["service_settings"]
    assert shown["adaptive_allocations"] == {"enabled": False, "max_number_of_allocations": 4}


def test_empty_adaptive_allocations_are_there(admin: Api) -> None:
    given = {**without(LEAST, "num_allocations"), "adaptive_allocations": {}}
    shown = admin.put("/sparse_embedding/local", body(given)).body["service_settings"]
    assert shown["adaptive_allocations"] == {"enabled": False}


@pytest.mark.parametrize(
    ("given", "task_type", "found"),
    [
        (
            {},
            "sparse_embedding",
            [
                NEITHER,
                "Error parsing service settings, model_id must be provided",
                "[service_settings] does not contain the required setting [num_threads]",
            ],
        ),
        (without(LEAST, "num_allocations"), "sparse_embedding", [NEITHER]),
        ({"deployment_id": "mine"}, "sparse_embedding", []),
        ({**OWN, "adaptive_allocations": {"enabled": True}}, "sparse_embedding", []),
        (
            {**LEAST, "num_threads": 3},
            "sparse_embedding",
            ["[service_settings] Invalid value [3]. [num_threads] must be a power of two"],
        ),
        ({**LEAST, "num_threads": 32}, "sparse_embedding", []),
        (
            {**LEAST, "num_threads": 64},
            "sparse_embedding",
            ["[service_settings] Invalid value [64]. [num_threads] must be less than or equal to [32]"],
        ),
        (
            {**LEAST, "num_allocations": 0},
            "sparse_embedding",
            ["[service_settings] Invalid value [0]. [num_allocations] must be a positive integer"],
        ),
        (
            {**LEAST, "adaptive_allocations": {"min_number_of_allocations": -1, "max_number_of_allocations": 0}},
            "sparse_embedding",
            [
                "[service_settings] Invalid value [-1]. [adaptive_allocations.min_number_of_allocations] must be greater "
                "than or equal to [0]",
                "[service_settings] Invalid value [0]. [adaptive_allocations.max_number_of_allocations] must be a "
                "positive integer",
            ],
        ),
        (
            {**LEAST, "adaptive_allocations": {"min_number_of_allocations": 3, "max_number_of_allocations": 2}},
            "sparse_embedding",
            [
                "[service_settings] Invalid value [2]. [adaptive_allocations.max_number_of_allocations] must be greater "
                "than or equal to [min_number_of_allocations]"
            ],
        ),
        (
            {**LEAST, "adaptive_allocations": {"enabled": "yes"}},
            "sparse_embedding",
            [
                "field [adaptive_allocations.enabled] is not of the expected type. "
                "The value [yes] cannot be converted to a [Boolean]"
            ],
        ),
        (
            {**LEAST, "adaptive_allocations": 4},
            "sparse_embedding",
            ["field [adaptive_allocations] is not of the expected type. The value [4] cannot be converted to a [Map]"],
        ),
        (
            LEAST,
            "rerank",
            [
                "Deployed model [.elser_model_2] with type [sparse_embedding] does not match the requested task type "
                "[rerank]"
            ],
        ),
        (
            {**E5, "similarity": "l2_norm", "element_type": "byte"},
            "text_embedding",
            [
                f"[service_settings] does not allow the setting [{name}] for the model [.multilingual-e5-small]"
                for name in ("similarity", "element_type")
            ],
        ),
        ({**OWN, "similarity": "l2_norm", "element_type": "byte"}, "text_embedding", []),
        (
            {**OWN, "element_type": "bit"},
            "text_embedding",
            ["[service_settings] Invalid value [bit] received. [element_type] must be one of [byte, float]"],
        ),
        ({**RERANK, "long_document_strategy": "chunk", "max_chunks_per_doc": 3}, "rerank", []),
        (
            {**RERANK, "max_chunks_per_doc": 3},
            "rerank",
            ["The [max_chunks_per_doc] setting requires [long_document_strategy] to be set to [chunk]"],
        ),
        (
            {**OWN, "long_document_strategy": "chunk"},
            "rerank",
            ["[service_settings] does not allow the setting [long_document_strategy] for the model [my-model]"],
        ),
    ],
)
def test_the_rules_between_settings_hold(given: dict[str, Any], task_type: str, found: list[str]) -> None:
    assert problems(given, task_type) == found


@pytest.mark.parametrize(
    ("task_type", "extra"),
    [
        ("text_embedding", {"dimensions": 384}),
        ("sparse_embedding", {"similarity": "cosine"}),
        ("rerank", {"rate_limit": {"requests_per_minute": 5}}),
        ("sparse_embedding", {"adaptive_allocations": {"speed": 1}}),
    ],
)
def test_other_settings_are_unknown(admin: Api, task_type: str, extra: dict[str, Any]) -> None:
    answer = admin.put(f"/{task_type}/local", body({**OWN, **extra}))
    assert answer.status == 400
    assert answer.reason.startswith("Configuration contains settings [{")
    assert answer.reason.endswith("unknown to the [elasticsearch] service")


def test_an_endpoint_is_not_called_like_its_model(admin: Api) -> None:
    answer = admin.put("/sparse_embedding/my-model", body(OWN))
    assert (answer.status, answer.type) == (400, "status_exception")
    assert answer.reason == (
        "Inference endpoint IDs must be unique. Requested inference endpoint ID [my-model] matches existing trained "
        "model ID(s) but must not."
    )
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    "inference_id", [".elser-2-elasticsearch", ".multilingual-e5-small-elasticsearch", ".rerank-v1-elasticsearch"]
)
def test_the_reserved_ids_cannot_be_taken(admin: Api, inference_id: str) -> None:
    answer = admin.put(f"/sparse_embedding/{inference_id}", body(LEAST))
    assert answer.status == 400
    assert answer.reason.startswith(f"Validation Failed: 1: Invalid inference_id; '{inference_id}'")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"num_allocations": 2}, None),
        ({"num_allocations": None, "adaptive_allocations": {"enabled": True}}, None),
        (
            {"num_allocations": 2, "adaptive_allocations": {"enabled": True}},
            ["[num_allocations] cannot be set if [adaptive_allocations] is set"],
        ),
        ({"num_allocations": 2, "num_threads": 2}, ["[num_threads] cannot be updated"]),
        ({"num_threads": 4}, ["[num_threads] cannot be updated", NEITHER]),
        ({"num_allocations": None}, [NEITHER]),
        (
            {"model_id": "other", "num_allocations": 2},
            [
                "[service_settings] the setting [model_id] cannot be updated; create a new inference endpoint instead",
            ],
        ),
    ],
)
def test_an_update_says_how_many_copies_run(admin: Api, given: dict[str, Any], found: list[str] | None) -> None:
    assert admin.put("/sparse_embedding/local", body(OWN)).status == 200
    answer = admin.update("/local", {"service_settings": given})
    if found is None:
        assert answer.status == 200, answer.text
    else:
        assert answer.problems == found


def test_a_null_takes_all_adaptive_allocations_away(admin: Api) -> None:
    adaptive = {"enabled": True, "min_number_of_allocations": 1, "max_number_of_allocations": 4}
    given = {**without(OWN, "num_allocations"), "adaptive_allocations": adaptive}
    assert admin.put("/sparse_embedding/local", body(given)).status == 200
    answer = admin.update("/local", {"service_settings": {"adaptive_allocations": None, "num_allocations": 3}})
    assert answer.body["service_settings"] == {"model_id": "my-model", "num_allocations": 3, "num_threads": 2}


def test_task_settings_are_updated_by_themselves(admin: Api) -> None:
    assert admin.put("/rerank/local", body(RERANK)).status == 200
    answer = admin.update("/local", {"task_settings": {"return_documents": False}})
    assert answer.body["task_settings"] == {"return_documents": False}


@pytest.mark.parametrize(
    ("task_type", "given", "asked"),
    [
        ("sparse_embedding", LEAST, {"input": "x"}),
        ("text_embedding", E5, {"input": ["x", "y"]}),
        ("rerank", RERANK, {"input": ["x"], "query": "q"}),
    ],
)
def test_asking_names_the_model_that_does_not_run(
    gateway: Gateway, task_type: str, given: dict[str, Any], asked: dict[str, Any]
) -> None:
    inference_id = gateway.put("elasticsearch", task_type, **given)
    answer = gateway.call("POST", f"/_inference/{task_type}/{inference_id}", asked)
    assert (answer.status, answer.error["type"]) == (503, "status_exception")
    assert answer.error["reason"] == (
        f"Inference endpoint [{inference_id}] cannot be asked: its model [{given['model_id']}] would run inside the "
        "gateway, and this gateway cannot run models"
    )


async def test_asking_names_the_deployment_where_no_model_is_named() -> None:
    with pytest.raises(StatusError, match=r"its deployment \[mine\] would run inside the gateway") as error:
        await provider("sparse_embedding", {"deployment_id": "mine"}).embed_sparse(["x"])
    assert error.value.status == 503


@pytest.mark.parametrize("service", ["elasticsearch", "elser"])
def test_nothing_can_be_streamed(gateway: Gateway, service: str) -> None:
    inference_id = gateway.put(service, "sparse_embedding", **LEAST)
    answer = gateway.call("POST", f"/_inference/sparse_embedding/{inference_id}/_stream", {"input": "x"})
    assert answer.status == 405
    assert answer.error["reason"] == "Streaming is not allowed for service [elasticsearch]."


def test_elser_is_kept_and_shown_as_elasticsearch(admin: Api) -> None:
    answer = admin.put("/sparse_embedding/local", body(without(LEAST, "model_id"), "elser"))
    assert answer.body == {
        "inference_id": "local",
        "task_type": "sparse_embedding",
        "service": "elasticsearch",
        "service_settings": LEAST,
        "chunking_settings": CHUNKS,
    }
    assert Endpoint.objects.get().service == "elasticsearch"
    assert admin.update("/local", {"service_settings": {"num_allocations": 2}}).status == 200


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (
            {},
            ["[service_settings] does not contain the required setting [num_threads]", NEITHER],
        ),
        (
            {**LEAST, "model_id": ".rerank-v1"},
            [
                "[service_settings] Invalid value [.rerank-v1] received. [model_id] must be one of "
                "[.elser_model_1, .elser_model_2, .elser_model_2_linux-x86_64]"
            ],
        ),
        ({**LEAST, "num_threads": 6}, ["[service_settings] Invalid value [6]. [num_threads] must be a power of two"]),
    ],
)
def test_elser_has_rules_of_its_own(given: dict[str, Any], found: list[str]) -> None:
    assert problems(given, service="elser") == found


def test_elser_knows_neither_deployments_nor_other_task_types(admin: Api) -> None:
    answer = admin.put("/sparse_embedding/local", body({**LEAST, "deployment_id": "mine"}, "elser"))
    assert answer.reason == "Configuration contains settings [{deployment_id=mine}] unknown to the [elser] service"
    answer = admin.put("/rerank/local", body(RERANK, "elser"))
    assert answer.reason == "The [elser] service does not support task type [rerank]"


@pytest.mark.parametrize(("service", "status"), [("elser", 400), ("elasticsearch", 200)])
def test_chunks_for_elser_have_300_words_at_most(admin: Api, service: str, status: int) -> None:
    chunks = {"strategy": "sentence", "max_chunk_size": 301, "sentence_overlap": 1}
    answer = admin.put("/sparse_embedding/local", body(LEAST, service, chunking_settings=chunks))
    assert answer.status == status
    if status == 400:
        assert answer.problems == [
            "[chunking_settings] Invalid value [301]. [max_chunk_size] must be less than or equal to [300]"
        ]


def test_the_listing_says_what_elasticsearch_says(admin: Api) -> None:
    services = {one["service"]: one for one in admin.get("/_services").body}
    assert "elser" not in services
    configurations = services["elasticsearch"]["configurations"]
    assert list(configurations) == ["model_id", "num_allocations", "num_threads"]
    assert [one.get("default_value") for one in configurations.values()] == [None, 1, 2]
    assert all(one["required"] for one in configurations.values())
    assert [one["updatable"] for one in configurations.values()] == [False, True, False]
    assert service_listing("elasticsearch") == services["elasticsearch"]


def test_there_is_no_secret_to_send_anywhere() -> None:
    assert load("elasticsearch").service_settings.destinations({}, "rerank") == {}
