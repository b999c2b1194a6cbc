"""What goes wrong with a request to a provider, as one ProviderError in Elasticsearch's words.

A provider's message is cut, and the secrets of the endpoint, which some providers repeat, are taken out of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from endpoints.providers._http import ConnectionFailed
from endpoints.providers._values import MASK
from wire.errors import ProviderError

LONGEST_MESSAGE = 500
# What is shorter is no secret, and to take it out would garble messages: a header may have the value `1`.
_SHORTEST_SECRET = 4
# A 304 must not have a body, so it cannot say what went wrong.
_STATUSES = frozenset(status.value for status in HTTPStatus) - {HTTPStatus.NOT_MODIFIED}


@dataclass(frozen=True, slots=True)
class ProviderMessage:
    """What a provider says about an error: its text ("" where it has none), and its own names for what happened."""

    text: str = ""
    code: str | None = None
    param: str | None = None
    type: str | None = None


@dataclass(slots=True)
class Failures:
    """Makes the errors of one request. `name` is what was asked, as in `OpenAI chat completions`."""

    name: str
    inference_id: str
    host: str
    """Host and port."""
    secrets: Callable[[], Sequence[str]] = field(repr=False)
    """Asked only where there is a message; a token may have been fetched meanwhile."""
    error_type: str = ""
    """What stands for the type of every error, for services that name none."""

    def connection(self, failure: ConnectionFailed) -> ProviderError:
        """Nothing of an answer was passed on."""
        return self.not_answered(failure.cause, status=failure.status, cut=failure.cut)

    def not_answered(self, cause: str, *, status: int = 500, cut: bool = False) -> ProviderError:
        """No answer came, or one that cannot be read."""
        sent = f"{self.name} request from inference entity id [{self.inference_id}] to [{self.host}]"
        return ProviderError(f"Failed to send {sent}. Cause: {cause}", status=status, cut=cut)

    def refused(self, prefix: str, status: int, message: ProviderMessage) -> ProviderError:
        """The provider answered with an HTTP status that is not a success; `prefix` says which."""
        start = f"{prefix} for request from inference entity id [{self.inference_id}] status [{status}]"
        # A failure of the provider's server is not one of ours.
        shown = status if status < 500 and status in _STATUSES else 400
        return self._with_message(start, shown if shown >= 300 else 400, message)

    def error_in_stream(self, message: ProviderMessage, *, status: int) -> ProviderError:
        start = f"Received an error response for request from inference entity id [{self.inference_id}]"
        return self._with_message(start, status, message)

    def midway(self, failure: ConnectionFailed) -> ProviderError:
        """The connection failed inside an answer."""
        return self._incomplete(failure.cause, failure.status, cut=failure.cut)

    def cut_off(self, cause: str) -> ProviderError:
        """The provider ended the answer before it was complete."""
        return self._incomplete(cause, 500, cut=True)

    def given_up(self, cause: str) -> ProviderError:
        """The gateway reads no more of an answer, since what came cannot be understood or is too much."""
        return self._incomplete(cause, 500, cut=False)

    def read_message(self, body: bytes) -> ProviderMessage:
        message = read_message(body, self.secrets())
        return replace(message, type=self.error_type) if self.error_type else message

    def without_secrets(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of an answer as messages may have them, by names in lower case."""
        secrets = self.secrets()
        return {name.lower(): without(value, secrets) for name, value in headers.items()}

    def _incomplete(self, cause: str, status: int, *, cut: bool) -> ProviderError:
        whose = f"inference entity id [{self.inference_id}] from [{self.host}]"
        return ProviderError(f"The {self.name} answer for {whose} was cut off. Cause: {cause}", status=status, cut=cut)

    @staticmethod
    def _with_message(start: str, status: int, message: ProviderMessage) -> ProviderError:
        reason = f"{start}. Error message: [{message.text}]" if message.text else start
        return ProviderError(reason, status=status, code=message.code, param=message.param, provider_type=message.type)


def read_message(body: bytes, secrets: Sequence[str]) -> ProviderMessage:
    """Return what a body says about an error: `{"error": {"message": ...}}` with OpenAI, the same in a list and with
    the type as `status` with Google, `{"error": "..."}` and `{"message": ...}` with others. `secrets` are taken out
    of it."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProviderMessage()
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return ProviderMessage()
    error = value.get("error") or _first(value.get("errors")) or value
    facts = error if isinstance(error, dict) else {**value, "message": error}
    found = (facts.get(key) for key in ("message", "code", "param", "type", "status"))
    text, code, param, kind, status = (_shown(one, secrets) for one in found)
    if isinstance(facts.get("status"), str):
        kind = kind or status
    code = code or _shown(facts.get("http_status_code"), secrets)
    more = _shown(facts.get("error_description") or facts.get("detail") or facts.get("errorMessage"), secrets)
    return ProviderMessage(": ".join(filter(None, (text, more)))[:LONGEST_MESSAGE], code, param, kind)


def _first(errors: Any) -> Any:
    """Return the first of IBM's list of errors; the others say less."""
    return errors[0] if isinstance(errors, list) and errors else None


def _shown(value: Any, secrets: Sequence[str]) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return without(value, secrets)[:LONGEST_MESSAGE]


def without(text: str, secrets: Sequence[str]) -> str:
    """Return `text` with masks for `secrets`. Cut it afterwards: a part of a secret is not found."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _written(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _written(secret: str) -> Iterator[str]:
    """Yield `secret` as it is, and as URLs, forms and JSON have it."""
    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield json.dumps(secret)[1:-1]
