"""All faults, by name. A family is a file; it is added here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from conformance.provider.families import (
    cuts,
    endings,
    events,
    leaving,
    lies,
    refusals,
    sizes,
    splits,
    text,
    time,
    whole,
)
from conformance.provider.fault import Fault

_FAMILIES = {
    "events": events.FAULTS,
    "splits": splits.FAULTS,
    "text": text.FAULTS,
    "endings": endings.FAULTS,
    "time": time.FAULTS,
    "cuts": cuts.FAULTS,
    "lies": lies.FAULTS,
    "HTTP errors": refusals.FAULTS,
    "sizes": sizes.FAULTS,
    "leaving": leaving.FAULTS,
    "whole answers": whole.FAULTS,
}
FAULTS: Mapping[str, Fault] = {
    fault.name: replace(fault, family=family) for family, faults in _FAMILIES.items() for fault in faults
}
FAMILIES = tuple(_FAMILIES)

if len(FAULTS) != sum(map(len, _FAMILIES.values())):
    raise AssertionError("two faults have the same name")
