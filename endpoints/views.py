"""The management API: `/_inference/...`, but for what asks an endpoint, which is in the streaming room."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from access.authentication import SecuredView
from endpoints import lifecycle
from endpoints.models import Endpoint
from endpoints.providers import load, names
from endpoints.serializers import EndpointSerializer, service_listing
from wire import times
from wire.errors import StatusError
from wire.requests import flag

GET = "cluster:monitor/xpack/inference/get"
PUT = "cluster:admin/xpack/inference/put"
UPDATE = "cluster:admin/xpack/inference/update"
DELETE = "cluster:admin/xpack/inference/delete"
SERVICES = "cluster:monitor/xpack/inference/services/get"
_ALL = ("_all", "*")


class EndpointView(SecuredView):
    """`/_inference`, `/_inference/<id>`, `/_inference/<task_type>/<id>`; POST is the streaming room's."""

    actions = {"GET": GET, "PUT": PUT, "DELETE": DELETE}
    parameters = {"PUT": frozenset({"timeout"}), "DELETE": frozenset({"dry_run", "force"})}
    bodies = {"PUT": "required"}

    @property
    def allowed_methods(self) -> list[str]:
        if self.kwargs.get("inference_id") is None:
            return ["GET"]
        return ["GET", "PUT", "DELETE", "POST"]

    def get(self, request: Request, inference_id: str | None = None, task_type: str | None = None) -> HttpResponse:
        wanted = None if task_type is None else lifecycle.parse_task_type(task_type)
        if inference_id is not None and inference_id not in _ALL:
            return self.json({"endpoints": [EndpointSerializer(self._find(inference_id, wanted)).data]})
        endpoints = Endpoint.objects.all()
        if wanted not in (None, "any"):
            endpoints = endpoints.filter(task_type=wanted)
        for one in endpoints:
            if one.service not in names():
                raise StatusError(
                    f"Unknown service [{one.service}] for inference endpoint [{one.inference_id}].", status=500
                )
        return self.json({"endpoints": [EndpointSerializer(one).data for one in endpoints if self._reaches(one)]})

    def put(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        wanted = None if task_type is None else lifecycle.parse_task_type(task_type)
        endpoint = lifecycle.create(inference_id, wanted, self.object("PutRequest"), timeout=self._timeout())
        return self.json(EndpointSerializer(endpoint).data)

    def delete(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        wanted = None if task_type is None else lifecycle.parse_task_type(task_type)
        dry_run, _ = flag(self.plain, "dry_run"), flag(self.plain, "force")
        self._find(inference_id, wanted)
        lifecycle.delete(inference_id, wanted, dry_run=dry_run)
        answer: dict[str, Any] = {"acknowledged": not dry_run, "pipelines": [], "indexes": []}
        # Nothing here refers to an endpoint; the keys are what clients read.
        return self.json(answer | ({"error_message": ""} if dry_run else {}))

    def _find(self, inference_id: str, task_type: str | None) -> Endpoint:
        """Return the endpoint. Raise NotFound for one that is not there, and for one out of the caller's reach."""
        endpoint = lifecycle.find(inference_id)
        if not self._reaches(endpoint):
            raise lifecycle.not_found(inference_id)
        return lifecycle.find(inference_id, task_type)

    def _reaches(self, endpoint: Endpoint) -> bool:
        return self.caller.reaches(endpoint)

    def _timeout(self) -> float | None:
        text = self.plain.GET.get("timeout")
        return lifecycle.VALIDATION_SECONDS if text is None else times.seconds("timeout", text)


class UpdateView(EndpointView):
    """`/_inference/<id>/_update`, `/_inference/<task_type>/<id>/_update`."""

    actions = {"PUT": UPDATE}
    http_method_names = ["put", "options"]

    @property
    def allowed_methods(self) -> list[str]:
        return ["PUT"]

    def put(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        wanted = None if task_type is None else lifecycle.parse_task_type(task_type)
        timeout = self._timeout()
        body = self.object("UpdateRequest")
        endpoint = Endpoint.objects.filter(inference_id=inference_id).first()
        if endpoint is not None and not self._reaches(endpoint):
            raise lifecycle.nothing_to_update(inference_id)
        return self.json(EndpointSerializer(lifecycle.update(inference_id, wanted, body, timeout=timeout)).data)


class ServicesView(SecuredView):
    """`/_inference/_services`, `/_inference/_services/<task_type>`."""

    actions = {"GET": SERVICES}

    def get(self, request: Request, task_type: str | None = None) -> HttpResponse:
        wanted = "any" if task_type is None else lifecycle.parse_task_type(task_type)
        services = [name for name in names() if wanted == "any" or wanted in load(name).task_types]
        return self.json([service_listing(name) for name in services])
