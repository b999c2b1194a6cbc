"""Which endpoints share a rate limit, held to what is known of Elasticsearch's services."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from endpoints.providers import load, names
from endpoints.providers._base import Binding, Provider, RateLimit
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._http_provider import REQUEST_URL
from endpoints.providers._settings import build, parse

SERVICES: Mapping[str, Any] = json.loads((Path(__file__).parent.parent / "services.json").read_text())["services"]
# How the facts call what is a setting here. Models in the Model Garden have none of the three that they name.
_NAMES = {"service URL": ["url"], "model_id": ["model_id"], REQUEST_URL: [REQUEST_URL]}
_MORE = {"googlevertexai": ["url", "streaming_url"]}
OPENAI = {"api_key": "sk-one", "model_id": "gpt-4o"}


@pytest.mark.parametrize("service", [name for name in names() if name in SERVICES])
def test_each_service_groups_by_what_elasticsearch_groups_by(service: str) -> None:
    known = SERVICES[service]["rate_limit"]["grouping"] or []
    expected = [name for one in known for name in _NAMES.get(one, [one])] + _MORE.get(service, [])
    assert list(load(service).rate_limit_group) == expected


@pytest.mark.parametrize("service", names())
def test_what_a_group_names_are_settings(service: str) -> None:
    provider = load(service)
    fields = {*provider.service_settings.__dataclass_fields__, REQUEST_URL}
    assert set(provider.rate_limit_group) <= fields


async def test_the_default_of_the_service_for_the_task_type_counts_unless_one_is_given() -> None:
    async with bound() as provider:
        assert limit(provider("openai", OPENAI)).requests_per_minute == 500
        assert limit(provider("openai", OPENAI, task_type="text_embedding")).requests_per_minute == 3000
        given = {**OPENAI, "rate_limit": {"requests_per_minute": 7}}
        assert limit(provider("openai", given)).requests_per_minute == 7


@pytest.mark.parametrize("service", ["elasticsearch", "elser", "echo"])
async def test_what_runs_here_has_no_limit_of_its_own(service: str) -> None:
    async with bound() as provider:
        assert provider(service, {}, task_type=load(service).task_types[0]).rate_limit is None


async def test_endpoints_with_one_account_share_a_limit_whatever_they_are_called_and_have_for_it() -> None:
    async with bound() as provider:
        one = limit(provider("openai", OPENAI))
        for other in (
            provider("openai", OPENAI, inference_id="other"),
            provider("openai", OPENAI, task_type="chat_completion"),
            provider("openai", {**OPENAI, "rate_limit": {"requests_per_minute": 7}}),
            provider("openai", {**OPENAI, "url": "https://api.openai.com/v1/chat/completions"}),
        ):
            assert limit(other).group == one.group


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-two"},
        {"model_id": "gpt-4o-mini"},
        {"organization_id": "org"},
        {"url": "https://example.com/v1"},
        # Told apart from the model and key whose texts make the same row.
        {"api_key": "sk-on", "model_id": "egpt-4o"},
    ],
)
async def test_another_account_model_or_address_is_another_group(change: dict[str, str]) -> None:
    async with bound() as provider:
        assert limit(provider("openai", OPENAI)).group != limit(provider("openai", {**OPENAI, **change})).group


async def test_endpoints_of_a_service_without_groups_have_limits_of_their_own() -> None:
    settings = {"rate_limit": {"requests_per_minute": 7}}
    async with bound() as provider:
        one, other = (limit(provider("echo", settings, inference_id=name)) for name in ("one", "other"))
        assert one.group != other.group


async def test_a_group_says_nothing_of_the_key_in_it_and_is_the_same_everywhere() -> None:
    async with bound() as provider:
        found = limit(provider("openai", OPENAI))
    assert "sk-one" not in repr(found)
    # Another process, another hash seed: what stands in Redis must be found there.
    assert found.group == "fa9e3053f41543c2720dd8f945363aba34fde4c5a258625b0e0249e56bad8448"


async def test_task_settings_of_a_request_leave_the_limit_as_it_is_and_do_not_find_it_out_again() -> None:
    async with bound() as provider:
        original = provider("openai", OPENAI)
        copy = original.with_task_settings({"user": "me"})
        assert copy is not original
        assert copy.rate_limit is original.rate_limit is not None


def limit(provider: Provider) -> RateLimit:
    found = provider.rate_limit
    assert found is not None
    return found


@asynccontextmanager
async def bound() -> AsyncIterator[Any]:
    """Hand out a function that binds a service to settings as an endpoint has them."""
    http = HttpClient(PrivateHosts.parse(""), connect_seconds=1, idle_seconds=1)

    def bind(
        service: str, given: dict[str, Any], *, task_type: str = "completion", inference_id: str = "x"
    ) -> Provider:
        declaration = load(service)
        values = parse(declaration.service_settings, task_type, given).values
        tasks = parse(declaration.task_settings, task_type, {}).values
        return declaration(
            Binding(
                inference_id=inference_id,
                task_type=task_type,
                settings=build(declaration.service_settings, values),
                task_settings=build(declaration.task_settings, tasks),
                http=http,
            )
        )

    try:
        yield bind
    finally:
        await http.aclose()
        await asyncio.sleep(0)
