"""Who is let in, and in which words the others are refused."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access import keys
from access.authentication import Account, KnownKey
from access.credentials import read
from access.models import ApiKey, User
from tests.access.conftest import PASSWORD, Call, basic, new_key

WHO = "/_security/_authenticate"
CHALLENGES = ['Basic realm="security", charset="UTF-8"', 'Bearer realm="security"', "ApiKey"]
KEY_REFUSED = "unable to authenticate with provided credentials and anonymous access is not allowed for this request"
pytestmark = pytest.mark.django_db


def unauthorized(reason: str, detail: str = "") -> dict[str, object]:
    facts: dict[str, object] = {"type": "security_exception", "reason": reason}
    if detail:
        facts["additional_unsuccessful_credentials"] = detail
    facts["header"] = {"WWW-Authenticate": CHALLENGES}
    return {"error": {"root_cause": [facts], **facts}, "status": 401}


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_without_credentials_the_answer_names_the_request(call: Call) -> None:
    response = call("GET", f"{WHO}?pretty=false")
    assert response.status_code == 401
    assert response.content == (
        b'{"error":{"root_cause":[{"type":"security_exception","reason":"missing authentication credentials for REST '
        b'request [/_security/_authenticate?pretty=false]","header":{"WWW-Authenticate":["Basic realm=\\"security\\", '
        b'charset=\\"UTF-8\\"","Bearer realm=\\"security\\"","ApiKey"]}}],"type":"security_exception","reason":"missing '
        b'authentication credentials for REST request [/_security/_authenticate?pretty=false]","header":{'
        b'"WWW-Authenticate":["Basic realm=\\"security\\", charset=\\"UTF-8\\"","Bearer realm=\\"security\\"","ApiKey"]}},'
        b'"status":401}'
    )
    lines = [value for name, value in response.items() if name == "WWW-Authenticate"]
    assert lines == CHALLENGES


@pytest.mark.parametrize("header", ["Basic", "Digest x", "", " ", "Negotiate YII=", "foo"])
def test_another_scheme_counts_as_no_credentials(call: Call, header: str) -> None:
    response = call("GET", WHO, header=header)
    reason = f"missing authentication credentials for REST request [{WHO}]"
    if header == "Basic":
        reason = "invalid basic authentication header value"
    assert (response.status_code, response.json()) == (401, unauthorized(reason))


@pytest.mark.parametrize("scheme", ["Basic", "BASIC", "basic"])
def test_a_user_is_let_in_by_password(users: dict[str, User], call: Call, scheme: str) -> None:
    response = call("GET", WHO, header=basic("bob").replace("Basic", scheme))
    realm = {"name": "native1", "type": "native"}
    assert response.json() == {
        "username": "bob",
        "roles": ["inference_user"],
        "full_name": None,
        "email": None,
        "metadata": {},
        "enabled": True,
        "authentication_realm": realm,
        "lookup_realm": realm,
        "authentication_type": "realm",
    }


@pytest.mark.parametrize("scheme", ["ApiKey", "apikey", "Bearer", "BEARER"])
def test_a_key_is_let_in_by_both_schemes(users: dict[str, User], call: Call, scheme: str) -> None:
    key = new_key(users["bob"])
    response = call("GET", WHO, header=f"{scheme} {key}")
    realm = {"name": "_es_api_key", "type": "_es_api_key"}
    assert response.json() == {
        "username": "bob",
        "roles": [],
        "full_name": None,
        "email": None,
        "metadata": {},
        "enabled": True,
        "authentication_realm": realm,
        "lookup_realm": realm,
        "authentication_type": "api_key",
        "api_key": {"id": ApiKey.objects.get().id, "name": "test", "managed_by": "elasticsearch"},
    }


@pytest.mark.parametrize("username", ["bob", "nobody"])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(
    users: dict[str, User], call: Call, username: str
) -> None:
    response = call("GET", WHO, header=basic(username, "wrong"))
    reason = f"unable to authenticate user [{username}] for REST request [{WHO}]"
    assert (response.status_code, response.json()) == (401, unauthorized(reason))


def test_a_disabled_user_and_his_keys_are_refused(users: dict[str, User], call: Call) -> None:
    bob = users["bob"]
    key = new_key(bob)
    bob.is_active = False
    bob.save()
    assert call("GET", WHO, user="bob").status_code == 401
    response = call("GET", WHO, key=key)
    key_id = ApiKey.objects.get().id
    assert response.json() == unauthorized(KEY_REFUSED, f"API key: the owner of api key [{key_id}] is disabled")


def test_a_deleted_users_key_is_refused(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    users["bob"].delete()
    assert call("GET", WHO, key=key).status_code == 401


def test_an_unknown_key_is_refused(call: Call) -> None:
    response = call("GET", WHO, key=encoded(b"nope:secret"))
    assert response.status_code == 401
    assert response.json() == unauthorized(KEY_REFUSED, "API key: unable to find apikey with id nope")


def test_a_wrong_secret_is_refused(users: dict[str, User], call: Call) -> None:
    new_key(users["bob"])
    key_id = ApiKey.objects.get().id
    response = call("GET", WHO, key=encoded(f"{key_id}:wrong".encode()))
    assert response.json() == unauthorized(KEY_REFUSED, f"API key: invalid credentials for API key [{key_id}]")


def test_an_expired_key_is_refused(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"], expires_at=timezone.now() - timedelta(milliseconds=1))
    assert call("GET", WHO, key=key).json() == unauthorized(KEY_REFUSED, "API key: api key is expired")


def test_an_invalidated_key_is_refused(users: dict[str, User], call: Call) -> None:
    key = new_key(users["bob"])
    row = ApiKey.objects.get()
    row.invalidated_at = timezone.now()
    row.save()
    detail = f"API key: api key [{row.id}] has been invalidated"
    assert call("GET", WHO, key=key).json() == unauthorized(KEY_REFUSED, detail)


def test_only_who_knows_the_secret_learns_that_a_key_is_invalidated(users: dict[str, User], call: Call) -> None:
    new_key(users["bob"])
    row = ApiKey.objects.get()
    row.invalidated_at = timezone.now()
    row.save()
    response = call("GET", WHO, key=encoded(f"{row.id}:wrong".encode()))
    assert response.json()["error"]["additional_unsuccessful_credentials"].startswith("API key: invalid credentials")


@pytest.mark.parametrize(
    ("header", "reason", "detail"),
    [
        ("Basic !!!", "invalid basic authentication header encoding", ""),
        ("Basic /w==", "invalid basic authentication header encoding", ""),
        ("Basic " + encoded(b"nocolon"), "invalid basic authentication header value", ""),
        ("Basic ä", "invalid basic authentication header encoding", ""),
        ("ApiKey", KEY_REFUSED, "API key: invalid ApiKey value"),
        ("ApiKey !!!", KEY_REFUSED, "API key: invalid ApiKey value"),
        ("ApiKey " + encoded(b"nocolon"), KEY_REFUSED, "API key: invalid ApiKey value"),
        ("ApiKey " + encoded(b":secret"), KEY_REFUSED, "API key: invalid ApiKey value"),
        ("ApiKey " + encoded(b"a\0b:secret"), KEY_REFUSED, "API key: invalid ApiKey value"),
        ("ApiKey " + encoded(b"\xff:secret"), KEY_REFUSED, "API key: invalid ApiKey value"),
        ("Bearer " + encoded(b"x" * 60_000 + b":y"), KEY_REFUSED, "API key: invalid ApiKey value"),
    ],
)
def test_what_cannot_be_read_is_401(call: Call, header: str, reason: str, detail: str) -> None:
    response = call("GET", WHO, header=header)
    assert (response.status_code, response.json()) == (401, unauthorized(reason, detail))


@pytest.mark.parametrize("username", ["a\0b", "\n", "é", "x" * 60_000])
def test_a_name_that_no_user_can_have_is_401(call: Call, username: str) -> None:
    response = call("GET", WHO, header=basic(username))
    assert response.status_code == 401
    assert len(response.content) < 2000


@given(
    st.one_of(
        st.binary().map(lambda raw: b"Basic " + base64.b64encode(raw)),
        st.binary().map(lambda raw: b"ApiKey " + base64.b64encode(raw)),
        st.tuples(st.sampled_from([b"Basic ", b"ApiKey ", b"Bearer ", b""]), st.binary()).map(b"".join),
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_no_header_whatsoever_is_more_than_401(header: bytes) -> None:
    # Servers hand over header bytes as latin-1.
    response = Client().get(WHO, HTTP_AUTHORIZATION=header.decode("latin-1"))
    assert response.status_code in (401, 429)


def test_run_as_is_refused_for_everybody(users: dict[str, User], call: Call) -> None:
    response = call("GET", WHO, user="root", HTTP_ES_SECURITY_RUNAS_USER="bob")
    assert response.status_code == 403
    assert response.json()["error"]["reason"] == (
        "user [root] is unauthorized to run as [bob], run as is not supported"
    )


def test_a_session_does_not_open_the_api(users: dict[str, User]) -> None:
    client = Client()
    client.force_login(users["root"])
    assert client.get(WHO).status_code == 401


def test_401_comes_before_405_and_406(call: Call) -> None:
    assert call("PATCH", WHO).status_code == 401
    assert call("POST", "/_security/api_key", b"x", CONTENT_TYPE="text/plain").status_code == 401


def test_no_credential_is_in_a_repr(users: dict[str, User]) -> None:
    key = new_key(users["bob"])
    secret = base64.b64decode(key).decode().partition(":")[2]
    row = ApiKey.objects.get()
    shown = " ".join(
        repr(one)
        for one in (
            read(RequestFactory().get("/", HTTP_AUTHORIZATION=f"ApiKey {key}")),
            read(RequestFactory().get("/", HTTP_AUTHORIZATION=basic("bob"))),
            KnownKey(row.caller, bytes(row.digest), 0.0, ""),
            Account(users["bob"].caller, users["bob"].password),
            keys.IssuedKey(row, secret),
            row,
            users["bob"],
            row.caller,
        )
    )
    for hidden in (secret, PASSWORD, repr(bytes(row.digest)), users["bob"].password):
        assert hidden not in shown
