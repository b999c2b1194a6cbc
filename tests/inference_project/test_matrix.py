"""Every caller on every route, with what is shared, what is his team's, what is another team's, and what is not there.

What has to come out follows from two small tables: how far each caller reaches, and what each route asks for. They are
written from the rules and not from the code; a route that is missing in them fails a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from inference_project.openapi.document import document
from tests.gateway import Answer, Gateway

PASSWORD = "of the caller"
ECHO = {"service": "echo", "service_settings": {}}
NEVER, NEVER_TEAM, NEVER_KEY = "e-no-one", "t-no-one", "k" * 20
# Of one length, so that answers about them are, too. The teams are called by the letters in REACH.
IDS = {"": "e-shared", "o": "e-own-te", "t": "e-theirs"}
SLUGS = {"o": "t-own-te", "t": "t-theirs"}


class Reach(NamedTuple):
    """What a caller may do with the endpoints that are shared, of the team `o`, and of the team `t`.

    `-` nothing, `u` use, `m` manage. `teams` are those that there are for him.
    """

    shared: str
    own: str
    theirs: str
    teams: str = ""

    def of(self, team: str) -> str:
        return {"": self.shared, "o": self.own, "t": self.theirs}[team]

    @property
    def anywhere(self) -> str:
        """The most that he may do with any endpoint."""
        return "m" if "m" in self[:3] else "u" if "u" in self[:3] else "-"


NOTHING = Reach("-", "-", "-")
# Users, each with his role for all and those in teams. A key of a user reaches as far as he does.
USERS: dict[str, tuple[str, dict[str, str], Reach]] = {
    "nobody": ("", {}, NOTHING),
    "user": ("inference_user", {}, Reach("u", "-", "-")),
    "global-admin": ("inference_admin", {}, Reach("m", "m", "m", "ot")),
    "team-user": ("", {"o": "inference_user"}, Reach("-", "u", "-", "o")),
    "team-admin": ("", {"o": "inference_admin"}, Reach("-", "m", "-", "o")),
    "user-and-team-admin": ("inference_user", {"o": "inference_admin"}, Reach("u", "m", "-", "o")),
    "other-team-admin": ("", {"t": "inference_admin"}, Reach("-", "-", "m", "t")),
    "superuser": ("superuser", {}, Reach("m", "m", "m", "ot")),
}
TEAM_KEYS: dict[str, tuple[str, str, Reach]] = {
    "key of own team, user": ("o", "inference_user", Reach("-", "u", "-", "o")),
    "key of own team, admin": ("o", "inference_admin", Reach("-", "m", "-", "o")),
    "key of other team, admin": ("t", "inference_admin", Reach("-", "-", "m", "t")),
}


@dataclass(frozen=True)
class Caller:
    name: str
    kind: str
    """`anonymous`, `user`, `key` (of a user), or `team key`."""
    reach: Reach = NOTHING
    is_superuser: bool = False
    leads: str = ""
    """The teams whose keys he manages."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Case(NamedTuple):
    """A request, and the status that it has to have; `missing` is what stands in it for something that is not there."""

    path: str
    status: int
    target: str = ""
    missing: str = ""
    team: str = ""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway.started(GATEWAY_LOG_LEVEL="ERROR") as running:
        for slug in SLUGS.values():
            done(running.call("PUT", f"/_gateway/teams/{slug}", {}, running.login(), key=""))
        for team in IDS:
            make_endpoint(running, team)
        done(
            running.call("PUT", "/_security/user/victim", {"password": PASSWORD, "roles": []}, running.login(), key="")
        )
        yield running


@pytest.fixture(scope="module")
def callers(gateway: Gateway) -> list[Caller]:
    found = [Caller("anonymous", "anonymous")]
    for name, (role, teams, reach) in USERS.items():
        body = {"password": PASSWORD, "roles": [role] if role else []}
        done(gateway.call("PUT", f"/_security/user/{name}", body, gateway.login(), key=""))
        for team, in_team in teams.items():
            path = f"/_gateway/teams/{SLUGS[team]}/members/{name}"
            done(gateway.call("PUT", path, {"role": in_team}, gateway.login(), key=""))
        leads = "".join(team for team, in_team in teams.items() if in_team == "inference_admin")
        header = gateway.login(name, PASSWORD)
        key = done(gateway.call("POST", "/_security/api_key", {"name": "x"}, header, key=""))["encoded"]
        is_superuser = role == "superuser"
        leads = "ot" if is_superuser else leads
        found.append(Caller(name, "user", reach, is_superuser, leads, header))
        of_key = "ot" if is_superuser else ""
        found.append(Caller(f"key of {name}", "key", reach, is_superuser, of_key, {"Authorization": f"ApiKey {key}"}))
    for name, (team, role, reach) in TEAM_KEYS.items():
        body = {"name": "x", "role": role}
        made = gateway.call("POST", f"/_gateway/teams/{SLUGS[team]}/api_keys", body, gateway.login(), key="")
        header = {"Authorization": f"ApiKey {done(made)['encoded']}"}
        found.append(Caller(name, "team key", reach, headers=header))
    return found


def done(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json()


def make_endpoint(gateway: Gateway, team: str) -> None:
    query = f"?team={SLUGS[team]}" if team else ""
    done(gateway.call("PUT", f"/_inference/completion/{IDS[team]}{query}", ECHO, gateway.login(), key=""))


# What each route asks for: the name of a rule below.
ROUTES = {
    "POST /_inference/{inference_id}/_stream": "use",
    "POST /_inference/{task_type}/{inference_id}/_stream": "use",
    "POST /_inference/{inference_id}": "use",
    "POST /_inference/{task_type}/{inference_id}": "use",
    "GET /_inference": "list endpoints",
    "GET /_inference/{inference_id}": "use",
    "GET /_inference/{task_type}/{inference_id}": "use",
    "PUT /_inference/{inference_id}": "create",
    "PUT /_inference/{task_type}/{inference_id}": "create",
    "PUT /_inference/{inference_id}/_update": "manage",
    "PUT /_inference/{task_type}/{inference_id}/_update": "manage",
    "DELETE /_inference/{inference_id}": "manage",
    "DELETE /_inference/{task_type}/{inference_id}": "manage",
    "GET /_inference/_services": "use anything",
    "GET /_inference/_services/{task_type}": "use anything",
    "GET /_inference/openapi.json": "log in",
    "GET /_security/_authenticate": "log in",
    "GET /_security/user/_has_privileges": "log in",
    "POST /_security/user/_has_privileges": "log in",
    "GET /_security/api_key": "own keys",
    "DELETE /_security/api_key": "own keys",
    "POST /_security/api_key": "make a key",
    "PUT /_security/api_key": "make a key",
    "GET /_security/user": "superuser",
    "GET /_security/user/{username}": "superuser",
    "PUT /_security/user/{username}": "superuser",
    "POST /_security/user/{username}": "superuser",
    "DELETE /_security/user/{username}": "superuser",
    "PUT /_security/user/_password": "own password",
    "POST /_security/user/_password": "own password",
    "PUT /_security/user/{username}/_password": "another's password",
    "POST /_security/user/{username}/_password": "another's password",
    "GET /_gateway/teams": "list teams",
    "GET /_gateway/teams/{slug}": "see the team",
    "PUT /_gateway/teams/{slug}": "superuser, team",
    "DELETE /_gateway/teams/{slug}": "superuser deletes the team",
    "GET /_gateway/teams/{slug}/members": "manage the team's endpoints",
    "PUT /_gateway/teams/{slug}/members/{username}": "superuser, member",
    "DELETE /_gateway/teams/{slug}/members/{username}": "superuser, no member",
    "GET /_gateway/teams/{slug}/api_keys": "manage the team's keys",
    "POST /_gateway/teams/{slug}/api_keys": "manage the team's keys",
    "DELETE /_gateway/teams/{slug}/api_keys/{key_id}": "manage the team's keys",
    "GET /": "superuser",
    "GET /metrics": "superuser",
    "GET /livez": "public",
    "GET /readyz": "public",
}
BODIES: dict[str, Any] = {
    "POST /_inference/{inference_id}/_stream": {"input": "a"},
    "POST /_inference/{task_type}/{inference_id}/_stream": {"input": "a"},
    "POST /_inference/{inference_id}": {"input": "a"},
    "POST /_inference/{task_type}/{inference_id}": {"input": "a"},
    "PUT /_inference/{inference_id}": {**ECHO, "task_type": "completion"},
    "PUT /_inference/{task_type}/{inference_id}": ECHO,
    "PUT /_inference/{inference_id}/_update": {"task_settings": {}},
    "PUT /_inference/{task_type}/{inference_id}/_update": {"task_settings": {}},
    "GET /_security/user/_has_privileges": {"cluster": ["monitor_inference"]},
    "POST /_security/user/_has_privileges": {"cluster": ["monitor_inference"]},
    "DELETE /_security/api_key": {"ids": [NEVER_KEY]},
    "POST /_security/api_key": {"name": "x"},
    "PUT /_security/api_key": {"name": "x"},
    "PUT /_security/user/{username}": {"roles": []},
    "POST /_security/user/{username}": {"roles": []},
    # To hash passwords takes long; who may set one is told that there is none.
    "PUT /_security/user/_password": {},
    "POST /_security/user/_password": {},
    "PUT /_security/user/{username}/_password": {},
    "POST /_security/user/{username}/_password": {},
    "PUT /_gateway/teams/{slug}": {},
    "PUT /_gateway/teams/{slug}/members/{username}": {"role": "inference_user"},
    "POST /_gateway/teams/{slug}/api_keys": {"name": "x"},
}


def test_no_route_is_left_out() -> None:
    documented = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    assert ROUTES.keys() == documented


@pytest.mark.parametrize("route", ROUTES)
def test_every_caller_is_answered_by_the_rules(gateway: Gateway, callers: list[Caller], route: str) -> None:
    method, template = route.split()
    for caller in callers:
        for case in cases(ROUTES[route], caller, template):
            answer = gateway.call(method, case.path, body_of(route, case), caller.headers, key="")
            assert answer.status == case.status, (caller, case, answer.body)
            check_that_nothing_is_told(gateway, method, route, caller, case, answer)
            restore(gateway, method, case, answer)


def check_that_nothing_is_told(
    gateway: Gateway, method: str, route: str, caller: Caller, case: Case, answer: Answer
) -> None:
    """What is not there for the caller answers as what was never there, byte for byte, headers and all."""
    if answer.status != 404 or not case.missing:
        return
    path = case.path.replace(case.target, case.missing)
    never = gateway.call(method, path, body_of(route, case), caller.headers, key="")
    assert (never.status, never.body) == (404, answer.body.replace(case.target.encode(), case.missing.encode())), case
    assert sorted(never.headers.items()) == sorted(answer.headers.items())


def body_of(route: str, case: Case) -> Any:
    """Return a body that is right, but for the endpoint's task type; what it is read as, the path says."""
    return {"input": ["a"], "query": "a"} if route.startswith("POST") and "/rerank/" in case.path else BODIES.get(route)


def restore(gateway: Gateway, method: str, case: Case, answer: Answer) -> None:
    """Undo what a request did that succeeded, so that the next one meets the same."""
    if answer.status != 200:
        return
    if method == "DELETE" and case.target in IDS.values():
        make_endpoint(gateway, case.team)
    if method == "PUT" and case.target == NEVER and "_update" not in case.path:
        done(gateway.call("DELETE", f"/_inference/{NEVER}", None, gateway.login(), key=""))
    if method == "PUT" and case.path == f"/_gateway/teams/{NEVER_TEAM}":
        done(gateway.call("DELETE", case.path, None, gateway.login(), key=""))
    if method == "DELETE" and case.path == "/_security/user/victim":
        body = {"password": PASSWORD, "roles": []}
        done(gateway.call("PUT", "/_security/user/victim", body, gateway.login(), key=""))
    if method == "PUT" and "/members/" in case.path:
        done(gateway.call("DELETE", case.path, None, gateway.login(), key=""))


def cases(rule: str, caller: Caller, template: str) -> Iterator[Case]:
    """Yield each request that `rule` says something about, as `caller` sends it."""
    if rule == "public":
        yield Case(template, 200)
    elif "{inference_id}" in template:
        yield from endpoint_cases(rule, caller, template)
    elif "{slug}" in template:
        yield from team_cases(rule, caller, template)
    else:
        status = 401 if caller.kind == "anonymous" else plain_status(rule, caller)
        yield Case(template.format(username="victim", task_type="completion"), status)


def plain_status(rule: str, caller: Caller) -> int:
    """Return the status where a request is about no endpoint and no team."""
    allowed = {
        "log in": True,
        "use anything": caller.reach.anywhere != "-",
        "list endpoints": caller.reach.anywhere != "-",
        "list teams": caller.reach.anywhere != "-",
        "superuser": caller.is_superuser,
        "another's password": caller.is_superuser,
        "own keys": caller.kind != "team key",
        "make a key": caller.kind != "team key",
        "own password": caller.kind == "user" or caller.is_superuser,
    }[rule]
    if rule == "make a key" and caller.kind == "key":
        # A key makes none but one without rights.
        return 400
    if not allowed:
        return 403
    return 400 if rule.endswith("password") else 200


def endpoint_cases(rule: str, caller: Caller, template: str) -> Iterator[Case]:
    # With another task type as well: even that it is another is not told.
    others = ("any", "rerank") if rule != "create" else ()
    for task_type in ("completion", *others) if "{task_type}" in template else ("completion",):
        for team, inference_id in (*IDS.items(), (None, NEVER)):
            status = endpoint_status(rule, caller, team)
            if status == 200 and task_type == "rerank":
                status = 400
            path = template.format(task_type=task_type, inference_id=inference_id)
            yield Case(path, status, inference_id, NEVER, team or "")


def endpoint_status(rule: str, caller: Caller, team: str | None) -> int:
    """Return the status for an endpoint of `team`; "" stands for a shared one, None for one that is not there."""
    if caller.kind == "anonymous":
        return 401
    if caller.reach.anywhere == "-" or (rule != "use" and caller.reach.anywhere != "m"):
        return 403
    if rule == "create":
        # The one exception: ids are everybody's.
        return 200 if team is None else 400
    level = "-" if team is None else caller.reach.of(team)
    if level == "-":
        return 404
    return 200 if rule == "use" or level == "m" else 403


def team_cases(rule: str, caller: Caller, template: str) -> Iterator[Case]:
    for team, slug in (*SLUGS.items(), ("", NEVER_TEAM)):
        path = template.format(slug=slug, username="victim", key_id=NEVER_KEY)
        missing = "" if team and team in caller.reach.teams else NEVER_TEAM
        yield Case(path, team_status(rule, caller, team, template), slug, missing)


def team_status(rule: str, caller: Caller, team: str, template: str) -> int:
    """Return the status for `team`; "" stands for one that is not there."""
    if caller.kind == "anonymous":
        return 401
    if rule.startswith("superuser"):
        if not caller.is_superuser:
            return 403
        if rule == "superuser, team":
            return 200
        # Teams with endpoints are kept; nobody is a member who was not made one.
        there = {"superuser deletes the team": 409, "superuser, member": 200, "superuser, no member": 404}[rule]
        return there if team else 404
    if caller.reach.anywhere == "-" or (rule != "see the team" and caller.reach.anywhere != "m"):
        return 403
    if not team or team not in caller.reach.teams:
        return 404
    if rule == "manage the team's keys":
        if team not in caller.leads:
            return 403
        return 404 if "{key_id}" in template else 200
    return 200


def test_listings_hold_what_the_caller_reaches_and_nothing_else(gateway: Gateway, callers: list[Caller]) -> None:
    for caller in callers:
        if caller.reach.anywhere == "-":
            continue
        reached = sorted(inference_id for team, inference_id in IDS.items() if caller.reach.of(team) != "-")
        for path in ("", "/_all", "/*", "/completion/_all", "/any/_all"):
            listed = done(gateway.call("GET", f"/_inference{path}", None, caller.headers, key=""))["endpoints"]
            # The first start made some, which are shared.
            assert [one["inference_id"] for one in listed if one["inference_id"] in IDS.values()] == reached, caller
            assert caller.reach.shared != "-" or len(listed) == len(reached)
        assert done(gateway.call("GET", "/_inference/rerank/_all", None, caller.headers, key="")) == {"endpoints": []}
        shown = done(gateway.call("GET", "/_gateway/teams", None, caller.headers, key=""))["teams"]
        assert [one["slug"] for one in shown] == sorted(SLUGS[team] for team in caller.reach.teams)


def test_an_id_that_is_taken_is_all_that_a_put_tells(gateway: Gateway, callers: list[Caller]) -> None:
    for caller in callers:
        if caller.reach.anywhere == "m":
            for inference_id in IDS.values():
                answer = gateway.call("PUT", f"/_inference/completion/{inference_id}", ECHO, caller.headers, key="")
                facts = {
                    "type": "resource_already_exists_exception",
                    "reason": f"Inference endpoint [{inference_id}] already exists",
                }
                assert json.loads(answer.body) == {"error": {"root_cause": [facts], **facts}, "status": 400}


def test_a_new_endpoint_is_in_the_team_of_who_makes_it(gateway: Gateway, callers: list[Caller]) -> None:
    for caller in callers:
        if caller.reach.anywhere != "m":
            continue
        done(gateway.call("PUT", f"/_inference/completion/{NEVER}", ECHO, caller.headers, key=""))
        team = "" if caller.reach.shared == "m" else caller.reach.teams
        for other in callers:
            if other.kind == "user" and other.reach.anywhere != "-":
                answer = gateway.call("GET", f"/_inference/{NEVER}", None, other.headers, key="")
                assert answer.status == (404 if other.reach.of(team) == "-" else 200), (caller, other)
        done(gateway.call("DELETE", f"/_inference/{NEVER}", None, gateway.login(), key=""))
