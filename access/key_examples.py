"""What somebody pastes who has just been given an API key: a first request, in three languages."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps

from access import teams
from access.models import ApiKey

_PROMPT = "What is Elastic?"
_NO_ENDPOINT = ("completion", "YOUR_ENDPOINT")
# By task type, preferred first: what is asked, and what stands behind the endpoint in the address.
_QUESTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "completion": ("/_stream", {"input": _PROMPT}),
    "text_embedding": ("", {"input": [_PROMPT]}),
    "rerank": ("", {"query": _PROMPT, "input": ["A search engine", "A rubber band"]}),
}


@dataclass(frozen=True, slots=True)
class Example:
    """`code` has the key in it."""

    language: str
    slug: str
    code: str = field(repr=False)


def examples(address: str, key: ApiKey, encoded: str) -> list[Example]:
    """Return the same request three times, to an endpoint that `key` reaches; `address` is that of the gateway."""
    task_type, inference_id = _asked(key)
    suffix, body = _QUESTIONS[task_type]
    path = f"/_inference/{task_type}/{inference_id}{suffix}"
    return [
        Example("curl", "curl", _curl(address + path, encoded, body)),
        Example("elasticsearch-py", "python", _python(address, path, encoded, body)),
        Example("JavaScript", "javascript", _javascript(address, path, encoded, body)),
    ]


def _asked(key: ApiKey) -> tuple[str, str]:
    """Return task type and id of an endpoint that `key` reaches, placeholders where there is none."""
    model: Any = apps.get_model("endpoints.Endpoint")
    found = model.objects.filter(teams.reachable(key.caller), enabled=True).order_by("inference_id")
    for task_type in _QUESTIONS:
        inference_id = found.filter(task_type=task_type).values_list("inference_id", flat=True).first()
        if inference_id is not None:
            return task_type, inference_id
    return _NO_ENDPOINT


def _curl(url: str, encoded: str, body: dict[str, Any]) -> str:
    return (
        f"curl -N \\\n"
        f"  -H 'Authorization: ApiKey {encoded}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body))} \\\n"
        f"  {shlex.quote(url)}"
    )


def _python(address: str, path: str, encoded: str, body: dict[str, Any]) -> str:
    accept = "text/event-stream" if path.endswith("/_stream") else "application/json"
    return f"""from elasticsearch import Elasticsearch

client = Elasticsearch(
    {json.dumps(address)},
    api_key="{encoded}",
)
answer = client.perform_request(
    "POST",
    {json.dumps(path)},
    headers={{"Content-Type": "application/json", "Accept": "{accept}"}},
    body={json.dumps(body)},
)
print(answer.body)"""


def _javascript(address: str, path: str, encoded: str, body: dict[str, Any]) -> str:
    return f"""import {{ Client }} from "@elastic/elasticsearch";

const client = new Client({{
  node: {json.dumps(address)},
  auth: {{ apiKey: "{encoded}" }},
}});
const answer = await client.transport.request(
  {{ method: "POST", path: {json.dumps(path)}, body: {json.dumps(body)} }},
  {{ asStream: true }},
);
for await (const bytes of answer) process.stdout.write(bytes);"""
