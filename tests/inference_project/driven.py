"""A gateway with canaries for all its secrets, driven through everything that may go wrong."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.fakes.behaviours import EVERYWHERE, RAW, STREAMS
from tests.gateway import Gateway
from tests.inference_project.canaries import Canaries
from tests.inference_project.canary_endpoints import CanaryEndpoints, canary_endpoints
from tests.streaming.test_services import ROWS, Row

# What takes its time, or has no answer without arguments.
_ARGUMENTS = {
    "error": ["error:401", "error:429", "error:500:9:0", "error:503"],
    "refusal": [f"refusal:500:{body}" for body in ("empty", "text", "context", "long", "huge")],
    "tick": ["tick:0.01:5"],
    "flood": ["flood:1"],
    "raw": [f"raw:{name}" for name in RAW],
    "broken-refusal": ["broken-refusal:0.1"],
    "slow-headers": ["slow-headers:5"],
}
BEHAVIOURS = [model for name in (*EVERYWHERE, *STREAMS) for model in _ARGUMENTS.get(name, [name])]
# A line end and an escape that terminals obey, of those that may be in a header.
OPAQUE_ID = "one\x85two\x9b2J"
_AT_ONCE = 16
_FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_LINK = re.compile(r'href="(/admin/[^"#]*)"')
_MOST_PAGES = 150


@dataclass
class Driven:
    """What happened, and where to look. `secrets` must be nowhere; `texts`, the prompts and answers, only in answers.

    `answers` has status, head and body of each; `pages` the same of the admin.
    """

    gateway: Gateway
    secrets: Canaries
    texts: Canaries
    endpoints: CanaryEndpoints
    paths: dict[str, str] = field(default_factory=dict)
    """The task type of each endpoint, by the path at which it is asked."""
    answers: list[bytes] = field(default_factory=list)
    pages: list[bytes] = field(default_factory=list)
    statuses: dict[str, set[int]] = field(default_factory=dict)
    """What was answered in each mode of the providers, "" among them."""

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, key: str = "-"
    ) -> Any:
        answered = self.gateway.call(method, path, body, headers, key=key)
        self.answers.append(b"%d %b\n%b" % (answered.status, str(answered.headers).encode(), answered.body))
        return answered

    def make(self, *, whole: bool) -> None:
        """Create an endpoint of each row and task type; if `whole`, after some that are wrong, and update it wrongly."""
        for row in ROWS:
            for number, task_type in enumerate(row.tasks):
                self._make(row, task_type, wrongly=whole and number == 0)

    def ask_all(self, mode: str) -> None:
        """Ask every endpoint, with and without a stream, while all providers are in `mode`."""
        self.endpoints.set_mode(mode)
        asked = [path for path, task_type in self.paths.items() if task_type == "completion"]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = threads.map(
                lambda path: self._ask(path, "1s" if mode else "10s"),
                [*self.paths, *(f"{path}/_stream" for path in asked)],
            )
            self.statuses[mode] = set(found)
        self.endpoints.set_mode("")

    def _make(self, row: Row, task_type: str, *, wrongly: bool) -> None:
        path = f"/_inference/{task_type}/{row}-{len(self.paths)}"
        body = self.endpoints.body(row, task_type)
        if wrongly:
            self._refused(path, _wrong_bodies(body))
            for mode in ("refused-401", "bad-header", "error-in-200"):
                self.endpoints.set_mode(mode)
                self._refused(f"{path}?timeout=2s", [body])
            self.endpoints.set_mode("")
        made = self.call("PUT", path, body)
        assert made.status == 200, made.body
        self.paths[path] = task_type
        assert self.call("GET", path).status == 200
        if wrongly:
            del body["service"]
            self._refused(f"{path}/_update", _wrong_bodies(body))

    def _refused(self, path: str, bodies: Iterable[Mapping[str, Any]]) -> None:
        for body in bodies:
            assert 400 <= self.call("PUT", path, body).status <= 500

    def _ask(self, path: str, timeout: str) -> int:
        body: dict[str, Any] = {"input": [self.texts.awkward()]}
        if self.paths.get(path) == "rerank":
            body["query"] = self.texts.awkward()
        headers = {"X-Opaque-Id": OPAQUE_ID}
        status: int = self.call("POST", f"{path}?timeout={timeout}", body, headers).status
        return status


def _wrong_bodies(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield bodies that have the right secrets in wrong places."""
    settings, tasks = body["service_settings"], body["task_settings"]
    yield {**body, "service_settings": settings, "odd": 1}
    yield {**body, **settings}
    yield {**body, "service_settings": [settings]}
    yield {**body, "service_settings": {**settings, "odd": settings, "apikey": settings.get("api_key")}}
    yield {**body, "service_settings": {**settings, **{key: [value] for key, value in settings.items()}}}
    yield {**body, "task_settings": {**tasks, **settings}}
    yield {**body, "task_settings": {**tasks, "headers": [tasks.get("headers")]}}
    yield {
        **body,
        "task_settings": {**tasks, "headers": {"Host": next(iter(tasks.get("headers", {"": "x"}).values()))}},
    }


class Browser:
    """A person in the admin; every page that is seen is kept."""

    def __init__(self, driven: Driven) -> None:
        self._driven = driven
        self._client = httpx2.Client(base_url=driven.gateway.url, trust_env=False, timeout=30)

    def get(self, path: str) -> httpx2.Response:
        return self._seen(self._client.get(path))

    def post(self, path: str, **fields: Any) -> httpx2.Response:
        """Send the form of a page; return the answer, which may be a redirect."""
        token = _FORM_TOKEN.search(self.get(path).text)
        assert token is not None, path
        data = {"csrfmiddlewaretoken": token[1], **fields}
        answered = self._seen(self._client.post(path, data=data, headers={"Referer": self._driven.gateway.url}))
        if answered.is_redirect:
            self.get(answered.headers["location"])
        return answered

    def see_everything(self) -> None:
        """Open all pages that are linked from others."""
        todo, seen = ["/admin/"], set[str]()
        while todo and len(seen) < _MOST_PAGES:
            path = todo.pop(0)
            if path in seen or "logout" in path:
                continue
            seen.add(path)
            todo += [html.unescape(link) for link in _LINK.findall(self.get(path).text)]

    def _seen(self, answered: httpx2.Response) -> httpx2.Response:
        head = "\n".join(f"{name}: {value}" for name, value in answered.headers.items())
        self._driven.pages.append(f"{answered.status_code} {answered.url}\n{head}\n\n{answered.text}".encode())
        return answered


@contextmanager
def driven(*, own: Mapping[str, str], secrets: Canaries) -> Iterator[Driven]:
    """Yield a gateway with fakes of all services, none of them asked yet. `own` are more settings of it."""
    with canary_endpoints(secrets) as endpoints:
        urls = ",".join(f"{name}={url}" for name, url in endpoints.service_urls.items())
        with Gateway.started(None, GATEWAY_SERVICE_URLS=urls, GATEWAY_LOG_LEVEL="DEBUG", **own) as gateway:
            yield Driven(gateway, secrets, Canaries("pRoMpT07"), endpoints)
