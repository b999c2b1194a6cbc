"""The older name for ELSER models of the `elasticsearch` service, under which their endpoints are kept."""

from __future__ import annotations

from dataclasses import dataclass

from endpoints.providers import _allocations, elasticsearch
from endpoints.providers._allocations import AllocationSettings
from endpoints.providers._base import NoTaskSettings
from endpoints.providers._settings import setting


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(AllocationSettings):
    model_id: str = setting(
        "Model ID",
        "Which ELSER model.",
        allowed=elasticsearch.ELSER,
        default=".elser_model_2",
        listed=False,
    )
    num_allocations: int | None = _allocations.num_allocations(listed=False)
    num_threads: int = _allocations.num_threads(required=True, listed=False)
    adaptive_enabled: bool | None = _allocations.adaptive_enabled()
    adaptive_minimum: int | None = _allocations.adaptive_minimum()
    adaptive_maximum: int | None = _allocations.adaptive_maximum()


class Provider(elasticsearch.Provider):
    label = "ELSER"
    description = "ELSER models; an older name for the service `elasticsearch`."
    task_types = ("sparse_embedding",)
    service_settings = ServiceSettings
    task_settings = NoTaskSettings
    alias_of = "elasticsearch"
    largest_chunk = 300
