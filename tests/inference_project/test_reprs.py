"""What a debugger, a crash reporter or a careless log line would show of the objects that hold secrets: none of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from access import keys
from access.authentication import Account, KnownKey
from access.credentials import KeyCredentials
from access.models import ApiKey
from access.passwords import Login
from access.privileges import Caller
from endpoints import catalog, configuration
from endpoints.providers._base import Chat, Message, Provider, user_message
from endpoints.providers._connections import Proxy
from endpoints.providers._http import HttpClient, PrivateHosts
from inference_project.environment import Environment
from streaming.bodies import InferenceRequest
from tests.inference_project.canaries import Canaries
from tests.inference_project.canary_endpoints import CanaryEndpoints, canary_endpoints
from tests.providers.endpoints import QUICK
from tests.streaming.test_services import ROWS, Row
from wire.errors import ApiError

SECRETS, TEXTS = Canaries(), Canaries("pRoMpT07")
# Providers that fail and repeat nothing: what such ones send is in the locals of who reads it.
FAILURES = ("behaviour:drop", "behaviour:no-http", "behaviour:not-json", "behaviour:refusal:401:text", "behaviour:error-in-200")  # fmt: skip

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in ROWS])


@pytest.fixture(scope="module")
def endpoints() -> Iterator[CanaryEndpoints]:
    with canary_endpoints(SECRETS) as made:
        yield made


def shown(*values: Any) -> list[str]:
    """Return the canaries that the values show of themselves."""
    texts = [text for value in values for text in (repr(value), str(value), f"{value}")]
    return [hit for text in texts for hit in (*SECRETS.found(text), *TEXTS.found(text))]


def bound(endpoints: CanaryEndpoints, row: Row, http: HttpClient) -> tuple[configuration.Configuration, Provider]:
    task_type = next(iter(row.tasks))
    chosen = configuration.created(row.service, task_type, endpoints.body(row, task_type))
    provider = catalog.bind("my-endpoint", chosen, http)
    provider.retries = QUICK  # type: ignore[attr-defined]
    return chosen, provider


def client(endpoints: CanaryEndpoints) -> HttpClient:
    proxy = f"http://gateway:{SECRETS.plain()}@127.0.0.1:1"
    return HttpClient(PrivateHosts.parse("127.0.0.1"), proxy=proxy, service_urls=endpoints.service_urls)


@every_row
async def test_nothing_of_an_endpoint_shows_its_secrets(endpoints: CanaryEndpoints, row: Row) -> None:
    http = client(endpoints)
    try:
        chosen, provider = bound(endpoints, row, http)
        if "completion" in row.tasks:
            assert list((await provider.complete(user_message("word"))).texts) == ["word"]
        assert chosen.secrets()
        everything = (chosen, provider, provider.binding, provider.settings, provider.tasks, http)
        endpoints.learn_what_was_sent()
        prepared = [one for *_, one in vars(provider)["_prepared"].values()]
        assert shown(*everything, *prepared, vars(http)) == []
    finally:
        await http.aclose()


@every_row
@pytest.mark.parametrize("failure", FAILURES)
async def test_no_traceback_of_a_failure_shows_a_secret(endpoints: CanaryEndpoints, row: Row, failure: str) -> None:
    """Not even one with the local variables, as crash reporters write it."""
    if "completion" not in row.tasks:
        return
    http = client(endpoints)
    try:
        _, provider = bound(endpoints, row, http)
        endpoints.set_mode(failure)
        for error in (await failed_whole(provider), await failed_stream(provider)):
            endpoints.learn_what_was_sent()
            report = traceback.TracebackException.from_exception(error, capture_locals=True)
            frames = [frame for frame in report.stack if frame.filename != __file__]
            assert frames
            assert SECRETS.found("".join(str(frame.locals) for frame in frames)) == []
            plain = "".join(traceback.format_exception(error))
            assert [*SECRETS.found(plain), *TEXTS.found(plain)] == []
            assert shown(error, vars(error)) == []
    finally:
        endpoints.set_mode("")
        await http.aclose()


async def failed_whole(provider: Provider) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await provider.complete(user_message(TEXTS.plain()))
    return caught.value


async def failed_stream(provider: Provider) -> ApiError:
    with pytest.raises(ApiError) as caught:
        async for _ in provider.stream(user_message(TEXTS.plain())):
            pass
    return caught.value


def test_no_prompt_is_shown_by_a_request() -> None:
    text = TEXTS.plain()
    call = {"function": {"name": "f", "arguments": text}}
    asked = Chat((Message("user", text), Message("assistant", [text], tool_calls=(call,))), stop=(text,))
    assert shown(asked, InferenceRequest((text,), query=text)) == []


def test_no_credentials_are_shown(db: None) -> None:
    secret = SECRETS.plain()
    caller = Caller(user_id=1, username="ada")
    issued = keys.give_secret(ApiKey(name="app", owner_id=1))
    SECRETS.add("API key", issued.secret)
    SECRETS.add("API key", issued.encoded)
    values = (
        Login("ada", secret),
        KeyCredentials("id", secret.encode()),
        KnownKey(caller, secret.encode(), 0.0, ""),
        Account(caller, secret),
        Proxy.parse(f"http://gateway:{secret}@127.0.0.1:1"),
    )
    assert shown(*values, list(values), issued, issued.key) == []


def test_the_environment_shows_none_of_its_secrets() -> None:
    hidden: dict[str, Any] = {
        name: (SecretStr(SECRETS.plain()),) if name == "secret_keys" else SecretStr(SECRETS.plain())
        for name, one in Environment.model_fields.items()
        if "SecretStr" in str(one.annotation)
    }
    environment = Environment().model_copy(update=hidden)
    assert len(hidden) >= 8
    assert shown(environment, environment.model_dump(), environment.model_dump_json()) == []
