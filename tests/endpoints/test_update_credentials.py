"""What an update may change of how an endpoint proves who asks."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints import configuration
from wire.errors import SettingsInvalid

PLACE = {"resource_name": "my-resource", "deployment_id": "gpt-5", "api_version": "2024-10-21"}
OAUTH = {"client_id": "app", "client_secret": "s3cret", "scopes": ["a"], "tenant_id": "t"}
NO_OAUTH = (
    "Cannot update OAuth2 fields as the service was not configured with OAuth2 settings. "
    "Please create a new Inference Endpoint with the OAuth2 settings instead."
)


def updated(service: str, before: dict[str, Any], given: dict[str, Any]) -> configuration.Configuration:
    old = configuration.created(service, "completion", {"service_settings": before})
    return configuration.updated(old, {"service_settings": given})


@pytest.mark.parametrize(
    ("service", "before", "given", "problems"),
    [
        (
            "azureopenai",
            {**PLACE, "api_key": "key"},
            {"entra_id": "eyJ0"},
            ["[secret_settings] only [api_key] can be updated for this secret, received: [entra_id]"],
        ),
        ("azureopenai", {**PLACE, "entra_id": "eyJ0"}, {"client_id": "app"}, [NO_OAUTH]),
        ("azureopenai", {**PLACE, "entra_id": "eyJ0"}, {"resource_name": None, "client_id": "app"}, None),
        ("openai", {"model_id": "m", "api_key": "key"}, {"client_id": "app", "scopes": ["a"]}, None),
    ],
)
def test_another_way_to_prove_who_asks_is_refused(
    service: str, before: dict[str, Any], given: dict[str, Any], problems: list[str] | None
) -> None:
    with pytest.raises(SettingsInvalid) as error:
        updated(service, before, given)
    if problems is None:
        assert NO_OAUTH in error.value.problems
    else:
        assert error.value.problems == tuple(problems)


def test_the_same_way_may_have_new_values() -> None:
    assert updated("azureopenai", {**PLACE, "api_key": "key"}, {"api_key": "new"}).secrets() == {"api_key": "new"}
    new = updated("azureopenai", {**PLACE, **OAUTH}, {"client_secret": "new", "tenant_id": "u"})
    assert (new.secrets(), new.service_settings()["tenant_id"]) == ({"client_secret": "new"}, "u")


@pytest.mark.parametrize("name", ["[", "evil.example/"])
def test_a_host_that_is_none_is_refused_before_a_secret_is_looked_at(name: str) -> None:
    with pytest.raises(SettingsInvalid, match="resource_name"):
        updated("azureopenai", {**PLACE, "api_key": "key"}, {"resource_name": name})
