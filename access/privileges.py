"""Who may do what: Elasticsearch's actions and privileges as data, and the caller they are asked of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from wire.errors import BadRequest, Forbidden

_MONITOR = ("monitor", "manage", "all")
_MONITOR_INFERENCE = ("monitor_inference", "manage_inference", "monitor", "manage", "all")
_MANAGE_INFERENCE = ("manage_inference", "manage", "all")
_MANAGE_OWN_API_KEY = ("manage_own_api_key", "manage_api_key", "manage_security", "all")
_MANAGE_SECURITY = ("manage_security", "all")
_READ_SECURITY = ("read_security", "manage_security", "all")

ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "cluster:monitor/main": _MONITOR,
    "cluster:monitor/prometheus/metrics": _MONITOR,
    "cluster:monitor/xpack/inference/get": _MONITOR_INFERENCE,
    "cluster:monitor/xpack/inference/post": _MONITOR_INFERENCE,
    "cluster:monitor/xpack/inference/services/get": _MONITOR_INFERENCE,
    "cluster:admin/xpack/inference/put": _MANAGE_INFERENCE,
    "cluster:admin/xpack/inference/update": _MANAGE_INFERENCE,
    "cluster:admin/xpack/inference/delete": _MANAGE_INFERENCE,
    "cluster:admin/xpack/security/api_key/create": _MANAGE_OWN_API_KEY,
    "cluster:admin/xpack/security/api_key/get": _MANAGE_OWN_API_KEY,
    "cluster:admin/xpack/security/api_key/invalidate": _MANAGE_OWN_API_KEY,
    "cluster:admin/xpack/security/user/get": _READ_SECURITY,
    "cluster:admin/xpack/security/user/put": _MANAGE_SECURITY,
    "cluster:admin/xpack/security/user/delete": _MANAGE_SECURITY,
    "cluster:admin/xpack/security/user/change_password": _MANAGE_SECURITY,
    # Elasticsearch has no teams.
    "cluster:monitor/gateway/team/get": _MONITOR_INFERENCE,
    "cluster:admin/gateway/team/put": _MANAGE_SECURITY,
    "cluster:admin/gateway/team/delete": _MANAGE_SECURITY,
    "cluster:admin/gateway/team/member/get": _MANAGE_INFERENCE,
    "cluster:admin/gateway/team/member/put": _MANAGE_SECURITY,
    "cluster:admin/gateway/team/member/delete": _MANAGE_SECURITY,
    "cluster:admin/gateway/team/api_key/create": _MANAGE_INFERENCE,
    "cluster:admin/gateway/team/api_key/get": _MANAGE_INFERENCE,
    "cluster:admin/gateway/team/api_key/invalidate": _MANAGE_INFERENCE,
}
"""Each action with the privileges that grant it, weakest first, as messages name them."""

# What an administrator hands out in Django, by groups or directly; the other privileges follow from `superuser`.
PERMISSIONS: Final = {
    "monitor_inference": "Can use inference endpoints",
    "manage_inference": "Can use and manage inference endpoints",
}
SUPERUSER: Final = "superuser"

# Names that Elasticsearch knows. Roles and checks may name them all; here only those in ACTIONS have an effect.
KNOWN: Final = frozenset(
    """
    all cancel_task create_snapshot cross_cluster_replication cross_cluster_search delegate_pki grant_api_key manage
    manage_api_key manage_autoscaling manage_behavioral_analytics manage_ccr manage_connector
    manage_data_frame_transforms manage_data_stream_global_retention manage_enrich manage_esql manage_ilm
    manage_index_templates manage_inference manage_ingest_pipelines manage_logstash_pipelines manage_ml manage_oidc
    manage_own_api_key manage_pipeline manage_rollup manage_saml manage_search_application
    manage_search_query_rules manage_search_synonyms manage_security manage_service_account manage_slm manage_token
    manage_transform manage_user_profile manage_watcher monitor monitor_connector monitor_data_frame_transforms
    monitor_data_stream_global_retention monitor_enrich monitor_esql monitor_inference monitor_ml monitor_rollup
    monitor_snapshot monitor_stats monitor_text_structure monitor_transform monitor_watcher none
    post_behavioral_analytics_event read_ccr read_connector_secrets read_fleet_secrets read_ilm read_pipeline
    read_project_routing read_security read_slm transport_client write_connector_secrets write_fleet_secrets
    """.split()  # noqa: SIM905 (as a list it would take a screen)
)


def _contained(privilege: str) -> frozenset[str]:
    """A privilege contains another when it stands behind it, as the stronger one, wherever the other stands."""
    if privilege == "all":
        return KNOWN
    granting = {name for names in ACTIONS.values() for name in names}
    contained = {
        other
        for other in granting
        if all(privilege in names[names.index(other) :] for names in ACTIONS.values() if other in names)
    }
    return frozenset(contained | {privilege})


_CONTAINED: Final = {privilege: _contained(privilege) for privilege in KNOWN}


def expand(privileges: Iterable[str]) -> frozenset[str]:
    """Return `privileges` with all that they contain; what two expanded sets share is what both grant."""
    return frozenset().union(*(_CONTAINED.get(privilege, frozenset()) for privilege in privileges))


# A key that is limited to endpoints is for inference alone: with more it could make itself one without that limit.
LIMITED: Final = expand(["manage_inference"])


def unknown(privilege: str) -> BadRequest:
    """Return the error for a cluster privilege that does not exist."""
    names = ",".join(sorted(KNOWN))
    return BadRequest(
        f"unknown cluster privilege [{privilege[:100]}]. a privilege must be one of the predefined cluster "
        f"privilege names [{names}]"
    )


TEAM_ROLES: Final = {
    "inference_user": expand(["monitor_inference"]),
    "inference_admin": expand(["manage_inference"]),
}
"""What a member may do with the endpoints of the team, by his role in it."""
_NOTHING: Final[frozenset[str]] = frozenset()


class Reachable(Protocol):
    """An endpoint, as far as access is concerned. Without a team it is shared; disabled, it is its managers' alone."""

    @property
    def inference_id(self) -> str: ...

    @property
    def team_id(self) -> int | None: ...

    @property
    def enabled(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Caller:
    """Who sent a request, and what they may do.

    `privileges` are expanded and hold everywhere but in teams, where those in `teams` do, by the team's id; with
    `in_all_teams` they hold there too, since the user, and not only a key of his, manages all endpoints.
    `inference_ids` are the endpoints that an API key is limited to; none: no limit. `team_id` is the team that an API
    key belongs to; such a key has no user, and `user_id` is 0.
    """

    user_id: int
    username: str
    roles: tuple[str, ...] = ()
    undefined_roles: tuple[str, ...] = ()
    privileges: frozenset[str] = frozenset()
    full_name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    api_key_id: str | None = None
    api_key_name: str | None = None
    inference_ids: frozenset[str] = frozenset()
    teams: Mapping[int, frozenset[str]] = field(default_factory=dict)
    in_all_teams: bool = False
    team_id: int | None = None

    def may(self, action: str) -> bool:
        """Return whether the caller may do `action` anywhere; where it is about an endpoint, that decides."""
        granting = ACTIONS[action]
        return not self.privileges.isdisjoint(granting) or any(
            not privileges.isdisjoint(granting) for privileges in self.teams.values()
        )

    def holds(self, privilege: str) -> bool:
        """Return whether the caller has `privilege` anywhere: for all endpoints, or for those of a team."""
        return privilege in self.privileges or any(privilege in held for held in self.teams.values())

    def has_perm(self, perm: str, endpoint: Reachable | None = None) -> bool:
        """Return whether the caller has `access.<privilege>`: for `endpoint`, or for any that there might be.

        The one rule of who may do what with which endpoint: a shared one is for those who hold the privilege
        everywhere, that of a team for its members by their role in it, and for those who manage all endpoints.
        One that is disabled is for those who manage it. `access.teams.reachable` says the same to a database.
        """
        app_label, _, privilege = perm.partition(".")
        if app_label != "access":
            return False
        return self.holds(privilege) if endpoint is None else privilege in self.held_for(endpoint)

    def reaches(self, endpoint: Reachable) -> bool:
        """Return whether `endpoint` exists for the caller at all."""
        return "monitor_inference" in self.held_for(endpoint)

    def held_in(self, team_id: int | None) -> frozenset[str]:
        """Return the privileges that count for what belongs to a team, or, without one, to all."""
        if team_id is None or self.in_all_teams:
            return self.privileges
        return self.teams.get(team_id, _NOTHING)

    def held_for(self, endpoint: Reachable) -> frozenset[str]:
        """Return the privileges that count for `endpoint`; none where it does not exist for the caller."""
        if self.inference_ids and endpoint.inference_id not in self.inference_ids:
            return _NOTHING
        held = self.held_in(endpoint.team_id)
        return held if endpoint.enabled or "manage_inference" in held else _NOTHING


def require(caller: Caller, action: str, endpoint: Reachable | None = None) -> None:
    """Raise Forbidden, in Elasticsearch's words, unless `caller` may do `action`, with `endpoint` if it is given."""
    allowed = caller.may(action) if endpoint is None else not caller.held_for(endpoint).isdisjoint(ACTIONS[action])
    if not allowed:
        raise _refusal(caller, action)


def require_in(caller: Caller, action: str, team_id: int) -> None:
    """Raise Forbidden unless `caller` may do `action` in the team, by his role in it or since he may in all."""
    if caller.held_in(team_id).isdisjoint(ACTIONS[action]):
        raise _refusal(caller, action)


def _refusal(caller: Caller, action: str) -> Forbidden:
    return Forbidden(
        f"action [{action}] is unauthorized for {_description(caller)}, "
        f"this action is granted by the cluster privileges [{','.join(ACTIONS[action])}]"
    )


def _description(caller: Caller) -> str:
    if caller.team_id is not None:
        return f"API key id [{caller.api_key_id}] of [{caller.username}]"
    if caller.api_key_id is not None:
        return f"API key id [{caller.api_key_id}] of user [{caller.username}]"
    text = f"user [{caller.username}] with effective roles [{','.join(caller.roles)}]"
    if caller.undefined_roles:
        text += f" (assigned roles [{','.join(caller.undefined_roles)}] were not found)"
    return text
