"""`GET /_inference/_services[/<task_type>]`."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.providers import load, names
from tests.endpoints.api import Api


def listed(api: Api, path: str = "") -> dict[str, dict[str, Any]]:
    answer = api.get(f"/_services{path}")
    assert answer.status == 200
    return {one["service"]: one for one in answer.body}


def test_the_answer_is_a_bare_array_sorted_by_name(user: Api) -> None:
    body = user.get("/_services").body
    assert isinstance(body, list)
    assert [one["service"] for one in body] == sorted(name for name in names() if not load(name).alias_of)
    assert all(list(one) == ["service", "name", "task_types", "configurations"] for one in body)


@pytest.mark.parametrize("path", ["/text_embedding", "/TEXT_EMBEDDING", "/text_embedding/"])
def test_services_can_be_filtered_by_task_type(user: Api, path: str) -> None:
    services = listed(user, path)
    assert "openai" in services
    assert "echo" not in services


def test_any_is_no_filter(user: Api) -> None:
    assert list(listed(user, "/any")) == list(listed(user))


def test_an_unknown_task_type_is_named(user: Api) -> None:
    answer = user.get("/_services/foo")
    assert (answer.status, answer.type, answer.reason) == (400, "status_exception", "Unknown task_type [foo]")


def test_a_setting_is_described_from_its_declaration(user: Api) -> None:
    services = listed(user)
    assert services["echo"]["configurations"]["first_word_delay_ms"] == {
        "description": "Milliseconds until the first word comes.",
        "label": "First Word Delay",
        "required": False,
        "sensitive": False,
        "updatable": True,
        "type": "int",
        "supported_task_types": ["completion", "chat_completion"],
    }
    configurations = services["openai"]["configurations"]
    assert configurations["api_key"]["sensitive"] is True
    assert configurations["headers"]["type"] == "map"
    assert configurations["rate_limit.requests_per_minute"]["updatable"] is False
    assert "completion" not in configurations["dimensions"]["supported_task_types"]


def test_a_default_is_told_where_there_is_one(user: Api) -> None:
    services = listed(user)
    assert services["echo"]["configurations"]["words_per_delta"]["default_value"] == 1
    assert "default_value" not in services["openai"]["configurations"]["model_id"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_it_can_only_be_read(admin: Api, method: str) -> None:
    answer = admin.call(method, "/_services", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
