"""Teams, their members and their API keys: `/_gateway/teams...`."""

from __future__ import annotations

from access.keys import MAX_NAME_LENGTH
from access.models import MAX_DESCRIPTION_LENGTH, MAX_TEAM_NAME_LENGTH
from access.privileges import TEAM_ROLES
from access.views import team_keys
from access.views.team_keys import TeamKeysView, TeamKeyView
from access.views.teams import MembersView, MemberView, TeamsView, TeamView
from inference_project.openapi.operations import Operation
from inference_project.openapi.schemas import (
    FLAG,
    TEXT,
    TIME_VALUE,
    Schema,
    answer,
    array,
    described,
    reference,
    request,
)

_ROLE: Schema = {"type": "string", "enum": list(TEAM_ROLES)}
_TEAM = answer({"slug": TEXT, "name": TEXT, "description": TEXT, "creation": {"type": "integer"}})
_ACKNOWLEDGED = answer({"acknowledged": FLAG})
_INFERENCE_ID: Schema = {"type": "string", "minLength": 1, "maxLength": team_keys.LONGEST_ID}

SCHEMAS: dict[str, Schema] = {
    "Team": described(_TEAM, "A team; `creation` is the Unix time in milliseconds."),
    "Teams": answer({"teams": array(reference("Team"))}),
    "TeamRequest": described(
        request(
            {
                "name": {"type": "string", "pattern": r"^\S(.*\S)?$", "maxLength": MAX_TEAM_NAME_LENGTH},
                "description": {"type": "string", "maxLength": MAX_DESCRIPTION_LENGTH},
            }
        ),
        "What is left out stays; for a new team, the slug is its name.",
    ),
    "Members": answer({"members": array(answer({"username": TEXT, "role": _ROLE}))}),
    "MemberRequest": request({"role": _ROLE}, required=("role",)),
    "TeamApiKeyRequest": request(
        {
            "name": {"type": "string", "pattern": r"^[^_\s](.*\S)?$", "maxLength": MAX_NAME_LENGTH},
            "role": {**_ROLE, "default": "inference_user"},
            "expiration": TIME_VALUE,
            "inference_ids": described(
                {**array(_INFERENCE_ID), "minItems": 1, "maxItems": team_keys.MAX_IDS},
                "The only endpoints of the team that the key reaches; without it, all of them.",
            ),
        },
        required=("name",),
    ),
}

_TEAMS = "/_gateway/teams"
_ONE = f"{_TEAMS}/{{slug}}"

OPERATIONS = (
    Operation(
        id="get_teams",
        method="GET",
        paths=(_TEAMS,),
        tag="teams",
        summary="Show teams",
        description="The caller's own; who manages all endpoints sees all.",
        view=TeamsView,
        result=reference("Teams"),
        result_description="The teams, sorted by slug.",
    ),
    Operation(
        id="get_team",
        method="GET",
        paths=(_ONE,),
        tag="teams",
        summary="Show a team",
        view=TeamView,
        result=reference("Team"),
        result_description="The team.",
        errors=(404,),
    ),
    Operation(
        id="put_team",
        method="PUT",
        paths=(_ONE,),
        tag="teams",
        summary="Create or change a team",
        view=TeamView,
        body=reference("TeamRequest"),
        result=reference("Team"),
        result_description="The team as it is now.",
    ),
    Operation(
        id="delete_team",
        method="DELETE",
        paths=(_ONE,),
        tag="teams",
        summary="Delete a team with its API keys",
        description="A team that has endpoints is not deleted; the reason names them.",
        view=TeamView,
        result=_ACKNOWLEDGED,
        result_description="The team is gone.",
        errors=(404, 409),
    ),
    Operation(
        id="get_members",
        method="GET",
        paths=(f"{_ONE}/members",),
        tag="teams",
        summary="Show the members of a team",
        description="For who manages the endpoints of the team.",
        view=MembersView,
        result=reference("Members"),
        result_description="The members, sorted by name.",
        errors=(404,),
    ),
    Operation(
        id="put_member",
        method="PUT",
        paths=(f"{_ONE}/members/{{username}}",),
        tag="teams",
        summary="Give a user a role in a team",
        view=MemberView,
        body=reference("MemberRequest"),
        result=answer({"created": FLAG}),
        result_description="Whether the user is new in the team.",
        errors=(404, 409),
    ),
    Operation(
        id="delete_member",
        method="DELETE",
        paths=(f"{_ONE}/members/{{username}}",),
        tag="teams",
        summary="Take a user out of a team",
        description="Keys of the team that he made stay.",
        view=MemberView,
        result=_ACKNOWLEDGED,
        result_description="The user is no member any more.",
        errors=(404,),
    ),
    Operation(
        id="create_team_api_key",
        method="POST",
        paths=(f"{_ONE}/api_keys",),
        tag="teams",
        summary="Create an API key of a team",
        description="For members with the role `inference_admin` who log in with a password, and for those with the "
        "cluster privilege `manage_security`. The key belongs to no user, and stays when who made it leaves.",
        view=TeamKeysView,
        body=reference("TeamApiKeyRequest"),
        result=reference("IssuedApiKey"),
        result_description="The key with its secret.",
        errors=(404, 409),
    ),
    Operation(
        id="get_team_api_keys",
        method="GET",
        paths=(f"{_ONE}/api_keys",),
        tag="teams",
        summary="Show the API keys of a team",
        description="For those who may create them.",
        view=TeamKeysView,
        result=reference("ApiKeys"),
        result_description="The keys, without their secrets.",
        errors=(404,),
    ),
    Operation(
        id="invalidate_team_api_key",
        method="DELETE",
        paths=(f"{_ONE}/api_keys/{{key_id}}",),
        tag="teams",
        summary="Invalidate an API key of a team",
        description="For those who may create them.",
        view=TeamKeyView,
        result=_ACKNOWLEDGED,
        result_description="The key is of no use.",
        errors=(404,),
    ),
)
