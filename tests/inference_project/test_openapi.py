"""The OpenAPI document is valid, and says what there is: no path, method, parameter or field more or less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from access.views import api_keys, callers, team_keys, teams, users
from endpoints.chunking import STRATEGIES
from endpoints.providers import load, names
from endpoints.providers._settings import declared
from inference_project.openapi.asking import REQUESTS
from inference_project.openapi.document import content, document
from streaming import bodies
from tests.gateway import Gateway
from wire import json

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
NAMES = {"task_type": "completion", "inference_id": "my-id", "username": "alice", "slug": "search", "key_id": "k" * 20}
# What is there for browsers, and for whatever else somebody asks for.
NOT_OF_THE_API = {"favicon.ico", "admin", "admin/", "^"}
JSON_TYPES = {str: "string", bool: "boolean", int: "integer", dict: "object", list: "array"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for one in resolver.url_patterns:
        if str(one.pattern) in NOT_OF_THE_API:
            continue
        if isinstance(one, URLResolver):
            yield from patterns(one)
        else:
            yield one


def filled(path: str) -> str:
    """Return `path` with something for each of its parameters."""
    return re.sub(r"{(\w+)}", lambda name: NAMES[name[1]], path)


def test_it_is_valid() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(json.decode(content()))] == []


def test_what_is_not_openapi_is_not_valid() -> None:
    assert not OPENAPI_31_VALIDATOR.is_valid({**DOCUMENT, "paths": {"/livez": {"get": {"responses": {"ok": {}}}}}})


def test_every_reference_leads_somewhere_and_every_operation_has_an_id_of_its_own() -> None:
    for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', content().decode()):
        assert name in DOCUMENT["components"][kind]
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_every_address_is_in_it_and_every_path_is_an_address() -> None:
    addresses = {str(one.pattern) for one in patterns(get_resolver())}
    assert {str(resolve(filled(path)).route) for path in DOCUMENT["paths"]} == addresses


def test_a_path_has_the_methods_that_it_says_it_has(gateway: Gateway) -> None:
    for path, methods in DOCUMENT["paths"].items():
        if all(operation["parameters"] for operation in methods.values()):
            answer = gateway.call("OPTIONS", filled(path))
            assert sorted(answer.headers["Allow"].lower().split(", ")) == sorted(methods), path


@pytest.mark.parametrize(("method", "path", "operation"), list(operations()))
def test_a_body_is_there_where_the_view_wants_one(method: str, path: str, operation: dict[str, Any]) -> None:
    view = getattr(resolve(filled(path)).func, "view_class", None)
    if view is not None:
        assert ("requestBody" in operation) == (view.bodies.get(method, "refused") != "refused")


@pytest.mark.parametrize("task_type", REQUESTS)
def test_a_request_has_the_fields_that_its_parser_knows(task_type: str) -> None:
    _, kinds = bodies._FORMS.get(task_type, bodies._CLASSIC_FORM)
    for name, schema in REQUESTS[task_type]["properties"].items():
        forms = {one["type"] for one in schema.get("anyOf", [schema])}
        assert forms <= {JSON_TYPES[kind] for kind in kinds[name]}
    if task_type in bodies._FORMS:
        assert REQUESTS[task_type]["properties"].keys() == kinds.keys()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ApiKeyRequest", api_keys._CREATE_FIELDS),
        ("InvalidateRequest", api_keys._INVALIDATE_FIELDS),
        ("UserRequest", users._FIELDS),
        ("PrivilegesRequest", callers._FIELDS),
        ("TeamRequest", teams._TEAM_FIELDS),
        ("MemberRequest", teams._MEMBER_FIELDS),
        ("TeamApiKeyRequest", team_keys._FIELDS),
    ],
)
def test_a_request_of_the_security_api_has_the_fields_that_its_view_reads(name: str, fields: dict[str, type]) -> None:
    types = {field: schema["type"] for field, schema in SCHEMAS[name]["properties"].items()}
    without_null = {field: kind[0] if isinstance(kind, list) else kind for field, kind in types.items()}
    assert without_null == {field: JSON_TYPES[kind] for field, kind in fields.items()}


@pytest.mark.parametrize("service", names())
@pytest.mark.parametrize("section", ["service_settings", "task_settings"])
def test_every_setting_of_a_service_is_in_it(service: str, section: str) -> None:
    def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, inner in schema["properties"].items():
            yield from keys(inner, f"{prefix}{name}.") if "properties" in inner else [prefix + name]

    declared_keys = [one.key for one in declared(getattr(load(service), section))]
    assert sorted(keys(SCHEMAS[f"{service}.{section}"])) == sorted(declared_keys)


def test_every_chunking_strategy_is_in_it() -> None:
    named = [one["properties"].get("strategy", {}).get("const") for one in SCHEMAS["ChunkingSettings"]["anyOf"]]
    assert named == [None, *STRATEGIES]


def test_whoever_can_log_in_may_read_it(gateway: Gateway) -> None:
    gateway.call("PUT", "/_security/user/nobody-special", {"password": "of-the-user", "roles": []})
    answer = gateway.call("GET", "/_inference/openapi.json", headers=gateway.login("nobody-special", "of-the-user"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == json.decode(content())


def test_nobody_else_may_read_it(gateway: Gateway) -> None:
    assert gateway.call("GET", "/_inference/openapi.json", key="").status == 401


def test_a_part_of_it_can_be_asked_for(gateway: Gateway) -> None:
    answer = gateway.call("GET", "/_inference/openapi.json?filter_path=info.title,openapi&pretty")
    assert answer.json() == {"openapi": "3.1.0", "info": {"title": "Inference gateway"}}
    assert gateway.call("POST", "/_inference/openapi.json", {}).status == 405
