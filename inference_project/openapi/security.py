"""Users and API keys: `/_security/...`."""

from __future__ import annotations

from typing import Any

from access.keys import MAX_NAME_LENGTH
from access.passwords import MIN_LENGTH
from access.privileges import KNOWN
from access.views.api_keys import ApiKeysView
from access.views.callers import AuthenticateView, HasPrivilegesView
from access.views.users import PasswordView, UsersView, UserView
from inference_project.openapi.operations import Operation
from inference_project.openapi.schemas import (
    FLAG,
    OBJECT,
    TEXT,
    TEXTS,
    TIME_VALUE,
    Schema,
    answer,
    any_of,
    array,
    described,
    mapping,
    nullable,
    reference,
    request,
)

_PASSWORD: Schema = {"type": "string", "minLength": MIN_LENGTH, "writeOnly": True}
_METADATA: Schema = {"type": "object", "propertyNames": {"pattern": "^(?!_)"}}
_PRIVILEGES = array({"type": "string", "enum": sorted(KNOWN)})
_MILLISECONDS: Schema = {"type": "integer", "description": "Unix time in milliseconds."}
_RESTRICTED = "Kept and shown; only `cluster` has an effect here."
_ROLE_NAME: Schema = {"pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": 1024}
_ROLE_DESCRIPTOR = request(
    {
        "cluster": _PRIVILEGES,
        **{
            name: described(array(OBJECT), _RESTRICTED)
            for name in ("indices", "index", "applications", "application", "remote_indices", "remote_cluster")
        },
        "run_as": described(TEXTS, _RESTRICTED),
        "global": described(OBJECT, _RESTRICTED),
        "metadata": OBJECT,
        "transient_metadata": OBJECT,
        "description": TEXT,
    }
)
_USER_FACTS = {"username": TEXT, "roles": TEXTS, "full_name": nullable(TEXT), "email": nullable(TEXT)}
_USER = answer({**_USER_FACTS, "metadata": OBJECT, "enabled": FLAG})
_REALM = answer({"name": TEXT, "type": TEXT})
_ANSWERS = mapping(FLAG)
_ONE_OR_MORE = any_of([TEXT, TEXTS])


def _asked(over: str, **more: Schema) -> Schema:
    """Return the schema of privileges that are asked for, for each name that stands under `over`."""
    properties = {over: _ONE_OR_MORE, "privileges": _ONE_OR_MORE, **more}
    return array({"type": "object", "properties": properties, "required": list(properties)})


SCHEMAS: dict[str, Schema] = {
    "ApiKeyRequest": request(
        {
            "name": {"type": "string", "pattern": r"^[^_\s](.*\S)?$", "maxLength": MAX_NAME_LENGTH},
            "expiration": TIME_VALUE,
            "role_descriptors": described(
                {**mapping(_ROLE_DESCRIPTOR), "propertyNames": _ROLE_NAME},
                "What the key may do of what its owner may; without it, all of that.",
            ),
            "metadata": _METADATA,
        },
        required=("name",),
    ),
    "IssuedApiKey": described(
        answer(
            {"id": TEXT, "name": TEXT, "expiration": _MILLISECONDS, "api_key": TEXT, "encoded": TEXT},
            optional=("expiration",),
        ),
        "A new key, which is never shown again; `encoded` goes into the header `Authorization: ApiKey ...`.",
    ),
    "ApiKeys": answer(
        {
            "api_keys": array(
                answer(
                    {
                        "id": TEXT,
                        "name": TEXT,
                        "type": TEXT,
                        "creation": _MILLISECONDS,
                        "expiration": _MILLISECONDS,
                        "invalidated": FLAG,
                        "invalidation": _MILLISECONDS,
                        "username": TEXT,
                        "realm": TEXT,
                        "realm_type": TEXT,
                        "metadata": OBJECT,
                        "role_descriptors": OBJECT,
                        "team": described(TEXT, "The team that the key belongs to, instead of a user."),
                        "team_role": TEXT,
                        "inference_ids": TEXTS,
                        "limited_by": array(OBJECT),
                    },
                    optional=("expiration", "invalidation", "team", "team_role", "inference_ids", "limited_by"),
                )
            )
        }
    ),
    "InvalidateRequest": described(
        request(
            {
                "ids": {**array({"type": "string", "pattern": r"\S"}), "minItems": 1},
                "id": TEXT,
                "name": TEXT,
                "username": TEXT,
                "realm_name": TEXT,
                "owner": FLAG,
            }
        ),
        "The keys to invalidate: by ids or by a name or by their owner.",
    ),
    "InvalidatedApiKeys": answer(
        {
            "invalidated_api_keys": TEXTS,
            "previously_invalidated_api_keys": TEXTS,
            "error_count": {"type": "integer"},
        }
    ),
    "Caller": answer(
        {
            **_USER_FACTS,
            "metadata": OBJECT,
            "enabled": FLAG,
            "authentication_realm": _REALM,
            "lookup_realm": _REALM,
            "authentication_type": {"enum": ["realm", "api_key"]},
            "api_key": answer({"id": TEXT, "name": TEXT, "managed_by": TEXT}),
        },
        optional=("api_key",),
    ),
    "Users": described(mapping(_USER), "Users by their names."),
    "UserRequest": request(
        {
            "username": described(TEXT, "If it is there, the name in the path."),
            "password": described(_PASSWORD, "Required for a new user."),
            "roles": TEXTS,
            "full_name": nullable(TEXT),
            "email": nullable(TEXT),
            "metadata": _METADATA,
            "enabled": FLAG,
        },
        required=("roles",),
    ),
    "PasswordRequest": request({"password": _PASSWORD}, required=("password",)),
    "PrivilegesRequest": {
        **request(
            {
                "cluster": nullable(_PRIVILEGES),
                "index": nullable(_asked("names")),
                "application": nullable(_asked("resources", application=TEXT)),
                "applications": nullable(_asked("resources", application=TEXT)),
            }
        ),
        "minProperties": 1,
    },
    "Privileges": answer(
        {
            "username": TEXT,
            "has_all_requested": FLAG,
            "cluster": _ANSWERS,
            "index": mapping(_ANSWERS),
            "application": mapping(mapping(_ANSWERS)),
        }
    ),
}

_USER_PATH, _KEY_PATH = ("/_security/user/{username}",), ("/_security/api_key",)
_CHECK_PATH = ("/_security/user/_has_privileges",)
_PASSWORD_PATHS = ("/_security/user/_password", "/_security/user/{username}/_password")


def _twice(first: str, second: str, **facts: Any) -> tuple[Operation, Operation]:
    """Return an operation under the two methods that do the same; `id` is that of the first."""
    same = {**facts, "id": f"{facts['id']}_by_{second.lower()}"}
    return Operation(tag="security", method=first, **facts), Operation(tag="security", method=second, **same)


OPERATIONS = (
    Operation(
        id="authenticate",
        method="GET",
        paths=("/_security/_authenticate",),
        tag="security",
        summary="Show who is calling",
        view=AuthenticateView,
        result=reference("Caller"),
        result_description="The caller.",
    ),
    *_twice(
        "POST",
        "GET",
        id="has_privileges",
        paths=_CHECK_PATH,
        summary="Say what the caller may do",
        description="A privilege that is held in a team alone counts. "
        "There are no indices and applications; asked about them, only who may do everything may.",
        view=HasPrivilegesView,
        body=reference("PrivilegesRequest"),
        result=reference("Privileges"),
        result_description="Each privilege with whether the caller has it.",
    ),
    *_twice(
        "POST",
        "PUT",
        id="create_api_key",
        paths=_KEY_PATH,
        summary="Create an API key of the caller",
        view=ApiKeysView,
        body=reference("ApiKeyRequest"),
        result=reference("IssuedApiKey"),
        result_description="The key with its secret.",
    ),
    Operation(
        id="get_api_keys",
        method="GET",
        paths=_KEY_PATH,
        tag="security",
        summary="Show API keys",
        description="The caller's own, and those of teams whose endpoints he manages; who manages keys sees all.",
        view=ApiKeysView,
        result=reference("ApiKeys"),
        result_description="The keys, without their secrets.",
        also_with={404: "There is no key with the id that was asked for."},
    ),
    Operation(
        id="invalidate_api_keys",
        method="DELETE",
        paths=_KEY_PATH,
        tag="security",
        summary="Invalidate API keys",
        view=ApiKeysView,
        body=reference("InvalidateRequest"),
        result=reference("InvalidatedApiKeys"),
        result_description="The keys that are, and those that already were, of no use.",
    ),
    Operation(
        id="get_users",
        method="GET",
        paths=("/_security/user",),
        tag="security",
        summary="Show all users",
        view=UsersView,
        result=reference("Users"),
        result_description="All users.",
    ),
    Operation(
        id="get_user",
        method="GET",
        paths=_USER_PATH,
        tag="security",
        summary="Show users",
        view=UserView,
        result=reference("Users"),
        result_description="Those of the users that exist.",
        also_with={404: "There is none of them."},
    ),
    *_twice(
        "PUT",
        "POST",
        id="put_user",
        paths=_USER_PATH,
        summary="Create or change a user",
        view=UserView,
        body=reference("UserRequest"),
        result=answer({"created": FLAG}),
        result_description="Whether the user is new.",
    ),
    Operation(
        id="delete_user",
        method="DELETE",
        paths=_USER_PATH,
        tag="security",
        summary="Delete a user with his API keys",
        view=UserView,
        result=answer({"found": FLAG}),
        result_description="The user is gone.",
        also_with={404: "There was no such user."},
    ),
    *_twice(
        "PUT",
        "POST",
        id="change_password",
        paths=_PASSWORD_PATHS,
        summary="Change a password",
        description="Everyone may change his own, but not with an API key; for others, `manage_security` is needed.",
        view=PasswordView,
        body=reference("PasswordRequest"),
        result=OBJECT,
        result_description="The password is changed.",
    ),
)
