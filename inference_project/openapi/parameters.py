"""Parameters of paths and queries; which query parameters a management view takes, the view itself says."""

from __future__ import annotations

from access.models import SLUG_PATTERN
from endpoints.models import LONGEST_ID
from endpoints.providers._base import TASK_TYPES
from inference_project.openapi.schemas import FLAG, TEXT, TIME_VALUE, Schema, any_of
from wire.requests import COMMON_PARAMETERS

_ID: Schema = {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9_\-.]*[a-z0-9])?$", "maxLength": LONGEST_ID}
# In a path, a name with a slash would be another path.
_USERNAME: Schema = {"type": "string", "pattern": r"^[!-.0-~]([ -.0-~]*[!-.0-~])?$", "maxLength": 1024}

_SLUG: Schema = {"type": "string", "pattern": f"^{SLUG_PATTERN}$"}

_PATHS: dict[str, tuple[str, Schema, str]] = {
    "inference_id": ("inference_id", _ID, "The id of an inference endpoint."),
    "inference_id_or_all": (
        "inference_id",
        any_of([_ID, {"enum": ["_all", "*"]}]),
        "The id of an inference endpoint; `_all` and `*` are all of them.",
    ),
    "task_type": (
        "task_type",
        {"type": "string", "enum": [*TASK_TYPES, "any"]},
        "The task type that the endpoint must have; `any` is as good as none.",
    ),
    "username": ("username", _USERNAME, "The name of a user."),
    "usernames": ("username", _USERNAME, "The name of a user, or several, separated by commas."),
    "slug": ("slug", _SLUG, "What requests call a team."),
    "key_id": ("key_id", {"type": "string", "pattern": "^[A-Za-z0-9_-]{20}$"}, "The id of an API key."),
}
OF_LISTS = {"inference_id": "inference_id_or_all", "username": "usernames"}
"""Parameters of paths that mean more for GET."""
_QUERIES: dict[str, tuple[Schema, str]] = {
    "active_only": (FLAG, "Leave out keys that are expired or invalidated."),
    "dry_run": (FLAG, "Only say whether the endpoint could be deleted."),
    "error_trace": (FLAG, "Accepted for clients that send it; there are no traces."),
    "filter_path": (TEXT, "Parts of the answer to keep, as `endpoints.*.inference_id`; with a leading `-`, to drop."),
    "force": (FLAG, "Delete an endpoint whatever refers to it; nothing here does."),
    "format": ({"type": "string", "enum": ["json"]}, "Answers are JSON."),
    "human": (FLAG, "Accepted for clients that send it."),
    "id": (TEXT, "The id of an API key."),
    "name": (TEXT, "The name of API keys; a `*` at its end stands for anything."),
    "owner": (FLAG, "Only the caller's own keys."),
    "pretty": (FLAG, "Indent the answer."),
    "realm_name": (TEXT, "The realm of the owner."),
    "refresh": (
        {"type": "string", "enum": ["", "true", "false", "wait_for"]},
        "Accepted for clients that send it; a change is seen at once.",
    ),
    "team": (
        _SLUG,
        "The team that the new endpoint belongs to. Without it that is the team of the API key, or the only one whose "
        "endpoints the caller manages; who manages all endpoints makes one that is shared.",
    ),
    "timeout": (
        any_of([TIME_VALUE, {"const": "-1"}]),
        "How long to wait for the provider; in a stream, for its first delta. `-1` is for ever.",
    ),
    "username": (TEXT, "The owner of the keys."),
    "with_limited_by": (FLAG, "Show the rights of the owner, which limit those of the key."),
    "with_profile_uid": (FLAG, "Accepted for clients that send it."),
}
COMMON = tuple(sorted(COMMON_PARAMETERS))
"""What every operation takes that needs a login."""


def components() -> dict[str, Schema]:
    paths = {
        f"path.{key}": {"in": "path", "name": name, "required": True, "schema": schema, "description": description}
        for key, (name, schema, description) in _PATHS.items()
    }
    return paths | {f"query.{name}": _query(name) for name in _QUERIES}


def path(key: str) -> Schema:
    return {"$ref": f"#/components/parameters/path.{key}"}


def query(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/query.{name}"}


def _query(name: str) -> Schema:
    schema, description = _QUERIES[name]
    parameter = {"in": "query", "name": name, "schema": schema, "description": description}
    # Present without a value means true.
    return {**parameter, "allowEmptyValue": True} if schema is FLAG else parameter
