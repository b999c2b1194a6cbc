"""Every change of an endpoint is news for all processes, and counts at once in the one that made it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from access import cache
from endpoints.models import Endpoint, EndpointSecret
from tests.endpoints.api import Api, openai
from tests.fakes.provider import API_KEY, FakeProvider
from tests.gateway import Answer, Gateway


class News:
    """Says whether something was told since it was asked last."""

    def __init__(self) -> None:
        self._version = cache.read_version()

    def __call__(self) -> bool:
        before, self._version = self._version, cache.read_version()
        return self._version > before


def test_all_changes_are_told_and_nothing_else(admin: Api, fake: FakeProvider) -> None:
    news = News()
    admin.put("/completion/x", openai(fake))
    assert news()
    admin.update("/x", {"task_settings": {"user": "u"}})
    assert news()
    admin.update("/x", {"service_settings": {"api_key": API_KEY}})
    assert not news()
    for answer in (admin.put("/completion/x", openai(fake)), admin.update("/x", {"task_settings": {"user": 1}})):
        assert answer.status == 400
    admin.get("/x")
    admin.delete("/x?dry_run")
    assert not news()
    admin.delete("/x")
    assert news()


def test_changes_by_hand_are_told_too(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", openai(fake))
    news = News()
    Endpoint.objects.get().save()
    assert news()
    EndpointSecret.objects.get().delete()
    assert news()


def texts(answer: Answer) -> str:
    text: str = answer.json()["completion"][0]["result"]
    return text


def test_a_change_counts_for_the_very_next_request(gateway: Gateway) -> None:
    ask = ("POST", "/_inference/completion/news-1", {"input": "a b c"})
    assert gateway.call(*ask).status == 404
    gateway.call("PUT", "/_inference/completion/news-1", {"service": "echo", "service_settings": {}})
    assert texts(gateway.call(*ask)) == "a b c"
    gateway.call("PUT", "/_inference/news-1/_update", {"service_settings": {"fail_after_words": 1}})
    assert gateway.call(*ask).status == 500
    gateway.call("PUT", "/_inference/news-1/_update", {"service_settings": {"fail_after_words": None}})
    assert texts(gateway.call(*ask)) == "a b c"
    gateway.call("DELETE", "/_inference/news-1")
    assert gateway.call(*ask).status == 404


def test_of_two_puts_of_one_id_at_once_one_wins(gateway: Gateway) -> None:
    def put(speed: int) -> Answer:
        body = {"service": "echo", "service_settings": {"words_per_second": speed}}
        return gateway.call("PUT", "/_inference/completion/race-1", body)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(put, range(1, 9)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert {answer.error["type"] for answer in answers if answer.status == 400} == {"resource_already_exists_exception"}
    (winner,) = [answer.json() for answer in answers if answer.status == 200]
    assert gateway.call("GET", "/_inference/race-1").json() == {"endpoints": [winner]}


@pytest.fixture
def slow(gateway: Gateway, fake: FakeProvider) -> str:
    """The id of an endpoint whose provider thinks for a second before it answers."""
    return gateway.put("openai", **openai(fake, model="slow-headers:1")["service_settings"])


def test_while_the_provider_is_asked_neither_update_nor_delete_get_between(
    gateway: Gateway, fake: FakeProvider, slow: str
) -> None:
    fake.requests.clear()
    update = f"/_inference/{slow}/_update"
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(gateway.call, "PUT", update, {"task_settings": {"user": "first"}})
        assert fake.wait_requests()
        second = gateway.call("PUT", update, {"task_settings": {"user": "second"}})
        deleted = gateway.call("DELETE", f"/_inference/{slow}")
        assert not first.done()
    assert (first.result().status, second.status, deleted.status) == (200, 409, 409)
    shown = gateway.call("GET", f"/_inference/{slow}").json()["endpoints"][0]
    assert shown["task_settings"] == {"user": "first"}
    assert gateway.call("PUT", update, {"task_settings": {"user": "third"}}).status == 200
