"""The document as a whole: made once in a process, from the operations of all subjects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from inference_project.openapi import asking, endpoints, errors, gateway, parameters, security, teams
from inference_project.openapi.schemas import Schema
from inference_project.views import VERSION
from wire import json

SUBJECTS = (asking, endpoints, security, teams, gateway)
_INFO = {
    "title": "Inference gateway",
    "version": VERSION["number"],
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "description": (
        "Elasticsearch's inference API, without Elasticsearch. A path may end with a slash. HEAD works where GET does; "
        "OPTIONS says which methods there are. Bodies are JSON, as `application/x-ndjson` and with Elasticsearch's "
        "vendor types too, and may be packed with gzip; keys that are not described here are refused by name. "
        "An answer has the media type that `Accept` names, if it is one of these."
    ),
}
_TAGS = {
    "inference": "Ask endpoints.",
    "endpoints": "Manage endpoints.",
    "security": "Users and API keys.",
    "teams": "Teams, their members and their API keys.",
    "gateway": "The gateway itself.",
}
_SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`ApiKey` and the `encoded` value of a key, with a blank between.",
    },
    "Basic": {"type": "http", "scheme": "basic", "description": "The name and the password of a user."},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The same value as for `ApiKey`."},
}


@lru_cache
def document() -> dict[str, Any]:
    """Return the document; whoever gets it must not change it."""
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "paths": _paths(),
        "components": {
            "schemas": {name: schema for subject in (errors, *SUBJECTS) for name, schema in subject.SCHEMAS.items()},
            "parameters": parameters.components(),
            "responses": errors.responses(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


@lru_cache
def content() -> bytes:
    """Return the document as JSON."""
    return json.encode(document())


def _paths() -> dict[str, Schema]:
    paths: dict[str, Schema] = {}
    for subject in SUBJECTS:
        for operation in subject.OPERATIONS:
            for path in operation.paths:
                paths.setdefault(path, {})[operation.method.lower()] = operation.at(path)
    return paths
