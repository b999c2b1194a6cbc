"""What an endpoint of Vertex AI is configured with, and to which hosts that leads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from endpoints.providers import _shared_settings
from endpoints.providers._google_credentials import problem_of
from endpoints.providers._settings import Problem, Settings, host_of, rate_limit, setting

GOOGLE = "google"
ANTHROPIC = "anthropic"
RERANK_URL = "https://discoveryengine.googleapis.com"
_CHATS = ("completion", "chat_completion")
_EMBEDDINGS = ("text_embedding",)
_IN_A_REGION = (*_EMBEDDINGS, *_CHATS)
# A part of the host name.
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,40}", re.ASCII)
# Also `example.com:project`, and the number of a project.
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*", re.ASCII)


def public_url(location: str | None) -> str:
    if location in (None, "global"):
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    service_account_json: str = setting(
        "Credentials JSON",
        "Key file of a Google Cloud service account, as it was downloaded.",
        required=True,
        secret=True,
        multiline=True,
    )
    project_id: str | None = setting("GCP Project", "Google Cloud project that is charged.", listed_required=True)
    location: str | None = setting(
        "GCP Region",
        "Region of the models, as in `us-central1`; without it, Google's global endpoint is asked.",
        task_types=_IN_A_REGION,
        listed_required=True,
    )
    model_id: str | None = setting(
        "Model ID",
        "Name of the model, as in `gemini-2.5-flash`; for rerank, Google has a default.",
        listed_required=True,
    )
    provider: str = setting(
        "Provider",
        "Who made the model; other makers than Google are those of the Model Garden, whose models have URLs.",
        task_types=_CHATS,
        allowed=(GOOGLE, ANTHROPIC, "meta", "hugging_face", "mistral", "ai21"),
        default=GOOGLE,
    )
    url: str | None = setting(
        "URL",
        "Full URL of a Model Garden model; for streams too, where they have no URL of their own.",
        task_types=_CHATS,
        url=True,
    )
    streaming_url: str | None = setting(
        "Streaming URL",
        "Full URL of a Model Garden model for streams; for all else too, where that has no URL of its own.",
        task_types=_CHATS,
        url=True,
    )
    dimensions: int | None = _shared_settings.dimensions(task_types=_EMBEDDINGS)
    max_batch_size: int = setting(
        "Maximum Batch Size",
        "How many texts are embedded with one request; some models take only one.",
        task_types=_EMBEDDINGS,
        minimum=1,
        maximum=250,
        default=250,
        listed=False,
    )
    similarity: str | None = _shared_settings.similarity(task_types=_EMBEDDINGS)
    max_input_tokens: int | None = _shared_settings.max_input_tokens(task_types=_EMBEDDINGS)
    requests_per_minute: int = rate_limit(
        {"text_embedding": 30000, "rerank": 30000, "completion": 1000, "chat_completion": 1000}
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        key = values.get("service_account_json")
        if key is not None and (problem := problem_of(key)):
            text = "must be the JSON key file of a service account"
            yield _invalid(
                "service_account_json", f"Invalid value received. [service_account_json] {text}, but {problem}"
            )
        yield from _bad_names(values)
        if task_type not in _CHATS:
            yield from _absent(values, ("project_id", "model_id") if task_type in _EMBEDDINGS else ("project_id",))
        elif values.get("provider") in (None, GOOGLE):
            yield from _problems_of_google(values)
        elif values.get("url") is None and values.get("streaming_url") is None:
            text = f"Google Model Garden provider={values['provider']} selected. "
            yield Problem("url", f"{text}Either 'uri' or 'streaming_uri' must be provided")

    @classmethod
    def destinations(cls, values: Mapping[str, Any], task_type: str) -> Mapping[str, str]:
        return {"service_account_json": " ".join(sorted(_hosts(values, task_type)))}


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    auto_truncate: bool | None = setting(
        "Auto Truncate",
        "Whether Vertex AI cuts texts that are too long, instead of refusing them.",
        task_types=_EMBEDDINGS,
        updatable=True,
        listed=False,
    )
    input_type: str | None = setting(
        "Input Type",
        "What the vectors are for, where a request does not say.",
        task_types=_EMBEDDINGS,
        allowed=("classification", "clustering", "ingest", "search"),
        updatable=True,
        listed=False,
    )
    top_n: int | None = _shared_settings.top_n()
    thinking_budget: int | None = setting(
        "Thinking Budget",
        "How many tokens a Gemini model may think with.",
        key="thinking_config.thinking_budget",
        task_types=_CHATS,
        updatable=True,
        listed=False,
    )
    max_tokens: int | None = setting(
        "Max Tokens",
        "How many tokens an answer may have at most; 1024 where nothing says. Only for models of Anthropic.",
        task_types=_CHATS,
        minimum=1,
        updatable=True,
        listed=False,
    )


def _problems_of_google(values: Mapping[str, Any]) -> Iterator[Problem]:
    missing = [name for name in ("project_id", "model_id") if values.get(name) is None]
    if missing:
        text = "For Google Vertex AI models, you must provide 'location', 'project_id', and 'model_id'."
        given = {name: values.get(name) for name in ("location", "project_id", "model_id")}
        yield Problem(missing[0], f"{text} Provided values: {_shown(given)}")
    extra = [name for name in ("url", "streaming_url") if values.get(name) is not None]
    if extra:
        text = (
            "'provider' is either GOOGLE or null. For Google Vertex AI models 'uri' and 'streaming_uri' must not be "
            "provided. Remove 'url' and 'streaming_url' fields."
        )
        given = {"uri": values.get("url"), "streaming_uri": values.get("streaming_url")}
        yield Problem(extra[0], f"{text} Provided values: {_shown(given)}")


def _bad_names(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Refuse what would lead to another host, or to another path there."""
    for name, allowed, what in (
        ("location", _LOCATION, "the name of a region"),
        ("project_id", _PROJECT, "the id of a project"),
    ):
        value = values.get(name)
        if value is not None and not allowed.fullmatch(value):
            yield _invalid(name, f"Invalid value [{value[:200]}] received. [{name}] must be {what}")


def _absent(values: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Problem]:
    for name in names:
        if values.get(name) is None:
            yield _invalid(name, f"does not contain the required setting [{name}]")


def _invalid(name: str, text: str) -> Problem:
    return Problem(name, f"[service_settings] {text}")


def _shown(given: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}={'null' if value is None else value[:200]}" for name, value in given.items())


def _hosts(values: Mapping[str, Any], task_type: str) -> set[str]:
    if task_type == "rerank":
        return {host_of(RERANK_URL)}
    if values.get("provider") not in (None, GOOGLE):
        return {host_of(url) for url in (values.get("url"), values.get("streaming_url")) if url}
    host = public_url(values.get("location")).removeprefix("https://")
    return {f"{host}:443"}
