"""What the `openai` service takes, what it refuses, and where its secrets go."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.providers import load
from endpoints.providers._http import HttpClient, PrivateHosts
from endpoints.providers._settings import Parsed, build, declared, nested, parse
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import bound, openai, streamed
from wire.errors import SettingsInvalid, StatusError

OPENAI = load("openai")
REQUIRED = {"api_key": "sk-0123456789", "model_id": "gpt-x"}
OAUTH = {"client_id": "app", "client_secret": "s3cret", "scopes": ["a"], "token_url": "https://login.example/token"}


def service(given: dict[str, Any], task_type: str = "completion") -> Parsed:
    return parse(OPENAI.service_settings, task_type, given)


def task(given: dict[str, Any]) -> Parsed:
    return parse(OPENAI.task_settings, "completion", given)


def texts(parsed: Parsed) -> list[str]:
    return [problem.text for problem in parsed.problems]


def test_the_least_that_is_needed_gets_its_defaults() -> None:
    parsed = service(REQUIRED)
    assert texts(parsed) == []
    assert nested(OPENAI.service_settings, parsed.values, "completion") == {
        "model_id": "gpt-x",
        "rate_limit": {"requests_per_minute": 500},
    }


def test_embeddings_have_defaults_of_their_own() -> None:
    parsed = service(REQUIRED, "text_embedding")
    assert nested(OPENAI.service_settings, parsed.values, "text_embedding") == {
        "model_id": "gpt-x",
        "similarity": "dot_product",
        "rate_limit": {"requests_per_minute": 3000},
    }


def test_all_settings_are_taken() -> None:
    given = {
        **REQUIRED,
        "url": "https://api.example/v1/embeddings",
        "organization_id": "org-1",
        "dimensions": 256,
        "similarity": "cosine",
        "max_input_tokens": 8192,
        "rate_limit": {"requests_per_minute": 10},
    }
    parsed = service(given, "text_embedding")
    assert texts(parsed) == []
    assert parsed.unknown == {}
    shown = nested(OPENAI.service_settings, parsed.values, "text_embedding")
    assert shown == {name: value for name, value in given.items() if name != "api_key"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_id": "gpt-x"}, "[secret_settings] does not contain the required setting [api_key]"),
        ({"api_key": "sk-0123456789"}, "[service_settings] does not contain the required setting [model_id]"),
        (
            {**REQUIRED, "model_id": ""},
            "[service_settings] Invalid value empty string. [model_id] must be a non-empty string",
        ),
        (
            {**REQUIRED, "model_id": 1},
            "field [model_id] is not of the expected type. The value [1] cannot be converted to a [String]",
        ),
        (
            {**REQUIRED, "api_key": 1},
            "field [api_key] is not of the expected type. The value [***] cannot be converted to a [String]",
        ),
        (
            {**REQUIRED, "max_input_tokens": 0},
            "[service_settings] Invalid value [0]. [max_input_tokens] must be a positive integer",
        ),
        (
            {**REQUIRED, "rate_limit": {"requests_per_minute": 0}},
            "[service_settings] Invalid value [0]. [rate_limit.requests_per_minute] must be a positive integer",
        ),
        (
            {**REQUIRED, "organization_id": "org\r\nX: y"},
            "[service_settings] Invalid value received. [organization_id] must be printable ASCII without line ends",
        ),
        (
            {**REQUIRED, **OAUTH},
            "[service_settings] must have exactly one of [api_key] or [client_secret] field set; "
            "OAuth2 fields given: [client_id, scopes, token_url, client_secret]",
        ),
        (
            {"model_id": "gpt-x", "client_id": "app", "client_secret": "s3cret"},
            "[service_settings] all OpenAI OAuth2 fields must be provided together; missing: [scopes, token_url]",
        ),
        (
            {"model_id": "gpt-x", **OAUTH, "scopes": []},
            "[service_settings] Invalid value empty list. [scopes] must be a non-empty list",
        ),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], problem: str) -> None:
    assert texts(service(given)) == [problem]


def test_client_credentials_take_the_place_of_the_key() -> None:
    assert texts(service({"model_id": "gpt-x", **OAUTH})) == []


@pytest.mark.parametrize("name", ["dimensions", "similarity"])
def test_settings_of_embeddings_are_unknown_to_completions(name: str) -> None:
    assert service({**REQUIRED, name: 1}).unknown == {name: 1}


def test_each_secret_goes_to_one_host() -> None:
    destinations = OPENAI.service_settings.destinations
    assert destinations(service(REQUIRED).values, "completion") == {
        "api_key": "api.openai.com:443",
        "headers": "api.openai.com:443",
    }
    values = service({"model_id": "gpt-x", **OAUTH, "url": "http://engine.local:8000/v1/chat/completions"}).values
    assert destinations(values, "completion") == {
        "api_key": "engine.local:8000",
        "headers": "engine.local:8000",
        "client_secret": "login.example:443",
    }


def test_every_secret_has_a_destination() -> None:
    settings = [*declared(OPENAI.service_settings), *declared(OPENAI.task_settings)]
    values = service({"model_id": "gpt-x", **OAUTH}).values
    assert set(OPENAI.service_settings.destinations(values, "completion")) == {
        one.name for one in settings if one.is_encrypted
    }


@pytest.mark.parametrize(
    ("task_settings", "model_id", "left"),
    [
        ({"model": "old"}, "old", {}),
        ({"model_id": "old"}, "old", {}),
        ({"model": "old", "model_id": "older"}, "old", {"model_id": "older"}),
        ({"user": "u"}, None, {"user": "u"}),
    ],
)
def test_the_model_may_stand_where_it_once_stood(
    task_settings: dict[str, Any], model_id: str | None, left: dict[str, Any]
) -> None:
    moved, rest = OPENAI.migrate({"api_key": "k"}, task_settings)
    assert moved.get("model_id") == model_id
    assert rest == left


def test_a_model_that_stands_where_it_belongs_is_left_there() -> None:
    assert OPENAI.migrate({"model_id": "new"}, {"model": "old"}) == ({"model_id": "new"}, {"model": "old"})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "authorization",
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Content-Type",
        ),
        *("Cookie", "Proxy-Authorization", "Proxy-Anything", "Upgrade", "TE", "Trailer", "Keep-Alive", "api-key"),
        *("Expect", "Accept", "Accept-Encoding", "Content-Encoding", "X-Api-Key"),
    ],
)
def test_headers_cannot_say_who_asks_or_how_the_request_is_framed(name: str) -> None:
    assert texts(task({"headers": {name: "v"}})) == [
        f"[task_settings] Invalid value received. [headers] must not set the header [{name}]"
    ]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "a\x00"])
def test_a_header_needs_a_proper_name(name: str) -> None:
    assert "[headers] has a name that is no HTTP token" in texts(task({"headers": {name: "v"}}))[0]


@pytest.mark.parametrize("value", ["secret\r\nX: y", "secret\n", "secret\x00", "secret ä", "secret\x7f"])
def test_a_header_needs_a_proper_value_which_is_not_repeated(value: str) -> None:
    problems = texts(task({"headers": {"X-Team": value}}))
    assert problems == [
        "[task_settings] Invalid value received. "
        "The value of [X-Team] in [headers] must be printable ASCII without line ends"
    ]


@pytest.mark.parametrize("headers", [{"X-Team": 5, "X-Key": "hidden"}, ["hidden"], "hidden"])
def test_headers_are_a_map_of_strings_and_are_not_repeated(headers: Any) -> None:
    assert texts(task({"headers": headers})) == [
        "field [headers] is not of the expected type. The value [***] cannot be converted to a [Map]"
    ]


async def test_headers_of_the_task_settings_are_sent(fake: FakeProvider) -> None:
    async with openai(
        fake, "gpt-echo", task_settings={"headers": {"X-Team": "search", "User-Agent": "ours"}}
    ) as provider:
        await streamed(provider)
    assert fake.last.headers["x-team"] == "search"
    assert fake.last.headers["user-agent"] == "ours"


async def test_task_settings_of_a_request_go_over_the_stored_ones_for_that_request_only(fake: FakeProvider) -> None:
    stored = {"user": "stored", "headers": {"X-Team": "search"}}
    async with openai(fake, "gpt-echo", task_settings=stored) as provider:
        await streamed(provider.with_task_settings({"user": "given"}))
        assert (fake.last.json()["user"], fake.last.headers["x-team"]) == ("given", "search")
        await streamed(provider.with_task_settings({"headers": {"X-Job": "7"}}))
        assert (fake.last.json()["user"], fake.last.headers["x-job"]) == ("stored", "7")
        assert "x-team" not in fake.last.headers
        await streamed(provider)
        assert (fake.last.json()["user"], fake.last.headers["x-team"]) == ("stored", "search")
        assert provider.with_task_settings({}) is provider


def test_task_settings_of_a_request_are_checked() -> None:
    provider = bound("openai", HttpClient(PrivateHosts()), settings=REQUIRED)
    with pytest.raises(SettingsInvalid, match=r"must not set the header \[Authorization\]"):
        provider.with_task_settings({"headers": {"Authorization": "Bearer mine"}})
    with pytest.raises(SettingsInvalid, match="must be a non-empty string"):
        provider.with_task_settings({"user": ""})
    with pytest.raises(StatusError, match=r"settings \[{temperature=1}\] unknown to the \[openai\] service"):
        provider.with_task_settings({"temperature": 1})


def test_secrets_are_in_no_text_of_a_provider() -> None:
    provider = bound(
        "openai",
        HttpClient(PrivateHosts()),
        settings={"model_id": "gpt-x", **OAUTH},
        task_settings={"headers": {"X-Key": "k-hidden"}},
    )
    key = build(OPENAI.service_settings, service(REQUIRED).values)
    for shown in (repr(provider), repr(provider.binding), repr(provider.settings), repr(provider.tasks), repr(key)):
        assert "s3cret" not in shown
        assert "k-hidden" not in shown
        assert "sk-0123456789" not in shown


def test_the_listing_says_what_elasticsearch_says() -> None:
    listed = {one.key: one for one in declared(OPENAI.service_settings) if one.listed}
    listed |= {one.key: one for one in declared(OPENAI.task_settings) if one.listed}
    facts = {
        key: (one.label, one.required, one.secret, one.listed_updatable, one.java_name) for key, one in listed.items()
    }
    assert facts == {
        "api_key": ("API Key", False, True, True, "String"),
        "model_id": ("Model ID", True, False, False, "String"),
        "url": ("URL", False, False, False, "String"),
        "organization_id": ("Organization ID", False, False, False, "String"),
        "dimensions": ("Dimensions", False, False, False, "Integer"),
        "client_id": ("Client ID", False, False, True, "String"),
        "client_secret": ("Client Secret", False, True, True, "String"),
        "scopes": ("Scopes", False, False, True, "List"),
        "token_url": ("Token URL", False, False, True, "String"),
        "headers": ("Custom Headers", False, False, True, "Map"),
        "rate_limit.requests_per_minute": ("Rate Limit", False, False, False, "Integer"),
    }
    assert all(one.description for one in listed.values())
