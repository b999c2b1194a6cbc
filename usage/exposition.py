"""The metrics as Prometheus reads them: of this process, or of all workers together, whichever of them is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from usage import workers
from usage.series import DIRECTORY, Family, families
from usage.workers import Numbers

_LONGEST_ACCEPT = 500


def render(accept: str) -> tuple[bytes, str]:
    """Return all metrics in the format that the header `accept` asks for, and their Content-Type.

    It takes milliseconds, and may wait for another worker that does the same: call it in a thread.
    """
    try:
        encode, content_type = choose_encoder(accept[:_LONGEST_ACCEPT])
    except (TypeError, ValueError):
        # The version in it is not one.
        encode, content_type = choose_encoder("")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counted(workers.current()))
    if directory := os.environ.get(DIRECTORY):
        registry.register(_Processes(workers.pids(Path(directory))))
    else:
        ProcessCollector(registry=registry)
    return encode(registry), content_type


class _Counted(Collector):
    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        for family in families:
            yield _metric(family, self._numbers)


class _Processes(Collector):
    """What the library tells of its own process, of each worker; `pid` tells them apart."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        together: dict[str, Metric] = {}
        for pid in map(str, self._pids):
            for metric in ProcessCollector(pid=pid.__str__, registry=None).collect():
                one = together.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    one.add_sample(sample.name, {"pid": pid}, sample.value)
        return together.values()


def _metric(family: Family, numbers: Numbers) -> Metric:
    counted = ((labels, cells) for (name, labels), cells in numbers.items() if name == family.name)
    if family.kind == "histogram":
        return _histogram(family, counted)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, (value,) in counted:
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, counted: Iterable[tuple[tuple[str, ...], list[float]]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.bounds), "+Inf"]
    for labels, (*buckets, total) in counted:
        metric.add_metric(labels, list(zip(bounds, accumulate(buckets), strict=True)), total)
    return metric
