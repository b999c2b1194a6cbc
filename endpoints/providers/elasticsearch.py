"""Models that would run inside the gateway. Their endpoints are kept and checked; nothing here runs a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from endpoints.providers import _allocations, _base, _shared_settings
from endpoints.providers._allocations import AllocationSettings
from endpoints.providers._base import Embeddings, Ranked
from endpoints.providers._settings import Problem, Settings, setting
from wire.errors import StatusError

RERANK_MODEL = ".rerank-v1"
_E5 = (".multilingual-e5-small", ".multilingual-e5-small_linux-x86_64")
ELSER = (".elser_model_1", ".elser_model_2", ".elser_model_2_linux-x86_64")
# All other models are somebody's own, and may be for any of the task types.
_TASK_TYPES = {
    RERANK_MODEL: "rerank",
    **dict.fromkeys(_E5, "text_embedding"),
    **dict.fromkeys(ELSER, "sparse_embedding"),
}


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(AllocationSettings):
    model_id: str | None = setting("Model ID", "One of the built-in models, or one of your own.", listed_required=True)
    deployment_id: str | None = setting(
        "Deployment ID", "A deployment of a model that is already there, to be used as it is.", listed=False
    )
    num_allocations: int | None = _allocations.num_allocations(listed_required=True, listed_default=1)
    num_threads: int | None = _allocations.num_threads(listed_required=True, listed_default=2)
    adaptive_enabled: bool | None = _allocations.adaptive_enabled()
    adaptive_minimum: int | None = _allocations.adaptive_minimum()
    adaptive_maximum: int | None = _allocations.adaptive_maximum()
    similarity: str | None = _shared_settings.similarity("cosine")
    element_type: str | None = setting(
        "Element Type",
        "What the numbers in the vectors of a model of your own are.",
        task_types=("text_embedding",),
        allowed=("byte", "float"),
        default="float",
        listed=False,
    )
    long_document_strategy: str | None = setting(
        "Long Document Strategy",
        f"What {RERANK_MODEL} does with a document that is too long for it.",
        task_types=("rerank",),
        allowed=("chunk", "truncate"),
        default="truncate",
        listed=False,
    )
    max_chunks_per_doc: int | None = setting(
        "Maximum Chunks per Document",
        "How many chunks of a document are scored at most.",
        task_types=("rerank",),
        minimum=1,
        listed=False,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any], task_type: str) -> Iterator[Problem]:
        yield from super().check(values, task_type)
        model_id = values.get("model_id")
        if values.get("deployment_id") is None:
            if model_id is None:
                yield Problem("model_id", "Error parsing service settings, model_id must be provided")
            if values.get("num_threads") is None:
                yield Problem("num_threads", f"[{cls.scope}] does not contain the required setting [num_threads]")
        kind = _TASK_TYPES.get(model_id or "", task_type)
        if kind != task_type:
            text = f"with type [{kind}] does not match the requested task type [{task_type}]"
            yield Problem("model_id", f"Deployed model [{model_id}] {text}")
        for key in _not_for_this_model(values):
            yield Problem(key, f"[{cls.scope}] does not allow the setting [{key}] for the model [{model_id}]")
        if values.get("max_chunks_per_doc") is not None and values.get("long_document_strategy") != "chunk":
            text = "The [max_chunks_per_doc] setting requires [long_document_strategy] to be set to [chunk]"
            yield Problem("max_chunks_per_doc", text)


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    scope = "task_settings"

    return_documents: bool | None = _shared_settings.return_documents(default=True)


class Provider(_base.Provider):
    label = "Elasticsearch"
    description = "ELSER, E5, Elastic Rerank and models of your own, kept for clients that expect their endpoints."
    task_types: ClassVar[tuple[str, ...]] = ("text_embedding", "sparse_embedding", "rerank")
    service_settings: ClassVar[type[Settings]] = ServiceSettings
    task_settings: ClassVar[type[Settings]] = TaskSettings
    needs_validation = False

    @classmethod
    def migrate(
        cls, service_settings: dict[str, Any], task_settings: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return _allocations.with_enabled(service_settings), task_settings

    @classmethod
    def check_id(cls, inference_id: str, service_values: Mapping[str, Any]) -> None:
        if inference_id == service_values.get("model_id"):
            raise StatusError(
                f"Inference endpoint IDs must be unique. Requested inference endpoint ID [{inference_id}] "
                "matches existing trained model ID(s) but must not."
            )

    async def embed(self, texts: Sequence[str], input_type: str | None = None) -> Embeddings:
        raise self._nothing_runs()

    async def embed_sparse(self, texts: Sequence[str]) -> Sequence[Mapping[str, float]]:
        raise self._nothing_runs()

    async def rerank(
        self, query: str, texts: Sequence[str], *, top_n: int | None, return_documents: bool | None
    ) -> Sequence[Ranked]:
        raise self._nothing_runs()

    def _nothing_runs(self) -> StatusError:
        model_id, deployment_id = self.settings.model_id, self.settings.deployment_id
        which = f"deployment [{deployment_id}]" if model_id is None else f"model [{model_id}]"
        return StatusError(
            f"Inference endpoint [{self.inference_id}] cannot be asked: its {which} would run inside the gateway, "
            "and this gateway cannot run models",
            status=503,
        )


def _not_for_this_model(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that the chosen model does not have, where they say something else than their default."""
    model_id = values.get("model_id")
    if model_id in _E5:
        yield from (
            key
            for key, fixed in (("similarity", "cosine"), ("element_type", "float"))
            if values.get(key) not in (None, fixed)
        )
    elif model_id not in (None, RERANK_MODEL) and values.get("long_document_strategy") == "chunk":
        yield "long_document_strategy"
