"""`/_gateway/teams`: teams and their members. For whom a team is not his, there is none."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from access import teams
from access.authentication import SecuredView
from access.bodies import Fields, parse_all
from access.privileges import require_in
from access.serializers import shown_team
from wire.errors import RequestInvalid

GET = "cluster:monitor/gateway/team/get"
PUT = "cluster:admin/gateway/team/put"
DELETE = "cluster:admin/gateway/team/delete"
GET_MEMBERS = "cluster:admin/gateway/team/member/get"
PUT_MEMBER = "cluster:admin/gateway/team/member/put"
DELETE_MEMBER = "cluster:admin/gateway/team/member/delete"

_TEAM_FIELDS: Fields = {"name": str, "description": str}
_MEMBER_FIELDS: Fields = {"role": str}


class TeamsView(SecuredView):
    """`/_gateway/teams`: the teams that there are for the caller."""

    actions = {"GET": GET}

    def get(self, request: Request) -> HttpResponse:
        # Sorted here: databases have different opinions about the order of `-`.
        found = sorted(teams.visible_to(self.caller), key=lambda team: team.slug)
        return self.json({"teams": [shown_team(team) for team in found]})


class TeamView(SecuredView):
    """`/_gateway/teams/<slug>`. The slug of a team stays."""

    actions = {"GET": GET, "PUT": PUT, "DELETE": DELETE}
    bodies = {"PUT": "required"}

    def get(self, request: Request, slug: str) -> HttpResponse:
        return self.json(shown_team(teams.find(self.caller, slug)))

    def put(self, request: Request, slug: str) -> HttpResponse:
        fields, problems = parse_all(self.plain.body, "team", _TEAM_FIELDS)
        problems += teams.problems(slug, **fields)
        if problems:
            raise RequestInvalid(*problems)
        return self.json(shown_team(teams.put(slug, **fields)))

    def delete(self, request: Request, slug: str) -> HttpResponse:
        teams.delete(slug)
        return self.json({"acknowledged": True})


class MembersView(SecuredView):
    """`/_gateway/teams/<slug>/members`, for who manages the team's endpoints."""

    actions = {"GET": GET_MEMBERS}

    def get(self, request: Request, slug: str) -> HttpResponse:
        team = teams.find(self.caller, slug)
        require_in(self.caller, GET_MEMBERS, team.pk)
        members = team.memberships.values("user__username", "role")
        return self.json({"members": [{"username": one["user__username"], "role": one["role"]} for one in members]})


class MemberView(SecuredView):
    """`/_gateway/teams/<slug>/members/<username>`."""

    actions = {"PUT": PUT_MEMBER, "DELETE": DELETE_MEMBER}
    bodies = {"PUT": "required"}

    def put(self, request: Request, slug: str, username: str) -> HttpResponse:
        team = teams.find(self.caller, slug)
        fields, problems = parse_all(self.plain.body, "member", _MEMBER_FIELDS, required=("role",))
        problems += teams.role_problems(fields["role"]) if "role" in fields else []
        if problems:
            raise RequestInvalid(*problems)
        return self.json({"created": teams.set_member(team, username, fields["role"])})

    def delete(self, request: Request, slug: str, username: str) -> HttpResponse:
        team = teams.find(self.caller, slug)
        teams.remove_member(team, username)
        return self.json({"acknowledged": True})
