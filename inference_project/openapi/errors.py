"""What is answered instead of a success: the shapes of errors, and the statuses that they come with."""

from __future__ import annotations

from dataclasses import dataclass

from inference_project.openapi.schemas import OBJECT, TEXT, Schema, answer, any_of, array, described, reference
from wire.errors import CHALLENGES
from wire.media_types import EVENT_STREAM, JSON

_FACTS = {"type": TEXT, "reason": TEXT}
_STATUS: Schema = {"type": "integer", "minimum": 400, "maximum": 599}

SCHEMAS: dict[str, Schema] = {
    "ErrorCause": answer({**_FACTS, "caused_by": reference("ErrorCause")}, optional=("caused_by",)),
    "Error": answer(
        {
            "error": answer(
                {
                    "root_cause": described(array(reference("ErrorCause")), "The innermost cause."),
                    **_FACTS,
                    "caused_by": reference("ErrorCause"),
                    "additional_unsuccessful_credentials": described(TEXT, "Why an API key was refused."),
                    "header": described(OBJECT, "Headers of the answer, for clients that only keep its body."),
                },
                optional=("caused_by", "additional_unsuccessful_credentials", "header"),
            ),
            "status": _STATUS,
        }
    ),
    "PlainError": described(
        answer({"error": TEXT, "status": _STATUS}, optional=("status",)),
        "For a path (then without `status`), a method or a media type that does not exist here.",
    ),
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    """`status` is 0 for whatever else a provider answers; `schemas` are those that its body may have."""

    status: int
    name: str
    description: str
    schemas: tuple[str, ...] = ("Error",)
    headers: tuple[str, ...] = ()


_REFUSALS = (
    _Refusal(400, "BadRequest", "The request is wrong; the reason names every problem found.", ("Error", "PlainError")),
    _Refusal(
        401,
        "NotAuthenticated",
        "No credentials, or wrong ones. From a provider (then without `WWW-Authenticate`): the endpoint's are wrong.",
        headers=("WWW-Authenticate",),
    ),
    _Refusal(403, "Forbidden", "The caller lacks the privilege, or a provider refuses the endpoint."),
    _Refusal(404, "NotFound", "There is no such endpoint, team or key, or a provider knows no such model."),
    _Refusal(405, "NotAllowed", "The endpoint cannot be streamed.", ("Error", "PlainError"), ("Allow",)),
    _Refusal(406, "NotAcceptable", "The media type of the body, or of `format`, is not JSON.", ("PlainError",)),
    _Refusal(408, "TimedOut", "The body did not arrive, or the provider did not answer, in time."),
    _Refusal(409, "Conflict", "The endpoint is being updated, or the team has endpoints or was changed meanwhile."),
    _Refusal(413, "TooLarge", "The body is too large, packed or unpacked."),
    _Refusal(429, "TooMany", "A limit of the gateway or of the provider is reached.", headers=("Retry-After",)),
    _Refusal(500, "ProviderFailed", "The provider could not be reached, or its answer could not be read."),
    _Refusal(
        503,
        "Unavailable",
        "The gateway is leaving or has no database, or nothing runs the model.",
        headers=("Retry-After",),
    ),
    _Refusal(0, "ProviderRefused", "The provider refused; its status is passed on where it is below 500."),
)
_BY_STATUS = {refusal.status: refusal for refusal in _REFUSALS}
OF_PROVIDERS = (404, 408, 500, 0)
"""What an answer may be where a provider is asked, beside what every operation may be answered."""

_STREAMED = "Streamed"
_HEADERS: dict[str, Schema] = {
    "WWW-Authenticate": {"schema": TEXT, "example": CHALLENGES[0]},
    "Allow": {"schema": TEXT},
    "Retry-After": {"schema": TEXT, "description": "Seconds to wait."},
}


def responses() -> dict[str, Schema]:
    """Return the components for errors; those of streams may be one event as well."""
    plain = {refusal.name: _response(refusal) for refusal in _REFUSALS}
    return plain | {f"{_STREAMED}{refusal.name}": _response(refusal, stream=True) for refusal in _REFUSALS}


def references(statuses: set[int], *, stream: bool = False) -> dict[str, Schema]:
    """Return the responses of an operation for `statuses`."""
    prefix = _STREAMED if stream else ""
    found = ((str(status or "default"), prefix + _BY_STATUS[status].name) for status in sorted(statuses))
    return {status: {"$ref": f"#/components/responses/{name}"} for status, name in found}


def _response(refusal: _Refusal, *, stream: bool = False) -> Schema:
    schemas = [reference(name) for name in refusal.schemas]
    content: Schema = {JSON: {"schema": schemas[0] if len(schemas) == 1 else any_of(schemas)}}
    if stream:
        content[EVENT_STREAM] = {"schema": reference("ErrorEvent")}
    headers = {"headers": {name: _HEADERS[name] for name in refusal.headers}} if refusal.headers else {}
    return {"description": refusal.description, "content": content, **headers}
