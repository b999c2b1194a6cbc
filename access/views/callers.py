"""`/_security/_authenticate` and `/_security/user/_has_privileges`: who am I, and what may I do?"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from access.authentication import SecuredView
from access.bodies import parse_plain, strings
from access.privileges import KNOWN, unknown
from access.serializers import shown_caller
from wire.errors import ParseFailed, RequestInvalid

_FIELDS = {"cluster": list, "index": list, "application": list, "applications": list}
_MAX_ANSWERS = 10_000
# Each answer repeats the name of its privilege.
_MAX_NAME_LENGTH = 255

Answers = dict[str, dict[str, bool]]
"""Whether the caller has each privilege, by the name of what it is for."""


class AuthenticateView(SecuredView):
    def get(self, request: Request) -> HttpResponse:
        return self.json(shown_caller(self.caller))


class HasPrivilegesView(SecuredView):
    """There are no indices and no applications here; asked about them, only who may do everything may.

    A privilege that is held in a team alone counts: what for, the endpoint decides.
    """

    bodies = {"GET": "required", "POST": "required"}
    _asked = 0

    def post(self, request: Request) -> HttpResponse:
        fields = parse_plain(self.plain.body, self._what, _FIELDS, nullable=frozenset(_FIELDS))
        if not fields:
            raise self._failed("All privilege fields [cluster,index,applications] are missing")
        if not any(fields.values()):
            raise RequestInvalid("must specify at least one privilege")
        cluster = self._cluster(fields.get("cluster", []))
        index = self._answers(fields.get("index", []), "names")
        application = self._applications(fields.get("application", []) + fields.get("applications", []))
        groups = [cluster, *index.values(), *(group for answers in application.values() for group in answers.values())]
        return self.json(
            {
                "username": self.caller.username,
                "has_all_requested": all(answer for group in groups for answer in group.values()),
                "cluster": cluster,
                "index": index,
                "application": application,
            }
        )

    get = post

    @property
    def _what(self) -> str:
        return f"privileges check [{self.caller.username}]"

    def _failed(self, problem: str) -> ParseFailed:
        return ParseFailed(f"failed to parse {self._what}. {problem}")

    def _cluster(self, names: list[Any]) -> dict[str, bool]:
        if not strings(names):
            raise self._failed("field [cluster] takes an array of strings")
        self._count(len(names))
        for name in names:
            if name.lower() not in KNOWN:
                raise unknown(name)
        return {name: self.caller.holds(name.lower()) for name in sorted(set(names))}

    def _applications(self, entries: list[Any]) -> dict[str, Answers]:
        applications: dict[str, Answers] = {}
        for entry in entries:
            name = entry.get("application") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                raise self._failed("field [application] takes a string")
            for resource, answers in self._answers([entry], "resources").items():
                applications.setdefault(name, {}).setdefault(resource, {}).update(answers)
        return applications

    def _answers(self, entries: list[Any], over: str) -> Answers:
        """Return the answers for the privileges of each name that `entries` list under `over`."""
        answer = "all" in self.caller.privileges
        answers: Answers = {}
        for entry in entries:
            names, wanted = self._texts(entry, over), self._texts(entry, "privileges")
            if any(len(privilege) > _MAX_NAME_LENGTH for privilege in wanted):
                raise self._failed(f"the name of a privilege is longer than [{_MAX_NAME_LENGTH}] characters")
            self._count(len(names) * len(wanted))
            for name in names:
                answers.setdefault(name, {}).update(dict.fromkeys(wanted, answer))
        return answers

    def _count(self, answers: int) -> None:
        """Raise ParseFailed where all entries of all sections together ask for too many answers."""
        self._asked += answers
        if self._asked > _MAX_ANSWERS:
            raise self._failed(f"it asks for more than [{_MAX_ANSWERS}] answers")

    def _texts(self, entry: Any, field: str) -> list[str]:
        value: Any = entry.get(field) if isinstance(entry, dict) else None
        texts: Any = [value] if isinstance(value, str) else value
        if not strings(texts):
            raise self._failed(f"field [{field}] takes an array of strings")
        return list(texts)
