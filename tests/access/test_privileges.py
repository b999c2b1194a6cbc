"""Which privilege grants what, and how a refusal is worded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from access.privileges import ACTIONS, KNOWN, LIMITED, TEAM_ROLES, Caller, expand, require, require_in
from wire.errors import Forbidden

GET = "cluster:monitor/xpack/inference/get"
POST = "cluster:monitor/xpack/inference/post"
PUT = "cluster:admin/xpack/inference/put"


@dataclass
class Endpoint:
    inference_id: str = "any"
    team_id: int | None = None
    enabled: bool = True


def caller(*privileges: str, **facts: object) -> Caller:
    return replace(Caller(user_id=1, username="bob", privileges=expand(privileges)), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("privilege", "may", "may_not"),
    [
        ("monitor_inference", [GET, POST], [PUT, "cluster:monitor/main"]),
        ("manage_inference", [GET, POST, PUT], ["cluster:monitor/main", "cluster:admin/xpack/security/user/put"]),
        ("monitor", [GET, POST, "cluster:monitor/main"], [PUT]),
        ("manage", [GET, POST, PUT, "cluster:monitor/main"], ["cluster:admin/xpack/security/api_key/create"]),
        ("all", list(ACTIONS), []),
        ("manage_own_api_key", ["cluster:admin/xpack/security/api_key/create"], [GET, POST]),
        ("manage_security", ["cluster:admin/xpack/security/user/put"], [GET, PUT]),
        ("none", [], list(ACTIONS)),
    ],
)
def test_a_privilege_grants_its_actions_and_no_other(privilege: str, may: list[str], may_not: list[str]) -> None:
    who = caller(privilege)
    assert [action for action in may if not who.may(action)] == []
    assert [action for action in may_not if who.may(action)] == []


@pytest.mark.parametrize(
    ("privilege", "contained"),
    [
        ("monitor_inference", set()),
        ("manage_inference", {"monitor_inference"}),
        ("monitor", {"monitor_inference"}),
        ("manage", {"monitor_inference", "manage_inference", "monitor"}),
        ("manage_own_api_key", set()),
        ("manage_api_key", {"manage_own_api_key"}),
        ("read_security", set()),
        ("manage_security", {"manage_own_api_key", "manage_api_key", "read_security"}),
        ("all", set(KNOWN)),
        ("monitor_ml", set()),
    ],
)
def test_a_privilege_contains_the_weaker_ones(privilege: str, contained: set[str]) -> None:
    assert expand([privilege]) == contained | {privilege}


def test_a_privilege_that_does_not_exist_grants_nothing() -> None:
    assert expand(["fly"]) == frozenset()


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_names_its_weakest_privilege_first(action: str) -> None:
    weakest, *stronger = ACTIONS[action]
    assert all(weakest in expand([privilege]) for privilege in stronger)
    assert set(ACTIONS[action]) <= KNOWN


def test_what_two_privileges_share_is_what_both_grant() -> None:
    both = expand(["manage_inference"]) & expand(["monitor"])
    who = replace(caller(), privileges=both)
    assert {action for action in ACTIONS if who.may(action)} == {
        action for action in ACTIONS if caller("manage_inference").may(action) and caller("monitor").may(action)
    }


@pytest.mark.parametrize(
    ("facts", "who"),
    [
        ({"roles": ("a", "b")}, "user [bob] with effective roles [a,b]"),
        ({}, "user [bob] with effective roles []"),
        (
            {"roles": ("a",), "undefined_roles": ("x", "y")},
            "user [bob] with effective roles [a] (assigned roles [x,y] were not found)",
        ),
        ({"roles": ("a",), "api_key_id": "K"}, "API key id [K] of user [bob]"),
        ({"username": "team search", "team_id": 7, "api_key_id": "K"}, "API key id [K] of [team search]"),
    ],
)
def test_a_refusal_says_who_may_not_and_who_might(facts: dict[str, object], who: str) -> None:
    with pytest.raises(Forbidden) as refused:
        require(caller("monitor_inference", **facts), PUT)
    assert refused.value.reason == (
        f"action [{PUT}] is unauthorized for {who}, "
        "this action is granted by the cluster privileges [manage_inference,manage,all]"
    )


def test_a_key_without_limits_reaches_every_endpoint() -> None:
    assert caller("monitor_inference").has_perm("access.monitor_inference", Endpoint("any"))


def test_a_limited_key_reaches_its_endpoints_only() -> None:
    who = caller("monitor_inference", inference_ids=frozenset({"mine"}))
    assert who.has_perm("access.monitor_inference", Endpoint("mine"))
    assert not who.has_perm("access.monitor_inference", Endpoint("other"))
    assert not who.has_perm("access.manage_inference", Endpoint("mine"))
    assert not who.has_perm("other.monitor_inference")


def test_a_limited_key_has_no_way_around_its_limit() -> None:
    who = replace(caller(), privileges=LIMITED)
    assert not any(who.may(action) for action in ACTIONS if "/security/" in action)


SEARCH, OTHER = 7, 8
USER, ADMIN = TEAM_ROLES["inference_user"], TEAM_ROLES["inference_admin"]


def held(who: Caller, endpoint: Endpoint) -> list[str]:
    return [name for name in ("monitor_inference", "manage_inference") if who.has_perm(f"access.{name}", endpoint)]


@pytest.mark.parametrize(
    ("who", "shared", "own", "other"),
    [
        (caller("monitor_inference"), ["monitor_inference"], [], []),
        (caller(teams={SEARCH: USER}), [], ["monitor_inference"], []),
        (caller(teams={SEARCH: ADMIN}), [], ["monitor_inference", "manage_inference"], []),
        (
            caller("monitor_inference", teams={SEARCH: ADMIN}),
            ["monitor_inference"],
            ["monitor_inference", "manage_inference"],
            [],
        ),
        (caller("manage_inference", in_all_teams=True), *[["monitor_inference", "manage_inference"]] * 3),
        # A key of somebody who manages all endpoints, narrowed: what may be done is less, where is not.
        (caller("monitor_inference", in_all_teams=True), *[["monitor_inference"]] * 3),
        (caller("all", in_all_teams=True), *[["monitor_inference", "manage_inference"]] * 3),
    ],
)
def test_a_team_is_for_its_members_and_for_those_who_manage_all(
    who: Caller, shared: list[str], own: list[str], other: list[str]
) -> None:
    assert held(who, Endpoint()) == shared
    assert held(who, Endpoint(team_id=SEARCH)) == own
    assert held(who, Endpoint(team_id=OTHER)) == other


def test_what_is_disabled_is_there_for_those_who_manage_it() -> None:
    disabled = Endpoint(enabled=False)
    assert not caller("monitor_inference").reaches(disabled)
    assert caller("manage_inference").reaches(disabled)
    of_team = Endpoint(team_id=SEARCH, enabled=False)
    assert not caller("monitor_inference", teams={SEARCH: USER}).reaches(of_team)
    assert caller(teams={SEARCH: ADMIN}).reaches(of_team)


def test_a_limit_to_endpoints_holds_in_teams() -> None:
    who = caller(teams={SEARCH: ADMIN}, inference_ids=frozenset({"mine"}))
    assert who.reaches(Endpoint("mine", SEARCH))
    assert not who.reaches(Endpoint("other", SEARCH))
    assert not who.reaches(Endpoint("mine", OTHER))
    assert not who.reaches(Endpoint("mine"))


def test_a_role_in_any_team_is_enough_until_the_endpoint_is_known() -> None:
    who = caller("monitor_inference", teams={SEARCH: ADMIN})
    assert who.may(PUT)
    assert who.has_perm("access.manage_inference")
    require(who, PUT, Endpoint(team_id=SEARCH))
    require_in(who, PUT, SEARCH)
    with pytest.raises(Forbidden):
        require(who, PUT, Endpoint())
    with pytest.raises(Forbidden):
        require_in(who, PUT, OTHER)


def test_a_role_in_a_team_grants_nothing_beyond_inference() -> None:
    who = caller(teams={SEARCH: ADMIN})
    beyond = [action for action in ACTIONS if who.may(action) and "/inference/" not in action]
    assert beyond == [
        action for action in ACTIONS if "/gateway/team/" in action and "manage_security" not in ACTIONS[action][0]
    ]
