"""`/_security/api_key`."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from access import keys
from access.models import ApiKey, User
from tests.access.conftest import Call, new_key

URL = "/_security/api_key"
MONITOR = {"r": {"cluster": ["monitor_inference"], "indices": [], "applications": []}}
EMPTY: dict[str, Any] = {"r": {"cluster": [], "indices": [], "applications": []}}
INVALIDATED = ("invalidated_api_keys", "previously_invalidated_api_keys", "error_count")
pytestmark = pytest.mark.django_db


def privileges(call: Call, key: str, *names: str) -> list[str]:
    answer = call("POST", "/_security/user/_has_privileges", {"cluster": list(names)}, key=key).json()
    return [name for name, held in answer["cluster"].items() if held]


def ids(response: Any) -> list[str]:
    return [key["id"] for key in response.json()["api_keys"]]


def invalidated(response: Any) -> tuple[Any, ...]:
    return tuple(response.json()[name] for name in INVALIDATED)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("name", ["root", "ada", "bob", "norman"])
def test_everyone_may_create_a_key_of_his_own(users: dict[str, User], call: Call, name: str, method: str) -> None:
    response = call(method, f"{URL}/", {"name": "app"}, user=name)
    created = response.json()
    assert response.status_code == 200
    assert list(created) == ["id", "name", "api_key", "encoded"]
    assert base64.b64decode(created["encoded"]).decode() == f"{created['id']}:{created['api_key']}"
    assert (len(created["id"]), created["name"]) == (20, "app")
    assert call("GET", "/_security/_authenticate", key=created["encoded"]).json()["username"] == name


def test_the_secret_is_not_stored(users: dict[str, User], call: Call) -> None:
    secret = call("POST", URL, {"name": "app"}, user="bob").json()["api_key"]
    row = ApiKey.objects.values().get()
    assert secret not in str(row)
    assert row["last_four"] == secret[-4:]
    assert bytes(row["digest"]) == keys.digest(secret.encode())


def test_an_expiration_is_answered_in_milliseconds(users: dict[str, User], call: Call) -> None:
    response = call("POST", URL, {"name": "app", "expiration": "1d"}, user="bob")
    tomorrow = (timezone.now() + timedelta(days=1)).timestamp() * 1000
    assert list(response.json()) == ["id", "name", "expiration", "api_key", "encoded"]
    assert tomorrow - 60_000 < response.json()["expiration"] <= tomorrow


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "1: api key name is required;"),
        ({"name": ""}, "1: api key name is required;"),
        ({"name": "x" * 257}, "1: api key name may not be more than 256 characters long;"),
        ({"name": " x"}, "1: api key name may not begin or end with whitespace;"),
        (
            {"name": "_x", "metadata": {"_a": 1}},
            "1: api key name may not begin with an underscore;2: API key metadata keys may not start with [_];",
        ),
    ],
)
def test_all_problems_of_a_new_key_are_named(
    users: dict[str, User], call: Call, body: dict[str, Any], reason: str
) -> None:
    response = call("POST", URL, body, user="bob")
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "action_request_validation_exception")
    assert error["reason"] == f"Validation Failed: {reason}"
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"nam":"x"}', "[1:2] [api_key_request] unknown field [nam] did you mean [name]?"),
        (b'{"name":1}', "[1:9] [api_key_request] name doesn't support values of type: VALUE_NUMBER"),
        (b'{"name":null}', "[1:9] [api_key_request] name doesn't support values of type: VALUE_NULL"),
        (b"[]", "[1:1] [api_key_request] Expected START_OBJECT but was: START_ARRAY"),
        (b'{"name":"x","expiration":"1"}', "[1:26] [api_key_request] failed to parse field [expiration]"),
        (b'{"name":"x","expiration":"-1"}', "[1:26] [api_key_request] failed to parse field [expiration]"),
        (
            b'{"name":"x","role_descriptors":{"r":1}}',
            "[1:32] [api_key_request] failed to parse field [role_descriptors]",
        ),
        (b'{"name":"\xff"}', None),
        (b"{", None),
        (b'{"name":"a\\u0000b"}', None),
    ],
)
def test_a_malformed_body_is_400(users: dict[str, User], call: Call, body: bytes, reason: str | None) -> None:
    response = call("POST", URL, body, user="bob")
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "x_content_parse_exception")
    assert reason is None or error["reason"] == reason


@pytest.mark.parametrize(
    ("descriptors", "cause"),
    [
        ({"r": {"clusters": []}}, "failed to parse role [r]. unexpected field [clusters]"),
        ({"r": {"cluster": "all"}}, "failed to parse role [r]. field [cluster] does not take [VALUE_STRING]"),
        ({"r": {"cluster": [1]}}, "failed to parse role [r]. field [cluster] takes an array of strings"),
        ({"r": {"restriction": {"workflows": []}}}, "failed to parse role [r]. unexpected field [restriction]"),
        ({"r": []}, "failed to parse role [r]. expected an object but found [START_ARRAY] instead"),
    ],
)
def test_a_malformed_role_descriptor_is_400(
    users: dict[str, User], call: Call, descriptors: dict[str, Any], cause: str
) -> None:
    response = call("POST", URL, {"name": "x", "role_descriptors": descriptors}, user="bob")
    assert response.status_code == 400
    assert response.json()["error"]["root_cause"] == [{"type": "parse_exception", "reason": cause}]


def test_an_unknown_privilege_is_400(users: dict[str, User], call: Call) -> None:
    body = {"name": "x", "role_descriptors": {"r": {"cluster": ["monitor_inferenc"]}}}
    response = call("POST", URL, body, user="bob")
    assert response.status_code == 400
    assert response.json()["error"]["reason"].startswith(
        "Validation Failed: 1: unknown cluster privilege [monitor_inferenc]. a privilege must be one of the predefined"
    )


@pytest.mark.parametrize("value", ["true", "false", "wait_for", ""])
def test_refresh_is_accepted(users: dict[str, User], call: Call, value: str) -> None:
    assert call("POST", f"{URL}?refresh={value}", {"name": "x"}, user="bob").status_code == 200


def test_another_refresh_is_400(users: dict[str, User], call: Call) -> None:
    response = call("POST", f"{URL}?refresh=now", {"name": "x"}, user="bob")
    assert response.json()["error"]["reason"] == "Unknown value for refresh: [now]."


def test_without_descriptors_a_key_may_what_its_owner_may(users: dict[str, User], call: Call) -> None:
    key = call("POST", URL, {"name": "x"}, user="ada").json()["encoded"]
    assert privileges(call, key, "monitor_inference", "manage_inference", "all") == [
        "manage_inference", "monitor_inference",
    ]  # fmt: skip


def test_descriptors_narrow_a_key(users: dict[str, User], call: Call) -> None:
    key = call("POST", URL, {"name": "x", "role_descriptors": MONITOR}, user="ada").json()["encoded"]
    assert privileges(call, key, "monitor_inference", "manage_inference") == ["monitor_inference"]


def test_descriptors_never_widen_a_key(users: dict[str, User], call: Call) -> None:
    everything = {"r": {"cluster": ["all"]}}
    key = call("POST", URL, {"name": "x", "role_descriptors": everything}, user="bob").json()["encoded"]
    held = privileges(call, key, "monitor_inference", "manage_inference", "monitor", "manage_security", "all")
    assert held == ["monitor_inference"]


def test_an_empty_descriptor_grants_nothing(users: dict[str, User], call: Call) -> None:
    key = call("POST", URL, {"name": "x", "role_descriptors": EMPTY}, user="root").json()["encoded"]
    assert privileges(call, key, "monitor_inference", "manage_own_api_key") == []


def test_a_role_that_is_taken_from_the_owner_is_taken_from_his_keys(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    assert privileges(call, key, "monitor_inference") == ["monitor_inference"]
    users["bob"].groups.clear()
    assert privileges(call, key, "monitor_inference") == []


def test_a_privilege_that_is_taken_from_the_role_is_taken_from_the_keys(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    Group.objects.get(name="inference_user").permissions.clear()
    assert privileges(call, key, "monitor_inference") == []


@pytest.mark.parametrize("descriptors", [None, {}, MONITOR])
def test_a_key_can_only_make_a_key_without_rights(
    users: dict[str, User], call: Call, descriptors: dict[str, Any] | None
) -> None:
    body = {"name": "x"} | ({} if descriptors is None else {"role_descriptors": descriptors})
    response = call("POST", URL, body, key=new_key(users["root"]))
    assert response.status_code == 400
    assert response.json()["error"]["root_cause"] == [
        {
            "type": "illegal_argument_exception",
            "reason": "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
        }
    ]


def test_a_key_may_make_a_key_without_rights(users: dict[str, User], call: Call) -> None:
    response = call("POST", URL, {"name": "x", "role_descriptors": EMPTY}, key=new_key(users["bob"]))
    assert response.status_code == 200
    assert privileges(call, response.json()["encoded"], "monitor_inference") == []


def test_a_narrowed_key_may_not_make_keys(users: dict[str, User], call: Call) -> None:
    key = call("POST", URL, {"name": "x", "role_descriptors": MONITOR}, user="bob").json()
    response = call("POST", URL, {"name": "y", "role_descriptors": EMPTY}, key=key["encoded"])
    assert response.status_code == 403
    assert response.json()["error"]["reason"] == (
        "action [cluster:admin/xpack/security/api_key/create] is unauthorized for API key id "
        f"[{key['id']}] of user [bob], this action is granted by the cluster privileges "
        "[manage_own_api_key,manage_api_key,manage_security,all]"
    )


def test_a_limited_key_may_neither_make_keys_nor_users(users: dict[str, User], call: Call) -> None:
    key = new_key(users["root"], inference_ids=["mine"])
    assert call("POST", URL, {"name": "y", "role_descriptors": EMPTY}, key=key).status_code == 403
    assert call("PUT", "/_security/user/eve", {"password": "secret", "roles": []}, key=key).status_code == 403
    assert privileges(call, key, "monitor_inference", "manage_inference", "all") == [
        "manage_inference", "monitor_inference",
    ]  # fmt: skip


def test_a_key_is_listed_with_all_but_its_secret(users: dict[str, User], call: Call) -> None:
    body = {"name": "app", "expiration": "1h", "role_descriptors": MONITOR, "metadata": {"team": "search"}}
    created = call("POST", URL, body, user="bob").json()
    (listed,) = call("GET", f"{URL}?id={created['id']}", user="bob").json()["api_keys"]
    creation = listed.pop("creation")
    assert listed == {
        "id": created["id"],
        "name": "app",
        "type": "rest",
        "expiration": created["expiration"],
        "invalidated": False,
        "username": "bob",
        "realm": "native1",
        "realm_type": "native",
        "metadata": {"team": "search"},
        "role_descriptors": {
            "r": {
                "cluster": ["monitor_inference"],
                "indices": [],
                "applications": [],
                "run_as": [],
                "metadata": {},
                "transient_metadata": {"enabled": True},
            }
        },
    }
    assert abs(creation + 3_600_000 - created["expiration"]) < 5000


def test_everyone_sees_his_own_keys_and_a_superuser_all(users: dict[str, User], call: Call) -> None:
    for user in users.values():
        new_key(user)
    for name in ("ada", "bob", "norman"):
        assert [key["username"] for key in call("GET", URL, user=name).json()["api_keys"]] == [name]
    assert len(ids(call("GET", URL, user="root"))) == 4
    assert len(ids(call("GET", f"{URL}?owner=true", user="root"))) == 1


def test_another_users_key_is_not_found(users: dict[str, User], call: Call) -> None:
    new_key(users["ada"])
    response = call("GET", f"{URL}?id={ApiKey.objects.get().id}", user="bob")
    assert (response.status_code, response.json()) == (404, {"api_keys": []})


def test_a_key_sees_itself_only(users: dict[str, User], call: Call) -> None:
    new_key(users["bob"])
    key = new_key(users["bob"])
    assert ids(call("GET", URL, key=key)) == [base64.b64decode(key).decode().partition(":")[0]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=app-1", ["app-1"]),
        ("name=app*", ["app-1", "app-2"]),
        ("name=*", ["app-1", "app-2", "App-3", "gone", "old"]),
        ("name=a_p*", []),
        ("name=none", []),
        ("name=%00", []),
        ("username=bob", ["app-1", "app-2", "App-3", "gone", "old"]),
        ("username=ada", []),
        ("realm_name=native1", ["app-1", "app-2", "App-3", "gone", "old"]),
        ("realm_name=file", []),
        ("owner=true&active_only", ["app-1", "app-2", "App-3"]),
        ("active_only=false&with_profile_uid", ["app-1", "app-2", "App-3", "gone", "old"]),
    ],
)
def test_keys_are_filtered(users: dict[str, User], call: Call, query: str, names: list[str]) -> None:
    past = timezone.now() - timedelta(seconds=1)
    for name in ("app-1", "app-2", "App-3", "gone", "old"):
        key = keys.create(owner_id=users["bob"].pk, name=name, expires_at=past if name == "old" else None).key
        if name == "gone":
            keys.invalidate(ApiKey.objects.filter(id=key.id))
    response = call("GET", f"{URL}?{query}", user="bob")
    assert response.status_code == 200
    assert [key["name"] for key in response.json()["api_keys"]] == names


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (
            "id=a&username=b",
            "1: username or realm name must not be specified when the api key id or api key name is specified;",
        ),
        (
            "owner=true&realm_name=b",
            "1: neither username nor realm-name may be specified when retrieving owned API keys;",
        ),
        ("id=a&name=b", "1: only one of [api key id, api key name] can be specified;"),
    ],
)
def test_filters_that_exclude_each_other_are_400(users: dict[str, User], call: Call, query: str, reason: str) -> None:
    response = call("GET", f"{URL}?{query}", user="bob")
    assert (response.status_code, response.json()["error"]["reason"]) == (400, f"Validation Failed: {reason}")


def test_a_listing_says_what_limits_a_key(users: dict[str, User], call: Call) -> None:
    new_key(users["ada"])
    (listed,) = call("GET", f"{URL}?with_limited_by=true", user="ada").json()["api_keys"]
    ((name, descriptor),) = listed["limited_by"][0].items()
    assert (name, sorted(descriptor["cluster"])) == ("inference_admin", ["manage_inference", "monitor_inference"])


@pytest.mark.parametrize("form", ["ids", "id", "name", "username", "realm_name", "owner"])
def test_keys_are_invalidated_in_every_form(users: dict[str, User], call: Call, form: str) -> None:
    key = new_key(users["bob"])
    key_id = ApiKey.objects.get().id
    value = {"ids": [key_id], "id": key_id, "name": "test", "username": "bob", "realm_name": "native1", "owner": True}
    assert invalidated(call("DELETE", URL, {form: value[form]}, user="bob")) == ([key_id], [], 0)
    assert call("GET", "/_security/_authenticate", key=key).status_code == 401
    assert invalidated(call("DELETE", URL, {form: value[form]}, user="bob")) == ([], [key_id], 0)
    (listed,) = call("GET", f"{URL}?id={key_id}", user="bob").json()["api_keys"]
    assert listed["invalidated"]
    assert listed["invalidation"] >= listed["creation"]


@pytest.mark.parametrize("body", [{"owner": True}, {"name": "test"}, {"username": "ada"}, {"realm_name": "native1"}])
def test_nobody_invalidates_the_keys_of_others(users: dict[str, User], call: Call, body: dict[str, Any]) -> None:
    key = new_key(users["ada"])
    body = body | {"ids": [ApiKey.objects.get().id]} if body == {"owner": True} else body
    assert invalidated(call("DELETE", URL, body, user="bob")) == ([], [], 0)
    assert call("GET", "/_security/_authenticate", key=key).status_code == 200


def test_a_superuser_invalidates_the_keys_of_others(users: dict[str, User], call: Call) -> None:
    key = new_key(users["ada"])
    call("DELETE", URL, {"username": "ada"}, user="root")
    assert call("GET", "/_security/_authenticate", key=key).status_code == 401


def test_an_unknown_id_is_no_error(users: dict[str, User], call: Call) -> None:
    response = call("DELETE", URL, {"ids": ["nope"]}, user="bob")
    assert (response.status_code, invalidated(response)) == (200, ([], [], 0))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            {},
            "Validation Failed: 1: One of [api key id(s), api key name, username, realm name] must be specified if "
            "[owner] flag is false;",
        ),
        ({"ids": []}, "Validation Failed: 1: Field [ids] cannot be an empty array;"),
        ({"ids": ["a"] * 1001}, "Validation Failed: 1: Field [ids] takes at most [1000] ids, but got [1001];"),
        ({"id": "a", "ids": ["b"]}, "Must use either [id] or [ids], not both at the same time"),
        ({"ids": [1]}, "[1:9] [invalidate_api_key] failed to parse field [ids]"),
        ({"nam": "a"}, "[1:2] [invalidate_api_key] unknown field [nam] did you mean [name]?"),
        (
            {"ids": ["a"], "name": "b", "username": "c", "owner": True},
            "Validation Failed: 1: username or realm name must not be specified when the api key id(s) or api key name "
            "are specified;2: neither username nor realm-name may be specified when invalidating owned API keys;"
            "3: only one of [api key id(s), api key name] can be specified;",
        ),
    ],
)
def test_a_wrong_invalidation_is_400(users: dict[str, User], call: Call, body: dict[str, Any], reason: str) -> None:
    response = call("DELETE", URL, body, user="bob")
    assert (response.status_code, response.json()["error"]["reason"]) == (400, reason)
