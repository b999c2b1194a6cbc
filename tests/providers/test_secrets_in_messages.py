"""Messages of providers and of our own: secrets are taken out of them, in whatever way they are written there."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest

from endpoints.providers._base import user_message
from endpoints.providers._failures import LONGEST_MESSAGE, read_message, without
from endpoints.providers._values import java_text
from tests.fakes.behaviours import answer
from tests.fakes.indiscreet import Indiscreet
from tests.fakes.provider import API_KEY, FakeProvider
from tests.providers.endpoints import openai
from wire.errors import ProviderError

SECRET = 's3cret key/with+all="of\\\\&these%'


@pytest.mark.parametrize("written", [str, quote, quote_plus, lambda text: quote(text, safe=""), json.dumps])
def test_a_secret_is_found_as_urls_forms_and_json_write_it(written: object) -> None:
    form = written(SECRET)  # type: ignore[operator]
    message = read_message(json.dumps({"error": {"message": f"wrong: {form}!"}}).encode(), (SECRET,))
    assert message.text.replace('"', "") == "wrong: ***!"


def test_a_secret_at_the_cut_is_taken_out_before_the_cut() -> None:
    message = read_message(json.dumps({"message": "x" * (LONGEST_MESSAGE - 5) + SECRET}).encode(), (SECRET,))
    assert message.text == "x" * (LONGEST_MESSAGE - 5) + "***"


def test_a_secret_that_contains_another_leaves_nothing_behind() -> None:
    assert without("Bearer abcd-efgh", ("abcd", "abcd-efgh")) == "Bearer ***"


def test_what_is_too_short_to_be_a_secret_garbles_no_message() -> None:
    assert without("all is well", ("a", "all")) == "all is well"


async def test_a_secret_in_the_headers_of_a_refusal_is_taken_out() -> None:
    """Those about rate limits stand in the message."""
    provider = Indiscreet(answer)
    provider.mode = "refused-429"
    with FakeProvider.running(respond=provider) as fake:
        async with openai(fake, "m") as endpoint:
            with pytest.raises(ProviderError) as error:
                await endpoint.complete(user_message("hello"))
    assert "remaining tokens [Bearer ***" in error.value.reason
    assert API_KEY not in error.value.reason


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apikey", "API-Key", "client_secret", "password", "entra_id", "token", "access_token", "headers"),
        *("service_account_json", "credentials", "Authorization"),
    ],
)
def test_a_secret_in_a_wrong_place_is_not_repeated(name: str) -> None:
    value = {"odd": [{name: SECRET, "more": {name: {"X": SECRET}}}], "model_id": "m"}
    assert java_text(value) == f"{{odd=[{{{name}=***, more={{{name}=***}}}}], model_id=m}}"


@pytest.mark.parametrize("name", ["max_tokens", "max_input_tokens", "token_url", "model_id", "keys_per_page"])
def test_other_values_are_shown(name: str) -> None:
    assert java_text({name: 7}) == f"{{{name}=7}}"
