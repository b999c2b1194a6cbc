"""Strategies for what no schema would bring forth: bodies that are no JSON or nearly, odd headers, odd addresses."""

from __future__ import annotations

import copy
import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

Headers = dict[str, str]

# Where bodies are sent, each with one that is right.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/_inference/completion/echo-completion/_stream"): {"input": "a b", "task_settings": {}, "timeout": "1s"},
    ("POST", "/_inference/completion/fake/_stream"): {"input": ["a"], "task_settings": {"user": "u", "headers": {"a": "b"}}},
    ("POST", "/_inference/completion/fake"): {"input": "a", "task_settings": {"user": "u"}},
    ("POST", "/_inference/fake-vectors"): {"input": ["a", "b"], "task_settings": {"user": "u"}},
    ("POST", "/_inference/embedding/fake-embedding"): {
        "input": [{"content": [{"type": "text", "value": "a"}]}, "b"], "task_settings": {}
    },
    ("POST", "/_inference/rerank/gone"): {
        "input": ["a", {"type": "text", "value": "b"}], "query": "q", "top_n": 1, "return_documents": True
    },
    ("PUT", "/_inference/made-openai"): {
        "task_type": "text_embedding",
        "service": "openai",
        "service_settings": {
            "api_key": "sk-1", "model_id": "m", "url": "http://127.0.0.1:1/v1", "dimensions": 3, "similarity": "cosine",
            "max_input_tokens": 5, "organization_id": "o", "rate_limit": {"requests_per_minute": 5},
        },
        "task_settings": {"user": "u", "headers": {"a": "b"}},
        "chunking_settings": {"strategy": "word", "max_chunk_size": 100, "overlap": 20},
    },
    ("PUT", "/_inference/completion/made-echo"): {
        "service": "echo", "service_settings": {"words_per_second": 2.5, "words_per_delta": 2, "fail_after_words": 3}
    },
    ("PUT", "/_inference/completion/made-vertex"): {
        "service": "googlevertexai",
        "service_settings": {"service_account_json": "{}", "project_id": "p", "location": "l", "model_id": "m"},
        "task_settings": {"thinking_config": {"thinking_budget": 5}, "max_tokens": 7},
    },
    ("PUT", "/_inference/sparse_embedding/made-built-in"): {
        "service": "elasticsearch",
        "service_settings": {
            "model_id": "m", "num_threads": 1,
            "adaptive_allocations": {"enabled": True, "min_number_of_allocations": 0, "max_number_of_allocations": 3},
        },
    },
    ("PUT", "/_inference/completion/to-update/_update"): {
        "service_settings": {"organization_id": "o", "rate_limit": {"requests_per_minute": 9}},
        "task_settings": {"user": "u", "headers": {"a": "b"}},
    },
    ("POST", "/_security/api_key"): {
        "name": "k", "expiration": "1d", "metadata": {"a": [1]},
        "role_descriptors": {"r": {"cluster": ["monitor_inference"], "indices": [{"names": ["a"]}], "metadata": {}}},
    },
    ("DELETE", "/_security/api_key"): {"ids": ["a", "b"]},
    ("PUT", "/_security/user/victim"): {
        "roles": ["inference_user"], "full_name": "V", "email": None, "metadata": {"a": 1}, "enabled": True
    },
    ("POST", "/_security/user/_has_privileges"): {
        "cluster": ["all"],
        "index": [{"names": ["a"], "privileges": ["read"]}],
        "application": [{"application": "a", "resources": ["*"], "privileges": ["x"]}],
    },
}  # fmt: skip
_WORDS = (
    "completion", "openai", "echo", "text_embedding", "all", "monitor_inference", "word", "sentence", "1d", "-1", "",
    "***", "http://127.0.0.1:1/v1", "http://[::1", "https://user:password@example.invalid/", "search", "privileges",
    "names", "strategy", "max_chunk_size", "url", "api_key", "model_id", "rate_limit", "requests_per_minute", "headers",
    "type", "value", "content", "cluster", "indices", "a\u2028b", "\x00", "\ud800", "\U0001f600", "\x85", "\ufeff", "ﬃ",
)  # fmt: skip
_NUMBERS = (
    "0", "-1", "-0", "1e-999", "1.0", "2147483648", "-2147483649", "9223372036854775808", "18446744073709551616",
    "1" + "0" * 400, "0.1" + "0" * 5000, "1E300", "-1e15",
)  # fmt: skip
_NO_NUMBERS = ("1e999", "-1e999", "9" * 5000, "NaN", "Infinity", "01", "1.", ".5", "+1", "0x10")
_DEPTHS = (198, 201, 100_000)

texts = st.one_of(st.sampled_from(_WORDS), st.text(max_size=20), st.text(max_size=20))


def _string(text: str) -> str:
    return json.dumps(text)


_scalars = st.one_of(st.sampled_from(["null", "true", "false", *_NUMBERS]), texts.map(_string), st.integers().map(str))


def _object(pairs: list[tuple[str, str]]) -> str:
    """Return an object, in which a key may be there twice."""
    return "{" + ",".join(f"{_string(key)}:{value}" for key, value in pairs) + "}"


values: st.SearchStrategy[str] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(texts, inner), max_size=4).map(_object),
    ),
    max_leaves=12,
)
deep = st.builds(
    lambda depth, opening, whole: (
        '{"input":' + opening * depth + "1" + {"[": "]", '{"a":': "}"}[opening] * depth * whole
    ),
    st.sampled_from(_DEPTHS),
    st.sampled_from(["[", '{"a":']),
    st.booleans(),
).map(lambda text: text + "}")


def changed(example: dict[str, Any]) -> st.SearchStrategy[str]:
    """Return `example` with something else at one or two places in it, or something more."""
    places = sorted(_places(example), key=repr)
    beside = st.sampled_from([*[None] * 2 * len(_WORDS), *_WORDS])
    change = st.tuples(st.sampled_from(places), values, beside)
    return st.lists(change, min_size=1, max_size=2).map(lambda changes: _changed(example, changes))


def bodies(example: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return bodies: half of them JSON, like `example`; the others broken, or of another shape."""
    like = changed(example).map(str.encode)
    damaged = st.builds(_damaged, like, st.integers(0, 10_000), st.binary(max_size=4), st.booleans())
    literals = st.sampled_from(_NO_NUMBERS).map(lambda number: f'{{"input":{number},"name":[{number}]}}'.encode())
    recoded = st.builds(
        lambda text, codec: text.encode(codec), changed(example), st.sampled_from(["utf-16", "utf-8-sig", "utf-32-le"])
    )
    others = (damaged, literals, recoded, values.map(str.encode), deep.map(str.encode), st.binary(max_size=200))
    return st.integers(0, 2 * len(others) - 1).flatmap(lambda number: dict(enumerate(others)).get(number, like))


Place = tuple[str | int, ...]


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def _changed(example: dict[str, Any], changes: list[tuple[Place, str, str | None]]) -> str:
    """Return `example` as JSON; a change replaces what is at a place, or stands beside it under a key of its own."""
    text = copy.deepcopy(example)
    written = {}
    for number, (place, value, beside) in enumerate(changes):
        target: Any = text
        for step in place[:-1]:
            # The other change may have put something here that has no places.
            target = target[step] if isinstance(target, (dict, list)) else None  # type: ignore[index]
        mark = f"change {number}"
        if isinstance(target, dict):
            target[place[-1] if beside is None else beside] = mark
        elif isinstance(target, list):
            target.append(mark)
        written[mark] = value
    body = json.dumps(text)
    for mark, value in written.items():
        body = body.replace(f'"{mark}"', value)
    return body


def _damaged(body: bytes, place: int, inserted: bytes, cut: bool) -> bytes:
    place %= len(body) + 1
    return body[:place] + inserted + (b"" if cut else body[place:])


BOMB = gzip.compress(b"[" * 20_000_000, 9)

encoded = st.one_of(
    st.binary(max_size=50).map(lambda body: (body, "gzip")),
    st.just((BOMB, "gzip")),
    st.just((gzip.compress(BOMB), "gzip")),
    st.binary(max_size=50).map(lambda body: (gzip.compress(body)[:-3], "gzip")),
    st.binary(max_size=50).map(lambda body: (gzip.compress(body) + body, "x-gzip")),
    st.tuples(st.binary(max_size=50), st.sampled_from(["br", "deflate", "gzip, gzip", "identity", "zstd", "é"])),
    st.just((gzip.compress(b'{"input":"a"}'), "gzip")),
)
_printable = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
_media_types = st.one_of(
    st.sampled_from(
        [
            "application/json", "application/json; charset=utf-16", "application/x-ndjson", "text/plain", "", "json", ";",
            "application/vnd.elasticsearch+json;compatible-with=9", "application/vnd.elasticsearch+json;compatible-with=7",
            "application/vnd.elasticsearch+json; compatible-with=\"", "multipart/form-data; boundary=x", "application/yaml",
            "application/x-www-form-urlencoded", "application/cbor", "*/*", "text/event-stream", "a/b," * 2000,
        ]
    ),
    _printable,
)  # fmt: skip
_names = st.sampled_from(
    [
        "Content-Type", "Content-Type", "Accept", "Accept", "X-Opaque-Id", "es-security-runas-user", "Cookie", "Origin",
        "X-Forwarded-For", "X-Elastic-Product-Use-Case", "Accept-Encoding", "If-None-Match", "Range", "Traceparent",
    ]
)  # fmt: skip
_authorizations = st.one_of(
    st.sampled_from(
        ["", "ApiKey", "ApiKey =", "ApiKey !!!!", "Bearer é", "Basic", "Basic Zm9v", "Basic /w==", "Digest a"]
    ),
    st.binary(max_size=60).map(lambda value: "ApiKey " + quote_from_bytes(value)),
    st.binary(max_size=90).map(lambda value: "ApiKey " + b64encode(value).decode()),
)
_others = st.dictionaries(_names, st.one_of(_media_types, _printable), max_size=3)
headers: st.SearchStrategy[Headers] = st.integers(0, 3).flatmap(
    lambda number: _others if number else _authorizations.map(lambda value: {"Authorization": value})
)

_segments = st.one_of(
    st.sampled_from(
        [
            "_inference", "_stream", "_update", "_services", "_all", "*", "_security", "user", "api_key", "_password",
            "completion", "any", "ANY", "fake", "echo-completion", "%00", "%2F", "..", ".", "%ff%fe", "%C3%28", "",
            "a" * 600, "%F0%9F%98%80", "openapi.json", "_has_privileges", "livez", "metrics", "favicon.ico", "static",
        ]
    ),
    st.binary(max_size=12).map(quote_from_bytes),
)  # fmt: skip
_queries = st.lists(
    st.tuples(
        st.sampled_from(
            ["timeout", "filter_path", "pretty", "human", "format", "dry_run", "force", "refresh", "owner", "id", "name", "x"]
        ),
        st.one_of(
            st.sampled_from(
                [
                    "", "true", "false", "30s", "0", "-1", "1.5m", "9" * 30 + "d", "-5s", "**", "**.**.**.a", "*" * 2000,
                    "-error", "json", "yaml", "%00", "%ff", "wait_for", "a" * 3000, "endpoints.*.{", "[", "1nanos",
                ]
            ),
            st.binary(max_size=12).map(quote_from_bytes),
            texts.map(lambda text: quote(text, errors="surrogatepass")),
        ),
    ),
    max_size=4,
)  # fmt: skip


def _address(first: str, segments: list[str], queries: list[tuple[str, str]]) -> str:
    query = "&".join(f"{name}={value}" for name, value in queries)
    return "/" + "/".join([first, *segments]) + (f"?{query}" if query else "")


addresses = st.builds(
    _address,
    st.sampled_from(["_inference", "_inference", "_inference", "_security", "_security/user", "livez", "readyz", "x"]),
    st.lists(_segments, max_size=4),
    _queries,
)
methods = st.sampled_from(["GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PATCH", "TRACE", "QUERY", "get"])
