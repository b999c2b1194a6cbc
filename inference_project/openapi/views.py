"""`GET /_inference/openapi.json`, for everyone who can log in: the document names the services."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from access.authentication import SecuredView
from wire.media_types import JSON


class DocumentView(SecuredView):
    def get(self, request: Request) -> HttpResponse:
        # Made of all services, whose import takes as long as that of the rest of the gateway.
        from inference_project.openapi.document import content, document

        if self.plain.META.get("QUERY_STRING"):
            return self.json(document())
        return HttpResponse(content(), content_type=JSON)
