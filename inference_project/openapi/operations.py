"""One operation of the API as data, and how it is written in the document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from access.authentication import SecuredView
from access.privileges import ACTIONS
from inference_project.openapi import errors, parameters
from inference_project.openapi.schemas import Schema
from wire.media_types import EVENT_STREAM, JSON

# Credentials, media types and bodies can be wrong everywhere, and who calls is asked of the database.
_EVERYWHERE = frozenset({400, 401, 403, 406, 413, 429, 503})


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a method does at one path, or at several that mean the same.

    `result` is the schema of a success, and of the statuses in `also_with`, which says what they mean. Where a view is
    named, the privilege and the query parameters are those that it declares; a function has `action` and `parameters`
    instead. `errors` are those beside the ones that may be met everywhere. An operation that is `bare` is outside of
    all that: it takes no common parameters, its errors are all in `errors`, and without a 401 among them it needs no
    credentials.
    """

    id: str
    method: str
    paths: tuple[str, ...]
    tag: str
    summary: str
    description: str = ""
    view: type[SecuredView] | None = None
    action: str = ""
    parameters: tuple[str, ...] = ()
    body: Schema | None = None
    result: Schema
    result_description: str
    also_with: Mapping[int, str] | None = None
    errors: tuple[int, ...] = ()
    media_type: str = JSON
    bare: bool = False

    def at(self, path: str) -> Schema:
        """Return the operation object for `path`, one of its paths."""
        number = self.paths.index(path)
        return {
            "operationId": f"{self.id}_{number}" if number else self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": " ".join(self._sentences()),
            "parameters": [*self._path_parameters(path), *map(parameters.query, self._query_parameters())],
            **self._request_body(),
            "responses": self._responses(),
            **({"security": []} if self.bare and 401 not in self.errors else {}),
        }

    def _sentences(self) -> Iterator[str]:
        if self.description:
            yield self.description
        action = self.view.actions.get(self.method, "") if self.view else self.action
        if action:
            granting = ", ".join(f"`{name}`" for name in ACTIONS[action])
            yield f"Needs one of the cluster privileges {granting}."
        else:
            yield "Needs no privilege."

    def _path_parameters(self, path: str) -> Iterator[Schema]:
        for name in re.findall(r"{(\w+)}", path):
            yield parameters.path(parameters.OF_LISTS.get(name, name) if self.method == "GET" else name)

    def _query_parameters(self) -> list[str]:
        own = self.view.parameters.get(self.method, ()) if self.view else self.parameters
        return [*sorted(own), *(() if self.bare else parameters.COMMON)]

    def _request_body(self) -> Schema:
        if self.body is None:
            return {}
        return {"requestBody": {"required": True, "content": {JSON: {"schema": self.body}}}}

    def _responses(self) -> Schema:
        content = {self.media_type: {"schema": self.result}}
        known = {200: self.result_description, **(self.also_with or {})}
        succeeded = {str(status): {"description": text, "content": content} for status, text in known.items()}
        statuses = {*(() if self.bare else _EVERYWHERE), *self.errors, *((408,) if self.body else ())}
        return succeeded | errors.references(statuses - known.keys(), stream=self.media_type == EVENT_STREAM)
