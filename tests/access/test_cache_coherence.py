"""What is remembered of callers, and that every change ends it at once in the process that makes it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from datetime import timedelta
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import authentication, cache, keys
from access.authentication import authenticate
from access.key_ids import new_key_id
from access.models import ApiKey, ConfigVersion, User
from access.privileges import Caller
from tests.access.conftest import Call, basic, new_key
from wire.errors import ApiError

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


async def who(header: str) -> Caller | int:
    """Return the caller that `header` stands for, or the status of the refusal."""
    try:
        return await authenticate(RequestFactory().get("/", HTTP_AUTHORIZATION=header))
    except ApiError as error:
        return error.status


async def stored(change: Callable[[], object]) -> None:
    await sync_to_async(change)()


@pytest.mark.parametrize("by", ["key", "password"])
async def test_a_warm_caller_costs_no_query_and_no_thread(
    users: dict[str, User], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await sync_to_async(new_key)(users["bob"])
    header = f"ApiKey {key}" if by == "key" else basic("bob")
    first = await who(header)
    assert isinstance(first, Caller)
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", None)
    monkeypatch.setattr("access.passwords.check_password", None)
    assert await who(header) is first


def make_key_useless(kind: str, key: ApiKey) -> Callable[[], object]:
    bob = key.owner
    assert bob is not None
    changes: dict[str, Callable[[], object]] = {
        "invalidated": lambda: keys.invalidate(ApiKey.objects.filter(id=key.id)),
        "deleted": key.delete,
        "owner deleted": bob.delete,
        "owner disabled": lambda: disable(bob),
    }
    return changes[kind]


def disable(user: User) -> None:
    user.is_active = False
    user.save()


@pytest.mark.parametrize("kind", ["invalidated", "deleted", "owner deleted", "owner disabled"])
async def test_a_useless_key_is_refused_at_once(users: dict[str, User], kind: str) -> None:
    header = f"ApiKey {await sync_to_async(new_key)(users['bob'])}"
    assert isinstance(await who(header), Caller)
    key = await sync_to_async(ApiKey.objects.select_related("owner").get)()
    await stored(make_key_useless(kind, key))
    assert await who(header) == 401


async def test_a_remembered_key_expires(users: dict[str, User]) -> None:
    soon = timezone.now() + timedelta(seconds=0.3)
    header = f"ApiKey {await sync_to_async(new_key)(users['bob'], expires_at=soon)}"
    assert isinstance(await who(header), Caller)
    await asyncio.sleep(0.35)
    assert await who(header) == 401


async def test_a_key_that_was_unknown_is_let_in_once_it_exists(users: dict[str, User]) -> None:
    issued = keys.give_secret(ApiKey(name="x", owner=users["bob"]))
    assert await who(f"ApiKey {issued.encoded}") == 401
    await stored(issued.key.save)
    assert isinstance(await who(f"ApiKey {issued.encoded}"), Caller)


def test_a_key_that_somebody_made_up_costs_no_query_at_any_door(users: dict[str, User], call: Call) -> None:
    made_up = [secrets.token_urlsafe(15) for _ in range(20)] + ["nope", "ä", "=" * 20, "a" * 20]
    with CaptureQueriesContext(connections["default"]) as queries:
        for key_id in made_up:
            assert call("GET", "/_security/_authenticate", header=key_header(key_id)).status_code == 401
            assert async_to_sync(who)(key_header(key_id)) == 401
    assert len(queries) == 0
    assert all(authentication.known_keys.peek(key_id) is cache.MISSING for key_id in made_up)


async def test_a_key_that_is_no_more_is_looked_up_once_however_often_it_comes(
    users: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Mock(wraps=authentication._load_key)
    monkeypatch.setattr(authentication, "_load_key", load)
    gone = key_header(new_key_id())
    assert [await who(gone) for _ in range(3)] == [401] * 3
    assert load.call_count == 1


def key_header(key_id: str) -> str:
    return "ApiKey " + base64.b64encode(f"{key_id}:secret".encode()).decode()


@pytest.mark.parametrize("kind", ["role", "permission", "own permission"])
async def test_a_right_that_is_taken_is_gone_at_once(users: dict[str, User], kind: str) -> None:
    bob = users["bob"]
    role = await sync_to_async(Group.objects.get)(name="inference_user")
    permission = await sync_to_async(Permission.objects.get)(codename="monitor_inference")
    if kind == "own permission":
        await stored(bob.groups.clear)
        await stored(lambda: bob.user_permissions.add(permission))
    header = basic("bob")
    caller = await who(header)
    assert isinstance(caller, Caller)
    assert caller.has_perm("access.monitor_inference")
    taken: dict[str, Callable[[], object]] = {
        "role": lambda: bob.groups.remove(role),
        "permission": lambda: role.permissions.remove(permission),
        "own permission": lambda: bob.user_permissions.clear(),
    }
    await stored(taken[kind])
    caller = await who(header)
    assert isinstance(caller, Caller)
    assert not caller.has_perm("access.monitor_inference")


async def test_a_changed_password_ends_the_old_one_at_once(users: dict[str, User]) -> None:
    assert isinstance(await who(basic("bob")), Caller)
    bob = users["bob"]
    bob.set_password("another")
    await stored(bob.save)
    assert await who(basic("bob")) == 401
    assert isinstance(await who(basic("bob", "another")), Caller)


async def test_other_changes_do_not_make_anyone_hash_again(
    users: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(await who(basic("bob")), Caller)
    await stored(users["ada"].save)
    monkeypatch.setattr("access.passwords.check_password", None)
    assert isinstance(await who(basic("bob")), Caller)


def test_a_login_to_the_admin_is_no_news(users: dict[str, User]) -> None:
    before = ConfigVersion.objects.get().number
    users["root"].save(update_fields=["last_login"])
    assert ConfigVersion.objects.get().number == before
    users["root"].save(update_fields=["is_active"])
    assert ConfigVersion.objects.get().number == before + 1


def test_a_change_that_is_rolled_back_is_not_remembered(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    with transaction.atomic():
        users["bob"].groups.clear()
        assert call("GET", "/_security/_authenticate", key=key).status_code == 200
        transaction.set_rollback(True)
    answer = call("POST", "/_security/user/_has_privileges", {"cluster": ["monitor_inference"]}, key=key).json()
    assert answer["has_all_requested"] is True


def test_the_same_caller_is_remembered_for_both_doors(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    call("GET", "/_security/_authenticate", key=key)
    with CaptureQueriesContext(connections["default"]) as queries:
        assert call("GET", "/_security/_authenticate", key=key).status_code == 200
    assert len(queries) == 0
