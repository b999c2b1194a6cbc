"""The official Python clients, as their users write it."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from tests.gateway import Gateway, deltas

PACKAGES = ("elasticsearch8", "elasticsearch9")
PATH = "/_inference/completion/openai-completion/_stream"


def client(package: str, gateway: Gateway, **options: Any) -> Any:
    return import_module(package).Elasticsearch(gateway.url, api_key=gateway.key, **options)


def text(body: str) -> str:
    """Put the deltas of a whole event stream together, as an application has to."""
    data = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return "".join(deltas(part) for part in data[:-1])


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("package", PACKAGES)
def test_perform_request_streams_a_completion(openai_completion: Gateway, package: str, compress: bool) -> None:
    with client(package, openai_completion, http_compress=compress) as elasticsearch:
        response = elasticsearch.perform_request(
            "POST",
            PATH,
            headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
            body={"input": "What is Elastic?"},
        )
    assert response.meta.status == 200
    assert response.meta.headers["content-type"] == "text/event-stream"
    assert text(response.body) == "What is Elastic?"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_inference_calls_make_ask_list_and_delete_an_endpoint(gateway: Gateway, package: str) -> None:
    inference_id = f"made-by-{package}"
    with client(package, gateway) as elasticsearch:
        made = elasticsearch.inference.put(
            task_type="completion",
            inference_id=inference_id,
            inference_config={"service": "echo", "service_settings": {}},
        )
        assert made["inference_id"] == inference_id
        asked = elasticsearch.inference.inference(inference_id=inference_id, input="one two")
        assert asked["completion"] == [{"result": "one two"}]
        assert elasticsearch.inference.get(inference_id=inference_id)["endpoints"] == [made.body]
        assert elasticsearch.inference.delete(inference_id=inference_id)["acknowledged"] is True


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_endpoint_raises_the_clients_not_found(gateway: Gateway, package: str) -> None:
    with client(package, gateway) as elasticsearch, pytest.raises(import_module(package).NotFoundError) as caught:
        elasticsearch.perform_request(
            "POST",
            "/_inference/completion/nope/_stream",
            headers={"Content-Type": "application/json"},
            body={"input": "x"},
        )
    assert json.loads(str(caught.value.body).partition("data: ")[2])["status"] == 404


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wrong_key_raises_the_clients_authentication_error(gateway: Gateway, package: str) -> None:
    module = import_module(package)
    with (
        module.Elasticsearch(gateway.url, api_key="bm8tc3VjaDprZXk=") as elasticsearch,
        pytest.raises(module.AuthenticationException),
    ):
        elasticsearch.inference.get()


@pytest.mark.parametrize("package", PACKAGES)
def test_info_and_ping_know_an_elasticsearch(gateway: Gateway, package: str) -> None:
    with client(package, gateway) as elasticsearch:
        assert elasticsearch.ping() is True
        assert elasticsearch.info()["tagline"] == "You Know, for Search"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_security_calls_make_and_invalidate_a_key(gateway: Gateway, package: str) -> None:
    module = import_module(package)
    with (
        client(package, gateway, basic_auth=None) as _,
        module.Elasticsearch(gateway.url, basic_auth=("admin", gateway.password)) as admin,
    ):
        made = admin.security.create_api_key(
            name="app", expiration="1d", role_descriptors={"app": {"cluster": ["monitor_inference"]}}
        )
        with module.Elasticsearch(gateway.url, api_key=made["encoded"]) as app:
            assert app.security.authenticate()["api_key"]["id"] == made["id"]
            assert app.security.has_privileges(cluster=["monitor_inference"])["has_all_requested"] is True
            with pytest.raises(module.AuthorizationException):
                app.inference.delete(inference_id="echo-completion")
        gone = admin.security.invalidate_api_key(ids=[made["id"]])
        assert gone["invalidated_api_keys"] == [made["id"]]
