"""Asking without a stream: results, errors as JSON, and what clients expect of every answer."""

from __future__ import annotations

import gzip
import http.client
import json
import time

import pytest

from tests.fakes.provider import FakeProvider
from tests.gateway import Gateway


@pytest.fixture(scope="module")
def echo(gateway: Gateway) -> str:
    return f"/_inference/completion/{gateway.put('echo')}"


def test_a_completion_is_one_result(gateway: Gateway, echo: str) -> None:
    answer = gateway.call("POST", echo, {"input": "one two"})
    assert answer.json() == {"completion": [{"result": "one two"}]}
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"


def test_embeddings_are_one_vector_for_each_input_in_their_order(gateway: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/embeddings"
    inference_id = gateway.put("openai", "text_embedding", api_key=provider.api_key, model_id="embed-reversed", url=url)
    answer = gateway.call("POST", f"/_inference/{inference_id}", {"input": ["a", "bbb"]})
    assert answer.json() == {"text_embedding": [{"embedding": [1.0, 0.5, -1.0]}, {"embedding": [3.0, 0.5, -1.0]}]}
    shown = gateway.call("GET", f"/_inference/{inference_id}").json()["endpoints"][0]
    assert shown["service_settings"]["dimensions"] == 3


def test_an_embedding_endpoint_cannot_be_streamed(gateway: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/embeddings"
    inference_id = gateway.put("openai", "text_embedding", api_key=provider.api_key, model_id="embed", url=url)
    for path, named in (
        (f"/_inference/{inference_id}/_stream", "any"),
        (f"/_inference/text_embedding/{inference_id}/_stream", "text_embedding"),
    ):
        answer = gateway.call("POST", path, {"input": "a"})
        assert answer.status == 405
        assert answer.error["reason"] == (
            f"Streaming is not allowed for service [openai] and task [{named}]. Supported tasks: [completion]"
        )


def test_the_task_settings_of_a_request_count_for_that_request(gateway: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id="gpt-echo", url=url)
    settings = {"user": "alice", "headers": {"X-Team": "blue"}}
    gateway.call("POST", f"/_inference/{inference_id}/_stream", {"input": "a", "task_settings": settings})
    assert provider.last.json()["user"] == "alice"
    assert provider.last.headers["x-team"] == "blue"
    gateway.call("POST", f"/_inference/{inference_id}", {"input": "a"})
    assert "user" not in provider.last.json()
    assert "x-team" not in provider.last.headers
    refused = gateway.call(
        "POST", f"/_inference/{inference_id}", {"input": "a", "task_settings": {"headers": {"Host": "x"}}}
    )
    assert refused.status == 400


def test_what_is_asked_of_the_provider_is_a_chat_of_one_message(gateway: Gateway, provider: FakeProvider) -> None:
    url = f"{provider.url}/v1/chat/completions"
    inference_id = gateway.put("openai", api_key=provider.api_key, model_id="gpt-echo", url=url)
    gateway.call("POST", f"/_inference/{inference_id}/_stream", {"input": "hi"})
    assert provider.last.json() == {
        "messages": [{"content": "hi", "role": "user"}],
        "model": "gpt-echo",
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert provider.last.headers["authorization"] == f"Bearer {provider.api_key}"


def test_an_answer_that_comes_too_late_is_408(gateway: Gateway) -> None:
    inference_id = gateway.put("echo", first_word_delay_ms=5000)
    began = time.monotonic()
    answer = gateway.call("POST", f"/_inference/{inference_id}?timeout=200ms", {"input": "a"})
    assert time.monotonic() - began < 2
    assert (answer.status, answer.error["reason"]) == (408, "Request timed out after [200ms]")


def test_a_chat_endpoint_is_not_asked_here(gateway: Gateway) -> None:
    inference_id = gateway.put("echo", "chat_completion")
    answer = gateway.call("POST", f"/_inference/{inference_id}", {"input": "a"})
    assert answer.status == 400
    assert "does not support task type [chat_completion] for inference" in answer.error["reason"]


@pytest.mark.parametrize(
    ("accept", "content_type", "expected"),
    [
        ("application/json", "application/json", "application/json"),
        ("*/*", "application/json", "application/json"),
        ("application/vnd.elasticsearch+json; compatible-with=9", "application/vnd.elasticsearch+json; compatible-with=9",
         "application/vnd.elasticsearch+json;compatible-with=9"),
        ("application/vnd.elasticsearch+json; compatible-with=8", "application/vnd.elasticsearch+json; compatible-with=8",
         "application/vnd.elasticsearch+json;compatible-with=8"),
        ("application/vnd.elasticsearch+json; compatible-with=9,text/plain", "application/json", "application/vnd.elasticsearch+json"),
        ("text/event-stream", "application/x-ndjson", "application/x-ndjson"),
    ],
)  # fmt: skip
def test_the_media_type_is_what_was_asked_for(
    gateway: Gateway, echo: str, accept: str, content_type: str, expected: str
) -> None:
    answer = gateway.call("POST", echo, {"input": "a"}, {"Accept": accept, "Content-Type": content_type})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == expected


def test_pretty_and_filter_path_shape_the_answer(gateway: Gateway, echo: str) -> None:
    assert gateway.call("POST", echo + "?pretty", {"input": "a"}).body == (
        b'{\n  "completion" : [\n    {\n      "result" : "a"\n    }\n  ]\n}\n'
    )
    assert gateway.call("POST", echo + "?filter_path=nothing", {"input": "a"}).body == b"{}"


def test_compressed_and_chunked_bodies_are_read(gateway: Gateway, echo: str) -> None:
    body = gzip.compress(json.dumps({"input": "packed"}).encode())
    answer = gateway.call("POST", echo, body, {"Content-Encoding": "gzip"})
    assert answer.json() == {"completion": [{"result": "packed"}]}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    headers = {"Authorization": f"ApiKey {gateway.key}", "Content-Type": "application/json"}
    for path in (echo, "/_security/api_key"):
        pieces = iter(
            [b'{"inp', b'ut": "chunked"}'] if path == echo else [b'{"na', b'me": "x", "role_descriptors": {"r": {}}}']
        )
        connection.request("POST", path, pieces, headers, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    connection.close()


def test_a_bomb_is_refused_before_it_is_unpacked(gateway: Gateway, echo: str) -> None:
    bomb = gzip.compress(b'{"input": "' + b"x" * 200_000_000 + b'"}')
    answer = gateway.call("POST", echo, bomb, {"Content-Encoding": "gzip"})
    assert answer.status == 413


def test_a_body_is_unpacked_only_for_those_who_may_ask(gateway: Gateway, echo: str) -> None:
    answer = gateway.call("POST", echo, b"no gzip at all", {"Content-Encoding": "gzip"})
    assert answer.status == 400
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    assert gateway.call("POST", echo, b"no gzip at all", {"Content-Encoding": "gzip"}, key="").status == 401


def test_an_unknown_path_is_400_and_asks_who_calls_first(gateway: Gateway) -> None:
    assert gateway.call("GET", "/_cat/indices", key="").status == 401
    answer = gateway.call("GET", "/_cat/indices?v")
    assert answer.status == 400
    assert answer.json() == {"error": "no handler found for uri [/_cat/indices?v] and method [GET]"}


def test_the_root_says_what_clients_look_for_to_those_who_may_monitor(gateway: Gateway) -> None:
    info = gateway.call("GET", "/").json()
    assert info["version"]["build_flavor"] == "default"
    assert info["version"]["number"].startswith("9.")
    assert gateway.call("HEAD", "/").body == b""
    gateway.call("PUT", "/_security/user/only-user", {"password": "only-a-user", "roles": ["inference_user"]})
    login = gateway.login("only-user", "only-a-user")
    assert gateway.call("GET", "/", headers=login, key="").status == 403
