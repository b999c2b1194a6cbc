"""The declarations of every service are those of the facts file, `tests/services.json`.

What differs stands in DIFFERENCES, one by one and with its reason; anything else that differs fails, and so does an
entry that no longer does.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from endpoints.providers import load, names
from endpoints.providers._settings import declared
from tests.providers.facts import SERVICES, differences, facts_of_code, facts_of_file

NOT_KNOWN = {"echo": "made for demos and tests of this gateway; Elasticsearch has no such service"}
LATER = "not asked for yet"
NOT_BUILT = {
    "mistral": LATER,
    "deepseek": LATER,
    "groq": LATER,
    "llama": LATER,
    "openshift_ai": LATER,
    "nvidia": LATER,
    "ai21": LATER,
    "fireworksai": LATER,
    "amazonbedrock": "signs requests and streams binary frames, which nothing here does yet",
    "alibabacloud-ai-search": LATER,
    "jinaai": LATER,
    "voyageai": LATER,
    "contextualai": LATER,
    "amazon_sagemaker": "signs requests and streams binary frames, which nothing here does yet",
    "custom": "a template language of its own for requests and answers",
}
_URL = "filled in when the provider is asked; an endpoint shows only an address that somebody set"
_ENABLED = "filled in where the object is given; a default would make an object where there is none"
DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    "openai": {"service_settings.url.default": _URL},
    "anthropic": {"service_settings.url.default": _URL},
    "googlevertexai": {
        "task_settings.max_tokens.default": "only models of Anthropic have it, and it is filled in when they are asked",
    },
    "cohere": {
        "service_settings.model_id.required": "a rule of the service demands it, with the message that the API has",
    },
    "elasticsearch": {"service_settings.adaptive_allocations.enabled.default": _ENABLED},
    "elser": {"service_settings.adaptive_allocations.enabled.default": _ENABLED},
}

both = pytest.mark.parametrize("service", sorted(SERVICES.keys() - NOT_BUILT.keys()))


@both
def test_every_service_of_the_facts_is_built(service: str) -> None:
    assert service in names()


def test_services_that_are_not_built_or_not_known_are_listed_with_a_reason() -> None:
    assert SERVICES.keys() - names() <= NOT_BUILT.keys()
    assert NOT_BUILT.keys() <= SERVICES.keys() - names()
    assert set(names()) - SERVICES.keys() == NOT_KNOWN.keys()
    assert not any(SERVICES[name]["must_be_complete"] for name in NOT_BUILT)


@both
def test_the_declarations_of_a_service_are_those_of_the_facts(service: str) -> None:
    allowed = DIFFERENCES.get(service, {})
    found = dict(differences(facts_of_file(service), facts_of_code(service)))
    unexpected = [f"{path} {what}" for path, what in sorted(found.items()) if path not in allowed]
    assert not unexpected, "\n".join(unexpected)


@pytest.mark.parametrize("service", sorted(DIFFERENCES))
def test_a_listed_difference_is_still_one(service: str) -> None:
    found = dict(differences(facts_of_file(service), facts_of_code(service)))
    assert DIFFERENCES[service].keys() - found.keys() == set()


@pytest.mark.parametrize("service", names())
def test_every_setting_has_a_label_and_a_sentence_that_describes_it(service: str) -> None:
    provider = load(service)
    for one in (*declared(provider.service_settings), *declared(provider.task_settings)):
        assert one.label.strip(), one.key
        assert one.description.endswith("."), one.key
