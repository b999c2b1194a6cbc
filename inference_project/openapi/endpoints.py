"""Managing endpoints, and what they can be made of."""

from __future__ import annotations

from endpoints.views import EndpointView, ServicesView, UpdateView
from inference_project.openapi import services
from inference_project.openapi.operations import Operation
from inference_project.openapi.schemas import (
    FLAG,
    OBJECT,
    TASK_TYPE,
    TEXT,
    TEXTS,
    Schema,
    answer,
    array,
    described,
    mapping,
    reference,
)

_BY_ID, _BY_TASK_TYPE = "/_inference/{inference_id}", "/_inference/{task_type}/{inference_id}"
_CONFIGURATION = answer(
    {
        "description": TEXT,
        "label": TEXT,
        "required": FLAG,
        "sensitive": FLAG,
        "updatable": FLAG,
        "type": TEXT,
        "supported_task_types": array(TASK_TYPE),
        "default_value": {},
    },
    optional=("default_value",),
)

SCHEMAS: dict[str, Schema] = {
    **services.schemas(),
    "Endpoint": described(
        answer(
            {
                "inference_id": TEXT,
                "task_type": TASK_TYPE,
                "service": TEXT,
                "service_settings": OBJECT,
                "task_settings": OBJECT,
                "chunking_settings": OBJECT,
            },
            optional=("task_settings", "chunking_settings"),
        ),
        "An inference endpoint; secrets are never in it.",
    ),
    "Endpoints": answer({"endpoints": array(reference("Endpoint"))}),
    "Deleted": answer(
        {"acknowledged": FLAG, "pipelines": TEXTS, "indexes": TEXTS, "error_message": TEXT}, optional=("error_message",)
    ),
    "Service": answer(
        {
            "service": TEXT,
            "name": TEXT,
            "task_types": array(TASK_TYPE),
            "configurations": described(mapping(_CONFIGURATION), "Its settings, by their keys."),
        }
    ),
}

OPERATIONS = (
    Operation(
        id="get_endpoints",
        method="GET",
        paths=("/_inference", _BY_ID, _BY_TASK_TYPE),
        tag="endpoints",
        summary="Show endpoints",
        view=EndpointView,
        result=reference("Endpoints"),
        result_description="The endpoints that the caller may use, sorted by id.",
        errors=(404,),
    ),
    Operation(
        id="create_endpoint",
        method="PUT",
        paths=(_BY_TASK_TYPE,),
        tag="endpoints",
        summary="Create an endpoint",
        description="The provider is asked something short first; what it refuses is the cause of a 400.",
        view=EndpointView,
        body=reference("CreateRequest"),
        result=reference("Endpoint"),
        result_description="The endpoint was stored.",
        errors=(409,),
    ),
    Operation(
        id="create_endpoint_by_id",
        method="PUT",
        paths=(_BY_ID,),
        tag="endpoints",
        summary="Create an endpoint whose task type stands in the body",
        view=EndpointView,
        body={"allOf": [reference("CreateRequest"), {"required": ["task_type"]}]},
        result=reference("Endpoint"),
        result_description="The endpoint was stored.",
        errors=(409,),
    ),
    Operation(
        id="update_endpoint",
        method="PUT",
        paths=("/_inference/{inference_id}/_update", "/_inference/{task_type}/{inference_id}/_update"),
        tag="endpoints",
        summary="Change the settings of an endpoint",
        description="The provider is asked something short first, if anything changes.",
        view=UpdateView,
        body=reference("UpdateRequest"),
        result=reference("Endpoint"),
        result_description="The endpoint as it is now.",
        errors=(404, 409),
    ),
    Operation(
        id="delete_endpoint",
        method="DELETE",
        paths=(_BY_ID, _BY_TASK_TYPE),
        tag="endpoints",
        summary="Delete an endpoint",
        view=EndpointView,
        result=reference("Deleted"),
        result_description="The endpoint is gone; with `dry_run`, it could be.",
        errors=(404, 409),
    ),
    Operation(
        id="get_services",
        method="GET",
        paths=("/_inference/_services", "/_inference/_services/{task_type}"),
        tag="endpoints",
        summary="List services and their settings",
        view=ServicesView,
        result=array(reference("Service")),
        result_description="The services, sorted by name.",
    ),
)
