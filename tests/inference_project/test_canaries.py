"""No secret is anywhere but where it is used: every secret is a canary, everything goes wrong, and then all is searched.

Prompts and answers are canaries of their own, which must not stay behind either. What is driven is in `driven`.
"""

from __future__ import annotations

import base64
import re
import secrets as random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from endpoints.providers import load, names
from endpoints.providers._settings import declared
from tests.fakes.indiscreet import MODES, Indiscreet
from tests.fakes.provider import FakeProvider
from tests.gateway import free_port
from tests.inference_project.canaries import Canaries
from tests.inference_project.driven import BEHAVIOURS, OPAQUE_ID, Browser, Driven, driven
from tests.streaming.test_services import ROWS

SHORT = {"GATEWAY_IDLE_SECONDS": "0.5", "GATEWAY_STALL_SECONDS": "1", "GATEWAY_TOTAL_SECONDS": "3"}
TOKEN_MODES = [f"token:{mode}" for mode in ("refused-401", "refused-as-detail", "bad-header", "odd-json", "encoded")]
FEW_MODES = ["refused-401", "refused-503", "error-midway"]
# A line of the log: an object in JSON, or a time and a message. `splitlines` ends lines at more than line feeds.
_LINE = re.compile(r'(?:\{"time":[ -~\u00a1-\uffff]*\}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [a-z_.]+ [ -~]*)')
DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="module", params=DATABASES)
def world(request: pytest.FixtureRequest) -> Iterator[Driven]:
    """A gateway after all that was done to it: the whole on SQLite, and some of it on PostgreSQL with Redis."""
    canaries = Canaries()
    with ExitStack() as stack:
        own = {**SHORT, **_secret_environment(canaries), "GATEWAY_OUTBOUND_PROXY": _proxy(stack, canaries)}
        if request.param == "sqlite":
            own["PYTHONASYNCIODEBUG"] = "1"
        else:
            own["DATABASE_URL"] = _with_password(request.getfixturevalue("postgresql"), canaries.plain())
            own["REDIS_URL"] = _redis_user(stack, request.getfixturevalue("redis_server"), canaries.plain())
        done = stack.enter_context(driven(own=own, secrets=canaries))
        done.gateway.password = own["GATEWAY_ADMIN_PASSWORD"]
        canaries.add("API key", base64.b64decode(done.gateway.key).decode().partition(":")[2])
        _drive(done, own, whole=request.param == "sqlite")
        yield done


def _secret_environment(canaries: Canaries) -> dict[str, str]:
    return {
        "GATEWAY_SECRET_KEY": canaries.plain() * 2,
        "GATEWAY_SECRET_KEYS": f"{canaries.fernet_key()},{canaries.fernet_key()}",
        "GATEWAY_ADMIN_PASSWORD": canaries.awkward(),
        "GATEWAY_METRICS_TOKEN": canaries.plain(),
        "OPENAI_API_KEY": canaries.awkward(),
    }


def _proxy(stack: ExitStack, canaries: Canaries) -> str:
    """Start an outbound proxy that refuses everybody, and says why at length."""
    indiscreet = Indiscreet(_proxy)  # type: ignore[arg-type]
    indiscreet.mode = "refused-403"
    fake = stack.enter_context(FakeProvider.running("", respond=indiscreet))
    return fake.url.replace("http://", f"http://gateway:{canaries.plain()}@")


def _with_password(url: str, password: str) -> str:
    user, _, rest = url.removeprefix("postgresql://").partition("@")
    return f"postgresql://{user.partition(':')[0]}:{password}@{rest}"


def _redis_user(stack: ExitStack, url: str, password: str) -> str:
    path, name = urlsplit(url).path, f"gateway-{random.token_hex(4)}"
    server = redis.Redis(unix_socket_path=path)
    stack.callback(server.close)
    server.acl_setuser(name, enabled=True, passwords=[f"+{password}"], keys=["*"], channels=["*"], categories=["+@all"])
    stack.callback(server.acl_deluser, name)
    return f"unix://{name}:{password}@{path}"


def _drive(done: Driven, own: dict[str, str], *, whole: bool) -> None:
    done.make(whole=whole)
    for mode in ["", *(MODES if whole else FEW_MODES)]:
        done.ask_all(mode)
    # Of a key that was refused no token is known any more.
    done.ask_all("refused-401")
    for mode in TOKEN_MODES if whole else ():
        done.ask_all(mode)
    _ask_the_unreachable(done)
    _log_in(done)
    _manage_users(done)
    _see_pages(done)
    done.call("GET", "/metrics", headers={"Authorization": f"Bearer {own['GATEWAY_METRICS_TOKEN']}"})
    for path in ("/_inference/openapi.json", "/_inference/_services", "/", "/nowhere", "/livez", "/readyz"):
        done.call("GET", path)
    done.paths = {path: kind for path, kind in done.paths.items() if "/openai-" in path}
    for model in BEHAVIOURS if whole else ():
        done.ask_all(f"behaviour:{model}")
    done.ask_all("silence")
    for path in done.paths:
        done.call("DELETE", path)
    done.endpoints.learn_what_was_sent()


def _ask_the_unreachable(done: Driven) -> None:
    body = done.endpoints.body(ROWS[0], "completion")
    for url in (f"http://127.0.0.1:{free_port()}/v1", "https://nowhere.invalid/v1", "http://10.0.0.1/v1"):
        body["service_settings"]["url"] = url
        made = done.call("PUT", "/_inference/completion/unreachable?timeout=2s", body)
        assert 400 <= made.status <= 500


def _log_in(done: Driven) -> None:
    wrong = [done.secrets.awkward() for _ in range(3)]
    key_id = base64.b64decode(done.gateway.key).decode().partition(":")[0]
    right = done.gateway.login()
    refused = [
        done.gateway.login("admin", wrong[0]),
        done.gateway.login("nobody", wrong[0]),
        {"Authorization": f"ApiKey {base64.b64encode(f'{key_id}:{wrong[1]}'.encode()).decode()}"},
        {"Authorization": f"ApiKey {base64.b64encode(wrong[1].encode()).decode()}"},
        {"Authorization": f"Bearer {wrong[2]}"},
        {"Authorization": f"Basic {wrong[2]}"},
        {"Authorization": wrong[2]},
        {"Authorization": f"Unknown {wrong[2]}"},
        {"Authorization": right["Authorization"], "es-security-runas-user": "other"},
    ]
    for path in ("/_inference", "/metrics", "/_inference/completion/echo-completion/_stream"):
        assert done.call("GET", path, headers=right).status in (200, 405)
        for headers in refused:
            assert done.call("GET", path, headers=headers).status in (401, 403, 429)


def _manage_users(done: Driven) -> None:
    password, path = done.secrets.awkward(), "/_security/user/ada"
    for wrong in ({"password": [password]}, {"passwords": password}, {"password": password, "roles": "x"}):
        assert done.call("PUT", path, wrong).status == 400
    assert done.call("PUT", path, {"password": password, "roles": ["inference_admin"]}).status == 200
    assert done.call("PUT", f"{path}/_password", {"password": password}).status == 200
    assert done.call("GET", path).status == 200
    login = done.gateway.login("ada", password)
    assert done.call("GET", "/_security/_authenticate", headers=login).status == 200
    # The answer to this one has the key in it, and is the only one that may.
    made = done.gateway.call("POST", "/_security/api_key", {"name": "app"}, login, key="").json()
    done.secrets.add("API key", made["api_key"])
    assert done.call("GET", "/_security/api_key", headers=login).status == 200
    assert done.call("DELETE", "/_security/api_key", {"ids": [made["id"]]}, login).status == 200


def _see_pages(done: Driven) -> None:
    browser, secrets = Browser(done), done.secrets
    browser.post("/admin/login/", username="admin", password=secrets.awkward())
    assert browser.post("/admin/login/", username="admin", password=done.gateway.password).is_redirect
    _edit_endpoints(done, browser)
    first, second = secrets.awkward(), secrets.awkward()
    assert not browser.post("/admin/access/user/add/", username="eve", password1=first, password2=second).is_redirect
    assert browser.post("/admin/access/user/add/", username="eve", password1=first, password2=first).is_redirect
    user = _first(browser, r"/admin/access/user/\d+/change/", "/admin/access/user/?o=-1")
    browser.post(user.replace("change", "password"), password1=first, password2=second)
    page = browser.post("/admin/access/apikey/add/", name="page", owner="1", rights="all", lasts="never")
    key = re.search(r'<pre id="encoded"[^>]*>([^<]+)</pre>', page.text)
    assert key, page.text
    secrets.add("API key", base64.b64decode(key[1]).decode().partition(":")[2])
    # The page that shows a new key is the only one that may.
    done.pages.pop()
    browser.see_everything()


def _edit_endpoints(done: Driven, browser: Browser) -> None:
    fake, secrets = done.endpoints.fakes["openai"], done.secrets
    add = "/admin/endpoints/endpoint/add/?inference_id=by-hand&service=openai&task_type=completion"
    right = {
        "api_key": fake.api_key,
        "model_id": "m",
        "url": f"{fake.url}/v1/chat/completions",
        "headers": f"X-Canary: {secrets.plain()}",
    }
    for wrong in ({"model_id": ""}, {"rate_limit.requests_per_minute": "0"}, {"headers": f"Host: {secrets.plain()}"}):
        assert not browser.post(add, **{**right, **wrong}).is_redirect
    assert not browser.post(add, **{**right, "headers": secrets.plain()}).is_redirect
    done.endpoints.set_mode("refused-401")
    assert not browser.post(add, **right).is_redirect
    done.endpoints.set_mode("")
    assert browser.post(add, **right).is_redirect
    change = _first(browser, r"/admin/endpoints/endpoint/[^/]+/change/", "/admin/endpoints/endpoint/?q=by-hand")
    moved = {**right, "headers": f"X-Canary: ***\nX-More: {secrets.plain()}", "api_key": ""}
    assert browser.post(change, **moved).is_redirect
    assert not browser.post(change, **{**moved, "api_key": secrets.awkward()}).is_redirect
    history = browser.get(change.replace("change", "history")).headers["location"]
    version = _first(browser, r"/admin/endpoints/change/\d+/change/", history)
    for page in (version, f"{version.removesuffix('change/')}restore/"):
        assert browser.get(page).status_code == 200
    assert browser.post(change.replace("change", "delete"), understood="on").is_redirect


def _first(browser: Browser, link: str, page: str) -> str:
    found = re.search(link, browser.get(page).text)
    assert found
    return found[0]


def test_everything_that_is_secret_was_a_canary(world: Driven) -> None:
    """Every secret of every service was sent to its provider; a new service or secret is covered by itself."""
    wanted = {
        (name, one.name)
        for name in names()
        for declaration in (load(name).service_settings, load(name).task_settings)
        for one in declared(declaration)
        if one.is_encrypted
    }
    assert world.endpoints.covered == wanted
    assert all(fake.requests for fake in world.endpoints.fakes.values())


def test_what_providers_did_was_met(world: Driven) -> None:
    statuses = world.statuses
    assert statuses[""] == {200}
    assert {400, 401} & statuses["refused-401"]
    assert {200} < statuses["error-midway"]
    assert all(statuses.values())


@pytest.mark.parametrize("place", ["answers", "pages"])
def test_no_secret_is_in_an_answer(world: Driven, place: str) -> None:
    contents: list[bytes] = getattr(world, place)
    assert len(contents) > 50
    assert world.secrets.found(b"\n".join(set(contents))) == []


def test_nothing_secret_and_no_prompt_is_in_the_log(world: Driven) -> None:
    log = world.gateway.read_log()
    assert '"outcome":"complete"' in log
    assert "ERROR wire.responses Answered" in log
    assert [*world.secrets.found(log), *world.texts.found(log)] == []


def test_nobody_else_writes_a_line_of_the_log(world: Driven) -> None:
    """Neither callers nor providers, whatever they have put into headers and messages."""
    lines = world.gateway.read_log().splitlines()
    assert OPAQUE_ID.encode("unicode_escape").decode() in "".join(lines).replace("\\\\", "\\")
    assert [line for line in lines if not _LINE.fullmatch(line)] == []


def test_no_secret_is_printed_but_the_first_key(world: Driven) -> None:
    printed = world.gateway.printed.replace(world.gateway.key, "")
    assert "GATEWAY_ADMIN_PASSWORD" in printed
    assert world.secrets.found(printed) == []


def test_nothing_secret_and_no_prompt_is_in_the_data_directory(world: Driven) -> None:
    """With SQLite the database and its write-ahead log are there, byte by byte."""
    files = [path for path in world.gateway.data_dir.rglob("*") if path.is_file() and "static" not in path.parts]
    found = {
        path.name: [*world.secrets.found(path.read_bytes()), *world.texts.found(path.read_bytes())] for path in files
    }
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_nothing_secret_and_no_prompt_is_in_the_tables_of_postgresql(
    world: Driven, request: pytest.FixtureRequest
) -> None:
    if "postgresql" not in request.node.name.partition("[")[2]:
        pytest.skip("the data directory was searched")
    rows = dict(_tables(request.getfixturevalue("postgresql")))
    assert {"endpoints_endpointsecret", "django_admin_log", "access_apikey", "django_session"} <= rows.keys()
    found = {name: [*world.secrets.found(content), *world.texts.found(content)] for name, content in rows.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}


def _tables(url: str) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in cursor.fetchall():
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as rows:
                yield name, b"".join(bytes(row) for row in rows)


def test_no_secret_is_in_the_arguments_of_a_process(world: Driven) -> None:
    pid = world.gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (str(pid), *children):
        assert world.secrets.found(Path(f"/proc/{one}/cmdline").read_bytes()) == []
