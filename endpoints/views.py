"""The management API: `/_inference/...`, but for what asks an endpoint, which is in the streaming room."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from access import teams
from access.authentication import SecuredView
from access.privileges import require
from endpoints import lifecycle
from endpoints.models import Endpoint
from endpoints.providers import load, names
from endpoints.serializers import EndpointSerializer, service_listing
from wire import times
from wire.errors import Forbidden
from wire.requests import flag

GET = "cluster:monitor/xpack/inference/get"
PUT = "cluster:admin/xpack/inference/put"
UPDATE = "cluster:admin/xpack/inference/update"
DELETE = "cluster:admin/xpack/inference/delete"
SERVICES = "cluster:monitor/xpack/inference/services/get"
_ALL = (None, "_all", "*")


class InferenceView(SecuredView):
    """What the views of this API share. `task_type` is what the path names, `timeout` is in seconds."""

    task_type: str | None
    timeout: float | None

    def authorize(self, method: str) -> None:
        """Elasticsearch reads the path and the query before it asks what the caller may do."""
        task_type, timeout = self.kwargs.get("task_type"), self.plain.GET.get("timeout")
        self.task_type = None if task_type is None else lifecycle.parse_task_type(task_type)
        self.timeout = lifecycle.VALIDATION_SECONDS if timeout is None else times.seconds("timeout", timeout)
        super().authorize(method)


class EndpointView(InferenceView):
    """`/_inference`, `/_inference/<id>`, `/_inference/<task_type>/<id>`; POST is the streaming room's."""

    actions = {"GET": GET, "PUT": PUT, "DELETE": DELETE}
    parameters = {"PUT": frozenset({"timeout", "team"}), "DELETE": frozenset({"dry_run", "force"})}
    bodies = {"PUT": "required"}

    @property
    def allowed_methods(self) -> list[str]:
        return ["GET", "PUT", "DELETE", "POST"] if "inference_id" in self.kwargs else ["GET"]

    def get(self, request: Request, inference_id: str | None = None, task_type: str | None = None) -> HttpResponse:
        if inference_id not in _ALL:
            return self.json({"endpoints": [EndpointSerializer(self._find(inference_id, GET)).data]})
        # Sorted here: databases have different opinions about the order of `-`, `.` and `_`.
        endpoints = sorted(self._listed(), key=lambda one: one.inference_id)
        return self.json({"endpoints": [EndpointSerializer(one).data for one in endpoints]})

    def put(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        body = self.object("PutRequest")
        if self.caller.inference_ids and inference_id not in self.caller.inference_ids:
            raise Forbidden(
                f"API key id [{self.caller.api_key_id}] is limited to other inference endpoints than [{inference_id}]"
            )
        team_id = teams.of_new_endpoint(self.caller, self.plain.GET.get("team"))
        endpoint = lifecycle.create(
            inference_id, self.task_type, body, timeout=self.timeout, team_id=team_id, by=self.actor
        )
        return self.json(EndpointSerializer(endpoint).data)

    def delete(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        dry_run, _ = flag(self.plain, "dry_run"), flag(self.plain, "force")
        endpoint = self._find(inference_id, DELETE)
        lifecycle.delete(inference_id, self.task_type, dry_run=dry_run, by=self.actor, judged=endpoint)
        answer: dict[str, Any] = {"acknowledged": not dry_run, "pipelines": [], "indexes": []}
        # Nothing here refers to an endpoint; the keys are what clients read.
        return self.json(answer | ({"error_message": ""} if dry_run else {}))

    def _listed(self) -> QuerySet[Endpoint]:
        reachable = Endpoint.objects.filter(teams.reachable(self.caller))
        return reachable if self.task_type in (None, "any") else reachable.filter(task_type=self.task_type)

    def _find(self, inference_id: str, action: str) -> Endpoint:
        """Return the endpoint, with which the caller may do `action`.

        Raise NotFound for one that is not there, and for one out of the caller's reach; Forbidden; StatusError.
        """
        endpoint = Endpoint.objects.named(inference_id)
        if endpoint is None or not self.caller.reaches(endpoint):
            raise lifecycle.not_found(inference_id)
        require(self.caller, action, endpoint)
        lifecycle.check_task_type(endpoint, self.task_type)
        return endpoint


class UpdateView(InferenceView):
    """`/_inference/<id>/_update`, `/_inference/<task_type>/<id>/_update`."""

    actions = {"PUT": UPDATE}
    parameters = {"PUT": frozenset({"timeout"})}
    bodies = {"PUT": "required"}

    def put(self, request: Request, inference_id: str, task_type: str | None = None) -> HttpResponse:
        body = self.object("UpdateRequest")
        endpoint = Endpoint.objects.named(inference_id)
        if endpoint is None or not self.caller.reaches(endpoint):
            raise lifecycle.nothing_to_update(inference_id)
        require(self.caller, UPDATE, endpoint)
        endpoint = lifecycle.update(
            inference_id, self.task_type, body, timeout=self.timeout, by=self.actor, judged=endpoint
        )
        return self.json(EndpointSerializer(endpoint).data)


class ServicesView(InferenceView):
    """`/_inference/_services`, `/_inference/_services/<task_type>`."""

    actions = {"GET": SERVICES}

    def get(self, request: Request, task_type: str | None = None) -> HttpResponse:
        wanted = self.task_type
        services = [name for name in names() if not load(name).alias_of]
        offered = [name for name in services if wanted in (None, "any", *load(name).task_types)]
        return self.json([service_listing(name) for name in offered])
