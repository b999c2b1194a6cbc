"""The `embedding` task of `openai`: the same request as `text_embedding`, under another name."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import nested, parse
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, openai
from wire.errors import SettingsInvalid

OPENAI = load("openai")
TASKS = ("text_embedding", "embedding")
REQUIRED = {"api_key": "sk-0123456789", "model_id": "text-embedding-3-small"}
OAUTH = {"client_id": "app", "client_secret": "s3cret", "scopes": ("a",), "token_url": "https://login.example/token"}


def test_the_tasks_are_listed_in_elasticsearchs_order() -> None:
    assert OPENAI.task_types == ("text_embedding", "completion", "chat_completion", "embedding")
    assert "embedding" not in OPENAI.streaming_task_types


@pytest.mark.parametrize("task_type", TASKS)
def test_both_have_the_same_settings(task_type: str) -> None:
    given = {**REQUIRED, "dimensions": 256, "similarity": "cosine", "max_input_tokens": 10}
    parsed = parse(OPENAI.service_settings, task_type, given)
    assert (parsed.problems, parsed.unknown) == ([], {})
    shown = nested(OPENAI.service_settings, parsed.values, task_type)
    assert shown == {
        **{name: given[name] for name in given if name != "api_key"},
        "rate_limit": {"requests_per_minute": 3000},
    }


@pytest.mark.parametrize("task_type", TASKS)
def test_both_ask_the_same_address(task_type: str) -> None:
    provider: Any = bound("openai", HttpClient(PrivateHosts()), task_type, REQUIRED)
    assert provider.url() == "https://api.openai.com/v1/embeddings"
    values = parse(OPENAI.service_settings, task_type, REQUIRED).values
    assert OPENAI.service_settings.destinations(values, task_type)["api_key"] == "api.openai.com:443"


@pytest.mark.parametrize("task_type", TASKS)
async def test_both_send_the_same_request(fake: FakeProvider, task_type: str) -> None:
    settings: dict[str, Any] = {"url": f"{fake.url}/v1/embeddings", "dimensions": 3}
    async with openai(fake, "embed-reversed", task_type, {"user": "u-1"}, **settings) as provider:
        answer = await provider.embed(["a", "bb"], "unspecified")
        with pytest.raises(SettingsInvalid, match=r"Invalid input_type \[search\]"):
            await provider.embed(["a"], "search")
    assert answer.vectors == [[1.0, 0.5, -1.0], [2.0, 0.5, -1.0]]
    assert fake.last.body == b'{"input":["a","bb"],"model":"embed-reversed","user":"u-1","dimensions":3}'


@pytest.mark.parametrize(
    ("before", "given", "refused"),
    [
        (REQUIRED, {"api_key": "sk-another"}, False),
        ({"model_id": "m", **OAUTH}, {"client_id": "another"}, False),
        (REQUIRED, {"client_id": "app"}, True),
        (REQUIRED, {**OAUTH, "api_key": None}, True),
    ],
)
def test_an_update_cannot_bring_oauth_to_an_endpoint_that_was_made_without(
    before: dict[str, Any], given: dict[str, Any], refused: bool
) -> None:
    problems = [problem.text for problem in OPENAI.service_settings.check_update(before, {**before, **given})]
    assert problems == refused * [
        "Cannot update OAuth2 fields as the service was not configured with OAuth2 settings. "
        "Please create a new Inference Endpoint with the OAuth2 settings instead."
    ]
