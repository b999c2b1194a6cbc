"""`PUT /_inference/[<task_type>/]<id>`: the checks in Elasticsearch's order and words, then one row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from endpoints.models import Endpoint, EndpointSecret
from tests.endpoints.api import ECHO, Answer, Api, embeddings, openai
from tests.fakes.provider import API_KEY, FakeProvider

WRONG_ID = (
    "Validation Failed: 1: Invalid inference_id; '{}' can contain lowercase alphanumeric (a-z and 0-9), "
    "hyphens or underscores; must start and end with alphanumeric;"
)


def refused(answer: Answer, status: int = 400, type_: str = "status_exception") -> str:
    """Return the reason, after a look at what every refusal has in common."""
    assert (answer.status, answer.type) == (status, type_), answer.text
    assert not Endpoint.objects.exists()
    assert not EndpointSecret.objects.exists()
    return answer.reason


def problems(answer: Answer) -> list[str]:
    refused(answer, type_="validation_exception")
    return answer.problems


def unvalidated(settings: Settings) -> None:
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"skip_validation": True})


def test_a_new_endpoint_is_answered_as_it_is_stored(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/completion/my-chat", openai(fake))
    assert answer.status == 200
    assert answer.body == {
        "inference_id": "my-chat",
        "task_type": "completion",
        "service": "openai",
        "service_settings": {
            "model_id": "gpt-fake",
            "url": f"{fake.url}/v1/chat/completions",
            "rate_limit": {"requests_per_minute": 500},
        },
    }
    assert admin.get("/my-chat").body == {"endpoints": [answer.body]}


def test_the_keys_of_an_answer_are_in_elasticsearchs_order(admin: Api, fake: FakeProvider) -> None:
    body = {**embeddings(fake, task_settings={"user": "me"})}
    answer = admin.put("/text_embedding/my-emb", dict(reversed(body.items())))
    keys = ["inference_id", "task_type", "service", "service_settings", "task_settings", "chunking_settings"]
    assert list(answer.body) == keys
    settings = ["model_id", "url", "dimensions", "similarity", "rate_limit"]
    assert list(answer.body["service_settings"]) == settings
    assert list(answer.body["chunking_settings"]) == ["strategy", "max_chunk_size", "sentence_overlap"]


def test_the_provider_is_asked_before_anything_is_stored(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/my-chat", openai(fake))
    assert [request.path for request in fake.requests] == ["/v1/chat/completions"]
    assert fake.last.json()["messages"] == [{"content": "how big", "role": "user"}]
    assert fake.last.headers["authorization"] == f"Bearer {API_KEY}"


def test_chat_completion_is_validated_like_completion(admin: Api, fake: FakeProvider) -> None:
    assert admin.put("/chat_completion/my-chat", openai(fake)).status == 200
    assert fake.last.path == "/v1/chat/completions"


def test_skipped_validation_asks_nobody(admin: Api, fake: FakeProvider, settings: Settings) -> None:
    unvalidated(settings)
    answer = admin.put("/text_embedding/my-emb", embeddings(fake))
    assert answer.status == 200
    assert fake.requests == []
    assert "dimensions" not in answer.body["service_settings"]


def test_the_task_type_may_stand_in_the_body(admin: Api) -> None:
    answer = admin.put("/my-chat", {**ECHO, "task_type": "completion"})
    assert answer.body["task_type"] == "completion"


@pytest.mark.parametrize("path", ["/completion/x", "/COMPLETION/x", "/%20completion%20/x", "/any/x", "/x"])
def test_path_and_body_may_both_name_the_task_type(admin: Api, path: str) -> None:
    answer = admin.put(path, {**ECHO, "task_type": " Completion"})
    assert answer.status == 200
    assert answer.body["task_type"] == "completion"


@pytest.mark.parametrize("inference_id", ["a", "0", "my-chat", "a_b.c-d", "completion", "x" * 500])
def test_an_id_is_lower_case_letters_digits_and_a_few_signs(admin: Api, inference_id: str) -> None:
    assert admin.put(f"/completion/{inference_id}", ECHO).status == 200


def test_a_trailing_slash_changes_nothing(admin: Api) -> None:
    assert admin.put("/completion/x/", ECHO).status == 200
    assert admin.get("/x/").status == 200


@pytest.mark.parametrize(
    "inference_id", ["Upper", "-a", "a-", "_a", ".a", "a.", "_all", "a b", "ä", "a:b", "_stream", "*", "a\n", "\x00"]
)
def test_another_id_is_refused_before_anything_else(admin: Api, inference_id: str) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in inference_id.encode())
    answer = admin.put(f"/{escaped}", {})
    assert refused(answer, type_="action_request_validation_exception") == WRONG_ID.format(inference_id)


def test_an_id_may_have_500_characters(admin: Api) -> None:
    reason = refused(admin.put(f"/{'x' * 501}", {}), type_="action_request_validation_exception")
    assert reason == "Validation Failed: 1: Invalid inference_id; it must not be longer than 500 characters;"


@pytest.mark.parametrize("path", ["/x", "/any/x"])
def test_a_task_type_is_required(admin: Api, path: str) -> None:
    assert refused(admin.put(path, {})) == "model is missing required setting [task_type]"


def test_any_is_no_task_type_of_an_endpoint(admin: Api) -> None:
    reason = refused(admin.put("/x", {"task_type": "any"}))
    assert reason == "task_type [any] is not valid type for inference"


def test_path_and_body_must_agree_on_the_task_type(admin: Api) -> None:
    reason = refused(admin.put("/completion/x", {"task_type": "rerank"}))
    assert reason == (
        "Cannot resolve conflicting task_type parameter in the request URL [completion] and the request body [rerank]"
    )


def test_an_unknown_task_type_is_named(admin: Api) -> None:
    assert refused(admin.put("/foo/x", {})) == "Unknown task_type [foo]"
    assert refused(admin.put("/x", {"task_type": "bar"})) == "Unknown task_type [bar]"


def test_a_task_type_is_a_string(admin: Api) -> None:
    reason = refused(admin.put("/x", {"task_type": ["completion", True]}))
    assert reason == (
        "field [task_type] is not of the expected type. The value [[completion, true]] cannot be converted to a [String]"
    )


def test_a_service_is_required(admin: Api) -> None:
    reason = refused(admin.put("/completion/x", {}))
    assert reason == "Inference endpoint configuration is missing the [service] setting"


@pytest.mark.parametrize("service", ["nope", "_base", "OpenAI", "openai.py", "__init__", ""])
def test_an_unknown_service_is_named(admin: Api, service: str) -> None:
    assert refused(admin.put("/completion/x", {"service": service})) == f"Unknown service [{service}]"


def test_a_service_is_a_string(admin: Api) -> None:
    reason = refused(admin.put("/completion/x", {"service": 7}))
    assert reason == "field [service] is not of the expected type. The value [7] cannot be converted to a [String]"


@pytest.mark.parametrize("body", [{"service": "openai"}, {"service": "openai", "service_settings": None}])
def test_service_settings_are_required(admin: Api, body: dict[str, Any]) -> None:
    assert refused(admin.put("/rerank/x", body)) == "Missing required field [service_settings]"


@pytest.mark.parametrize("section", ["service_settings", "task_settings"])
def test_a_section_is_an_object(admin: Api, fake: FakeProvider, section: str) -> None:
    reason = refused(admin.put("/completion/x", {**openai(fake), section: [1]}))
    assert reason == f"field [{section}] is not of the expected type. The value [[1]] cannot be converted to a [Map]"


def test_a_task_type_that_the_service_does_not_offer_is_refused(admin: Api) -> None:
    reason = refused(admin.put("/rerank/x", {"service": "openai", "service_settings": {}}))
    assert reason == "The [openai] service does not support task type [rerank]"


def test_all_problems_are_told_at_once(admin: Api) -> None:
    body = {
        "service": "openai",
        "service_settings": {
            "model_id": " ",
            "url": "not a url",
            "dimensions": 0,
            "similarity": "foo",
            "max_input_tokens": "7",
            "rate_limit": {"requests_per_minute": -1},
        },
        "task_settings": {"user": 1, "headers": {"a": 1}},
        "chunking_settings": {"strategy": "sentence"},
    }
    assert problems(admin.put("/text_embedding/x", body)) == [
        "[service_settings] Invalid value empty string. [model_id] must be a non-empty string",
        "[service_settings] Invalid url [not a url] received for field [url]. Error: unable to parse url [not a url]. "
        "Reason: expected http(s)://host[:port]/path",
        "[service_settings] Invalid value [0]. [dimensions] must be a positive integer",
        "[service_settings] Invalid value [foo] received. [similarity] must be one of [cosine, dot_product, l2_norm]",
        "field [max_input_tokens] is not of the expected type. The value [7] cannot be converted to a [Integer]",
        "[service_settings] Invalid value [-1]. [rate_limit.requests_per_minute] must be a positive integer",
        "[secret_settings] does not contain the required setting [api_key]",
        "field [user] is not of the expected type. The value [1] cannot be converted to a [String]",
        "field [headers] is not of the expected type. The value [***] cannot be converted to a [Map]",
        "[chunking_settings] does not contain the required setting [max_chunk_size]",
    ]


def test_required_settings_and_secrets_are_named(admin: Api) -> None:
    assert problems(admin.put("/completion/x", {"service": "openai", "service_settings": {}})) == [
        "[service_settings] does not contain the required setting [model_id]",
        "[secret_settings] does not contain the required setting [api_key]",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model_id": 1}, "field [model_id] is not of the expected type. The value [1] cannot be converted to a [String]"),
        ({"model_id": {"a": [None]}}, "field [model_id] is not of the expected type. The value [{a=[null]}] cannot be converted to a [String]"),
        ({"dimensions": 1.5}, "field [dimensions] is not of the expected type. The value [1.5] cannot be converted to a [Integer]"),
        ({"dimensions": True}, "field [dimensions] is not of the expected type. The value [true] cannot be converted to a [Integer]"),
        ({"dimensions": 2**31}, f"[service_settings] Invalid value [{2**31}]. [dimensions] must be less than or equal to [{2**31 - 1}]"),
        ({"dimensions": 10**300}, f"[service_settings] Invalid value [{str(10**300)[:200]}]. [dimensions] must be less than or equal to [{2**31 - 1}]"),
        ({"rate_limit": 5}, "field [rate_limit] is not of the expected type. The value [5] cannot be converted to a [Map]"),
        ({"api_key": ["sk-secret"]}, "field [api_key] is not of the expected type. The value [***] cannot be converted to a [String]"),
        ({"api_key": "sk\nsecret"}, "[service_settings] Invalid value received. [api_key] must be printable ASCII without line ends"),
        ({"scopes": []}, "[service_settings] Invalid value empty list. [scopes] must be a non-empty list"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_would_be_right(
    admin: Api, fake: FakeProvider, given: dict[str, Any], problem: str
) -> None:
    answer = admin.put("/text_embedding/x", embeddings(fake, service_settings=given))
    assert problem in problems(answer)
    assert "secret" not in answer.text.replace("secret_settings", "")


def test_a_number_too_large_for_a_float_is_no_double(admin: Api) -> None:
    answer = admin.put("/completion/x", {**ECHO, "service_settings": {"words_per_second": 10**400}})
    assert problems(answer)[0].startswith("field [words_per_second] is not of the expected type.")


@pytest.mark.parametrize("given", ["COSINE", "Cosine", "cosine"])
def test_a_choice_is_stored_as_it_is_declared(admin: Api, fake: FakeProvider, given: str) -> None:
    answer = admin.put("/text_embedding/x", embeddings(fake, service_settings={"similarity": given}))
    assert answer.body["service_settings"]["similarity"] == "cosine"


@pytest.mark.parametrize("rate_limit", [None, {}, {"requests_per_minute": None}])
def test_the_rate_limit_of_the_service_is_shown_when_none_is_given(
    admin: Api, fake: FakeProvider, rate_limit: dict[str, Any] | None
) -> None:
    answer = admin.put("/completion/x", openai(fake, service_settings={"rate_limit": rate_limit}))
    assert answer.body["service_settings"]["rate_limit"] == {"requests_per_minute": 500}


def test_a_given_rate_limit_is_kept(admin: Api, fake: FakeProvider) -> None:
    limit = {"requests_per_minute": 7}
    answer = admin.put("/completion/x", openai(fake, service_settings={"rate_limit": limit}))
    assert answer.body["service_settings"]["rate_limit"] == limit


@pytest.mark.parametrize("name", ["model", "model_id"])
def test_the_model_may_stand_where_it_once_did(admin: Api, fake: FakeProvider, name: str) -> None:
    body = openai(fake, task_settings={name: "gpt-old"})
    del body["service_settings"]["model_id"]
    answer = admin.put("/completion/x", body)
    assert answer.body["service_settings"]["model_id"] == "gpt-old"
    assert "task_settings" not in answer.body


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1/v1", "not at a public address"),
        ("http://93.184.216.34/v1", "plain http"),
        ("https://10.0.0.1/v1", "not at a public address"),
        ("https://169.254.169.254/latest", "not at a public address"),
        ("https://[::1]/v1", "not at a public address"),
        ("https://[::ffff:10.0.0.1]/v1", "not at a public address"),
        ("https://2130706433/v1", "not a canonical IPv4 address"),
        ("https://0x7f.1/v1", "not a canonical IPv4 address"),
        ("https://017700000001/v1", "not a canonical IPv4 address"),
        ("ftp://example.org/v1", "expected http(s)://"),
        ("https://user:pass@example.org/v1", "a user, a password or a fragment"),
        ("https://example.org/v1#x", "a user, a password or a fragment"),
        ("https://example.org:99999/v1", "Port out of range"),
        ("https:///v1", "expected http(s)://"),
    ],
)
def test_an_address_that_is_never_connected_to_is_refused_even_without_validation(
    admin: Api, fake: FakeProvider, settings: Settings, url: str, reason: str
) -> None:
    unvalidated(settings)
    (problem,) = problems(admin.put("/completion/x", openai(fake, service_settings={"url": url})))
    assert problem.startswith("[service_settings] Invalid url [")
    assert "received for field [url]. Error: " in problem
    assert reason in problem


@pytest.mark.parametrize("url", ["https://user:hunter2@example.org/", "https://user:hunter2@example.org:x/"])
def test_a_password_in_an_address_is_not_repeated(admin: Api, fake: FakeProvider, url: str) -> None:
    answer = admin.put("/completion/x", openai(fake, service_settings={"url": url}))
    assert "Invalid url [***] received for field [url]" in answer.reason
    assert "hunter2" not in answer.text


def test_a_public_name_is_judged_only_when_it_is_connected_to(
    admin: Api, fake: FakeProvider, settings: Settings
) -> None:
    unvalidated(settings)
    body = openai(fake, service_settings={"url": "https://llm.example.org/v1/chat/completions"})
    assert admin.put("/completion/x", body).status == 200


@pytest.mark.parametrize(
    ("more", "listed"),
    [
        ({"foo": "bar"}, "{foo=bar}"),
        ({"service_settings": {"a": 1, "b": "x", "c": {"d": [True, None]}}}, "{a=1, b=x, c={d=[true, null]}}"),
        ({"service_settings": {"rate_limit": {"foo": 1}}}, "{rate_limit={foo=1}}"),
        ({"task_settings": {"temperature": 0.5}}, "{temperature=0.5}"),
        ({"service_settings": {"a": 1}, "task_settings": {"b": 2}, "c": 3}, "{a=1, b=2, c=3}"),
        ({"chunking_settings": {"strategy": "none"}}, "{chunking_settings={strategy=none}}"),
        ({"service_settings": {"dimensions": 3}}, "{dimensions=3}"),
        ({"inference_id": "x"}, "{inference_id=x}"),
    ],
)
def test_unknown_settings_are_listed_as_java_prints_them(
    admin: Api, fake: FakeProvider, more: dict[str, Any], listed: str
) -> None:
    reason = refused(admin.put("/completion/x", openai(fake, **more)))
    assert reason == f"Configuration contains settings [{listed}] unknown to the [openai] service"
    assert fake.requests == []


def test_a_refusal_of_the_provider_is_the_cause_and_always_400(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/completion/my-chat", openai(fake, service_settings={"api_key": "wrong"}))
    reason = refused(answer)
    cause = {
        "type": "status_exception",
        "reason": "Received an authentication error status code for request from inference entity id [my-chat] "
        "status [401]. Error message: [Incorrect API key provided]",
    }
    text = "Could not complete inference endpoint creation as validation call to service threw an exception."
    assert reason == text
    assert answer.body["error"] == {
        "root_cause": [cause],
        "type": "status_exception",
        "reason": text,
        "caused_by": cause,
    }


def test_a_provider_that_cannot_be_reached_is_named(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/completion/x", openai(fake, service_settings={"url": "http://127.0.0.1:1/v1"}))
    refused(answer)
    assert "[127.0.0.1:1]" in answer.body["error"]["caused_by"]["reason"]


def test_the_validation_call_ends_at_the_timeout(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/completion/x?timeout=100ms", openai(fake, model="slow-headers:30"))
    refused(answer)
    assert answer.body["error"]["caused_by"]["reason"] == "Request timed out after [100ms]"
    assert fake.wait_closed()


def test_a_wrong_timeout_is_refused_before_anything_is_asked(admin: Api, fake: FakeProvider) -> None:
    reason = refused(admin.put("/completion/x?timeout=30", openai(fake)), type_="illegal_argument_exception")
    assert "unit is missing or unrecognized" in reason
    assert fake.requests == []


def test_the_length_of_the_vectors_is_taken_from_the_answer(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/text_embedding/x", embeddings(fake))
    assert answer.body["service_settings"]["dimensions"] == 3
    assert answer.body["service_settings"]["similarity"] == "dot_product"
    assert fake.last.json() == {"input": ["how big"], "model": "gpt-fake"}


def test_a_wanted_length_is_asked_for(admin: Api, fake: FakeProvider) -> None:
    answer = admin.put("/text_embedding/x", embeddings(fake, service_settings={"dimensions": 3}))
    assert answer.body["service_settings"]["dimensions"] == 3
    assert fake.last.json()["dimensions"] == 3


def test_another_length_than_the_wanted_one_is_refused(admin: Api, fake: FakeProvider) -> None:
    reason = refused(admin.put("/text_embedding/x", embeddings(fake, service_settings={"dimensions": 2})))
    assert reason == (
        "The retrieved embeddings size [3] does not match the size specified in the settings [2]. "
        "Please recreate the [x] configuration with the correct dimensions"
    )


def test_an_id_that_is_taken_is_found_out_only_at_the_end(admin: Api, fake: FakeProvider) -> None:
    admin.put("/completion/x", ECHO)
    answer = admin.put("/completion/x", openai(fake))
    assert (answer.status, answer.type) == (400, "resource_already_exists_exception")
    assert answer.reason == "Inference endpoint [x] already exists"
    assert len(fake.requests) == 1
    assert admin.get("/x").body["endpoints"][0]["service"] == "echo"
    assert not EndpointSecret.objects.exists()


def test_secrets_are_in_no_answer_and_not_in_the_row(admin: Api, fake: FakeProvider) -> None:
    headers = {"X-Tenant": "header-secret"}
    answers = [admin.put("/completion/x", openai(fake, task_settings={"headers": headers})), admin.get("/x")]
    answers += [admin.get(), admin.update("/x", {"task_settings": {"user": "me"}})]
    row = json.dumps(list(Endpoint.objects.values()), default=str)
    for text in (*(answer.text for answer in answers), row):
        assert API_KEY not in text
        assert "api_key" not in text
        assert "header-secret" not in text
    assert answers[0].body["task_settings"] == {"headers": {"X-Tenant": "***"}}
    ciphertexts = EndpointSecret.objects.values_list("name", "ciphertext")
    assert sorted(name for name, _ in ciphertexts) == ["api_key", "headers"]
    assert all("secret" not in ciphertext and API_KEY not in ciphertext for _, ciphertext in ciphertexts)


def test_a_mask_is_no_value_of_a_new_endpoint(admin: Api, fake: FakeProvider) -> None:
    body = openai(fake, task_settings={"headers": {"X-Tenant": "***", "X-Other": "x"}})
    assert problems(admin.put("/completion/x", body)) == [
        "[task_settings] Invalid value [***] received for [X-Tenant] in [headers]; "
        "it stands for a stored value, and there is none"
    ]


DEFAULT = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, DEFAULT),
        ({}, DEFAULT),
        ({"strategy": "none"}, {"strategy": "none"}),
        ({"strategy": "Sentence", "max_chunk_size": 20}, {"strategy": "sentence", "max_chunk_size": 20, "sentence_overlap": 1}),
        ({"strategy": "sentence", "max_chunk_size": 99, "sentence_overlap": 0}, {"strategy": "sentence", "max_chunk_size": 99, "sentence_overlap": 0}),
        ({"strategy": "word", "max_chunk_size": 11, "overlap": 5}, {"strategy": "word", "max_chunk_size": 11, "overlap": 5}),
        ({"strategy": "recursive", "max_chunk_size": 10, "separator_group": "markdown"}, {"strategy": "recursive", "max_chunk_size": 10, "separator_group": "markdown"}),
        ({"strategy": "recursive", "max_chunk_size": 10, "separators": ["\n\n", "\n"]}, {"strategy": "recursive", "max_chunk_size": 10, "separators": ["\n\n", "\n"]}),
    ],
)  # fmt: skip
def test_chunking_settings_are_stored_complete(
    admin: Api, fake: FakeProvider, given: dict[str, Any] | None, stored: dict[str, Any]
) -> None:
    answer = admin.put("/text_embedding/x", embeddings(fake, chunking_settings=given))
    assert answer.status == 200, answer.text
    assert answer.body["chunking_settings"] == stored
    assert admin.get("/x").body["endpoints"][0]["chunking_settings"] == stored


SCOPE = "[chunking_settings]"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_chunk_size": 20}, [f"{SCOPE} does not contain the required setting [strategy]"]),
        ({"strategy": "x"}, [f"{SCOPE} Invalid value [x] received. [strategy] must be one of [none, recursive, sentence, word]"]),
        ({"strategy": "sentence", "max_chunk_size": 19, "sentence_overlap": 2}, [f"{SCOPE} Invalid value [19]. [max_chunk_size] must be greater than or equal to [20]", f"{SCOPE} Invalid value [2]. [sentence_overlap] must be less than or equal to [1]"]),
        ({"strategy": "word", "max_chunk_size": 9}, [f"{SCOPE} Invalid value [9]. [max_chunk_size] must be greater than or equal to [10]", f"{SCOPE} does not contain the required setting [overlap]"]),
        ({"strategy": "word", "max_chunk_size": 11, "overlap": 6}, [f"{SCOPE} Invalid value [6]. [overlap] must be less than or equal to [5]"]),
        ({"strategy": "recursive", "max_chunk_size": 10}, [f"{SCOPE} needs exactly one of [separators, separator_group]"]),
        ({"strategy": "recursive", "max_chunk_size": 10, "separators": ["a"], "separator_group": "markdown"}, [f"{SCOPE} needs exactly one of [separators, separator_group]"]),
        ({"strategy": "recursive", "max_chunk_size": 10, "separator_group": "x"}, [f"{SCOPE} Invalid value [x] received. [separator_group] must be one of [markdown, plaintext]"]),
        ({"strategy": "recursive", "max_chunk_size": 10, "separators": [], "separator_group": "plaintext"}, [f"{SCOPE} Invalid value empty list. [separators] must be a non-empty list"]),
        ({"strategy": "none", "max_chunk_size": 10}, [f"{SCOPE} does not allow the setting [max_chunk_size] for this strategy"]),
        ({"strategy": "sentence", "max_chunk_size": 20, "overlap": 1}, [f"{SCOPE} does not allow the setting [overlap] for this strategy"]),
        ({"strategy": "sentence", "max_chunk_size": "20"}, ["field [max_chunk_size] is not of the expected type. The value [20] cannot be converted to a [Integer]"]),
    ],
)  # fmt: skip
def test_wrong_chunking_settings_are_refused(
    admin: Api, fake: FakeProvider, given: dict[str, Any], expected: list[str]
) -> None:
    assert problems(admin.put("/text_embedding/x", embeddings(fake, chunking_settings=given))) == expected
    assert fake.requests == []
