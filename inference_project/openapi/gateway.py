"""What belongs to the gateway itself: who it is, whether it lives, what it counts, and this document."""

from __future__ import annotations

from inference_project import metrics_view
from inference_project.openapi.operations import Operation
from inference_project.openapi.schemas import OBJECT, TEXT, Schema, answer, reference
from inference_project.views import InfoView

_STATUS = answer({"status": TEXT})

SCHEMAS: dict[str, Schema] = {
    "Info": answer({"name": TEXT, "cluster_name": TEXT, "cluster_uuid": TEXT, "version": OBJECT, "tagline": TEXT})
}

OPERATIONS = (
    Operation(
        id="info",
        method="GET",
        paths=("/",),
        tag="gateway",
        summary="Show the version of the API",
        view=InfoView,
        result=reference("Info"),
        result_description="What official clients look at before they send anything else.",
    ),
    Operation(
        id="openapi",
        method="GET",
        paths=("/_inference/openapi.json",),
        tag="gateway",
        summary="Show this document",
        result=OBJECT,
        result_description="The document.",
    ),
    Operation(
        id="livez",
        method="GET",
        paths=("/livez",),
        tag="gateway",
        summary="Say whether the process answers",
        bare=True,
        result=_STATUS,
        result_description="It does.",
    ),
    Operation(
        id="readyz",
        method="GET",
        paths=("/readyz",),
        tag="gateway",
        summary="Say whether requests should be sent here",
        bare=True,
        result=_STATUS,
        result_description="They should.",
        also_with={503: "They should not: the gateway is leaving, or has no database."},
    ),
    Operation(
        id="metrics",
        method="GET",
        paths=("/metrics",),
        tag="gateway",
        summary="Show metrics",
        description="For Prometheus, with the token for metrics as `Bearer`, or with a login.",
        action=metrics_view.ACTION,
        bare=True,
        errors=(401, 403, 429, 503),
        media_type="text/plain",
        result=TEXT,
        result_description="The metrics in Prometheus' text format.",
    ),
)
