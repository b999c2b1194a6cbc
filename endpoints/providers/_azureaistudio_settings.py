"""What deployments of Azure AI Studio can be told, and which makers' models there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from endpoints.providers import _shared_settings
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting

_PROVIDERS = ("cohere", "databricks", "meta", "microsoft_phi", "mistral", "openai")
# Which provider's models there are, by task and by how they are paid.
_AVAILABLE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "completion": {
        "token": ("openai", "meta", "cohere"),
        "realtime": ("mistral", "meta", "microsoft_phi", "databricks"),
    },
    "text_embedding": {"token": ("openai", "cohere"), "realtime": ()},
    "rerank": {"token": ("cohere",), "realtime": ()},
}


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    api_key: str = setting("API Key", "Key of the deployment.", required=True, secret=True)
    target: str = setting("Target", "URL of the deployment, as Azure shows it.", required=True, url=True)
    provider: str = setting("Provider", "Who made the model.", required=True, allowed=_PROVIDERS)
    endpoint_type: str = setting(
        "Endpoint Type",
        "How the deployment is paid: by `token`, or `realtime` for a machine of one's own.",
        required=True,
        allowed=("token", "realtime"),
    )
    dimensions: int | None = _shared_settings.dimensions()
    similarity: str | None = _shared_settings.similarity()
    max_input_tokens: int | None = _shared_settings.max_input_tokens()
    requests_per_minute: int = rate_limit(240)

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        provider, kind = values.get("provider"), values.get("endpoint_type")
        available = _AVAILABLE[task_type]
        if provider is None:
            return
        if not any(provider in providers for providers in available.values()):
            yield Problem("provider", f"The [{task_type}] task type for provider [{provider}] is not available")
        elif kind is not None and provider not in available[kind]:
            text = f"The [{kind}] endpoint type with [{task_type}] task type for provider [{provider}] is not available"
            yield Problem("endpoint_type", text)

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"api_key": host_of(values["target"] or "")}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    temperature: float | None = setting(
        "Temperature",
        "How much chance there is in the answer.",
        task_types=("completion",),
        updatable=True,
        minimum=0,
        maximum=2,
        listed=False,
    )
    top_p: float | None = setting(
        "Top P",
        "Share of the likeliest words to choose from, instead of a temperature.",
        task_types=("completion",),
        updatable=True,
        minimum=0,
        maximum=2,
        listed=False,
    )
    do_sample: bool | None = setting(
        "Do Sample",
        "Whether there is chance in the answer at all.",
        task_types=("completion",),
        updatable=True,
        listed=False,
    )
    max_new_tokens: int | None = setting(
        "Maximum New Tokens",
        "Most tokens that an answer may have.",
        task_types=("completion",),
        updatable=True,
        minimum=1,
        default=64,
        listed=False,
    )
    user: str | None = setting(
        "User",
        "Identifier of the end user, passed on to the provider.",
        task_types=("text_embedding",),
        updatable=True,
        listed=False,
    )
    return_documents: bool | None = _shared_settings.return_documents()
    top_n: int | None = _shared_settings.top_n()
