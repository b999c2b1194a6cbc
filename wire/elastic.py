"""Errors as Elasticsearch writes them (API behaviour: Elasticsearch 9.5, "standard error object")."""

from __future__ import annotations

from typing import Any

from wire.errors import ApiError, NoHandler, PlainError


def error_body(error: ApiError) -> dict[str, Any]:
    """Return the JSON body of `error`; the root cause is the innermost error of its chain."""
    if isinstance(error, NoHandler):
        return {"error": error.reason}
    if isinstance(error, PlainError):
        return {"error": error.reason, "status": error.status}
    root = error
    while root.caused_by is not None:
        root = root.caused_by
    return {"error": {"root_cause": [_facts(root)], **_chain(error)}, "status": error.status}


def _facts(error: ApiError) -> dict[str, Any]:
    return {"type": error.type, "reason": error.reason, **error.metadata}


def _chain(error: ApiError) -> dict[str, Any]:
    facts = _facts(error)
    if error.caused_by is not None:
        facts["caused_by"] = _chain(error.caused_by)
    return facts
