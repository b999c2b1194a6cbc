"""The one family of errors that every room raises and every door renders.

    ApiError                          any status, Elasticsearch's `exception`
    ├── BadRequest                    400 illegal_argument_exception
    │   ├── ParseFailed               400 parse_exception
    │   │   └── BodyMissing           400 parse_exception
    │   ├── BodyInvalid               400 x_content_parse_exception
    │   ├── RequestInvalid            400 action_request_validation_exception
    │   ├── SettingsInvalid           400 validation_exception
    │   ├── MediaTypeInvalid          400 media_type_header_exception
    │   └── AlreadyExists             400 resource_already_exists_exception
    ├── NotAuthenticated              401 security_exception
    ├── Forbidden                     403 security_exception
    ├── NotFound                      404 resource_not_found_exception
    ├── TooLarge                      413 content_too_long_exception
    ├── DatabaseUnavailable           503 status_exception
    ├── TaskCancelled                 400 task_cancelled_exception
    ├── StatusError                   any status_exception
    │   ├── TooManyRequests           429 status_exception
    │   ├── ShuttingDown              503
    │   └── ProviderError             what a provider answered, or that it did not
    └── PlainError                    405, 406, 400: a sentence instead of an object

An error carries its status, its type and its facts; `wire.elastic` turns it into a body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any


class ApiError(Exception):
    """An answer that is not a success.

    `caused_by` is rendered below the error and becomes its root cause. `metadata` are keys that stand beside
    `type` and `reason`. `headers` are sent with the response; a list of values is one header line each.
    """

    status = 500
    type = "exception"

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        caused_by: ApiError | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = self.status if status is None else status
        self.caused_by = caused_by
        self.metadata = dict(metadata or {})
        self.headers = dict(headers or {})


class BadRequest(ApiError):
    status = 400
    type = "illegal_argument_exception"


class ParseFailed(BadRequest):
    """A body is JSON but not what it should be, where Elasticsearch gives no position."""

    type = "parse_exception"


class BodyMissing(ParseFailed):
    def __init__(self, reason: str = "request body is required") -> None:
        super().__init__(reason)


class BodyInvalid(BadRequest):
    """`reason` starts with the position in the body, `[line:column] `, both counted from 1."""

    type = "x_content_parse_exception"


class _Problems(BadRequest):
    """All that is wrong with a request, numbered."""

    def __init__(self, *problems: str) -> None:
        numbered = "".join(f"{number}: {problem};" for number, problem in enumerate(problems, 1))
        super().__init__(f"Validation Failed: {numbered}")
        self.problems = problems


class RequestInvalid(_Problems):
    type = "action_request_validation_exception"


class SettingsInvalid(_Problems):
    """`fields` says, for forms, which setting each problem belongs to; "" where it belongs to none."""

    type = "validation_exception"

    def __init__(self, *problems: str, fields: Sequence[str] = ()) -> None:
        super().__init__(*problems)
        self.fields = tuple(fields) or ("",) * len(problems)


class MediaTypeInvalid(BadRequest):
    type = "media_type_header_exception"


class AlreadyExists(BadRequest):
    type = "resource_already_exists_exception"


CHALLENGES = ('Basic realm="security", charset="UTF-8"', 'Bearer realm="security"', "ApiKey")


class NotAuthenticated(ApiError):
    """`detail` says why an API key was refused; it is safe to show."""

    status = 401
    type = "security_exception"

    def __init__(self, reason: str, *, detail: str = "") -> None:
        metadata: dict[str, Any] = {"additional_unsuccessful_credentials": detail} if detail else {}
        metadata["header"] = {"WWW-Authenticate": list(CHALLENGES)}
        super().__init__(reason, metadata=metadata, headers={"WWW-Authenticate": CHALLENGES})


class Forbidden(ApiError):
    status = 403
    type = "security_exception"


class NotFound(ApiError):
    status = 404
    type = "resource_not_found_exception"


class TooLarge(ApiError):
    status = 413
    type = "content_too_long_exception"

    def __init__(self, limit: int) -> None:
        super().__init__(f"entity content is too long for the configured buffer limit [{limit}]")


class DatabaseUnavailable(ApiError):
    status = 503
    type = "status_exception"

    def __init__(self) -> None:
        super().__init__("the database of the gateway is not available, try again", headers={"Retry-After": "1"})


class TaskCancelled(ApiError):
    """Somebody who may stopped the request. Status and type are Elasticsearch's; its clients do not try again."""

    status = 400
    type = "task_cancelled_exception"

    def __init__(self) -> None:
        super().__init__("The request was stopped by an administrator of the gateway or by its own user")


class StatusError(ApiError):
    """An error of the inference API itself; the status says what kind."""

    status = 400
    type = "status_exception"


class TooManyRequests(StatusError):
    """The gateway's own bounds let a request not in; `refusal` names which. After `retry_after` seconds it may be let.

    `refusal` is `streams`, `caller_streams`, `waiting` or `rate_limit`.
    """

    status = 429

    def __init__(self, reason: str, *, refusal: str, retry_after: float) -> None:
        self.refusal = refusal
        self.retry_after = max(1, ceil(retry_after))
        super().__init__(reason, headers={"Retry-After": str(self.retry_after)})


class ShuttingDown(StatusError):
    """The process is leaving. `refusal` says that the request was not begun."""

    def __init__(self, *, refusal: str = "") -> None:
        super().__init__("The gateway is shutting down, try again", status=503, headers={"Retry-After": "1"})
        self.refusal = refusal


class ProviderError(StatusError):
    """What a provider answered instead of a result, or that it could not be reached.

    `code`, `param` and `provider_type` are the provider's own, for dialects that pass them on. `cut` says that the
    connection ended or broke before the answer was complete; silence is no cut, its status is 408.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        provider_type: str | None = None,
        cut: bool = False,
    ) -> None:
        super().__init__(reason, status=status)
        self.code = code
        self.param = param
        self.provider_type = provider_type
        self.cut = cut


class PlainError(ApiError):
    """An error that Elasticsearch writes as a sentence: `{"error": "...", "status": 405}`."""


class MethodNotAllowed(PlainError):
    status = 405

    def __init__(self, uri: str, method: str, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__(
            f"Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{methods}]",
            headers={"Allow": ", ".join(allowed)},
        )


class NotAcceptable(PlainError):
    status = 406


class NoHandler(PlainError):
    """An unknown path; Elasticsearch answers 400 and leaves the status out of the body."""

    status = 400

    def __init__(self, uri: str, method: str) -> None:
        super().__init__(f"no handler found for uri [{uri}] and method [{method}]")
