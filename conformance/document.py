"""Write docs/conformance.md from the reports of runs: `python -m conformance.document var/conformance/*.json`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance.ours import OURS
from conformance.promises import PROMISES
from conformance.provider.catalog import FAMILIES, FAULTS
from conformance.report import Report

_BEGINNING = """\
# Conformance

What a gateway makes of a provider that misbehaves. `conformance/provider/` is a small server that speaks OpenAI's and
Anthropic's API and does one thing wrong at a time, by name; `conformance/` drives a gateway through all of it and
judges what its client saw, and when the provider was released. Nothing in it knows this gateway.

```
make conformance BASE_URL=http://127.0.0.1:8000 API_KEY=…    # any gateway that speaks Elasticsearch's inference API
make conformance BASE_URL=… API_KEY=… DIALECT=openai         # … that speaks OpenAI's; models are <wire>/<fault>
make conformance-ours                                        # this one, on each database, with one process and four
make conformance-litellm                                     # LiteLLM's proxy, in a virtual environment of its own
make conformance-docs                                        # this page
```

Where a gateway runs already, it has to reach the provider (`ARGS='--provider-port 9000'` gives it a fixed port; ours
needs `GATEWAY_PRIVATE_HOSTS=127.0.0.1`). Faults that a time limit of the gateway has to end are skipped, unless
`--first-delta-seconds`, `--idle-seconds` and `--stall-seconds` say what it was started with; a run with the limits of
every day would take an hour. `python -m conformance.provider --list` says what each fault is; names of faults behind
a command meet only these.
"""
_ABOUT_PROMISES = """\
## What is promised

All of it for every fault, whatever the fault is:
"""
_ABOUT_TIMES = """\
Promises with a time in them are judged by the notes of provider and client, which run on one machine. A fault at which
only time was short is met again, alone, at most four times: a pause of the machine is no fault of a gateway. Nothing
else is met again.
"""
_ABOUT_FAIRNESS = """\
Others are judged by the same promises, through OpenAI's API. An event with an error and without `[DONE]` is an error
there too. A role that is passed on before the first text has said 200 already, so where the provider sends one before
it fails, an error in the stream is as good as a status. Where no specification decides, as with half a surrogate pair
or a stream that says it is plain text, any one whole ending is right. A limit that a gateway does not have cannot end a
fault; that is told as `no end`.
"""


def main() -> None:
    reports = [Report.read(Path(name)) for name in sys.argv[1:]]
    sys.stdout.write("\n".join(_document(sorted(reports, key=_place))))


def _place(report: Report) -> tuple[bool, str, str]:
    """Return what reports are sorted by: ours first."""
    return not report.gateway.startswith(OURS), report.gateway, report.how


def _document(reports: Sequence[Report]) -> Iterator[str]:
    yield _BEGINNING
    yield _ABOUT_PROMISES
    for name, promise in PROMISES.items():
        yield f"- **{name}**: {_sentence(promise.__doc__)}"
    yield ""
    yield _ABOUT_TIMES
    yield _ABOUT_FAIRNESS
    yield "## Who was judged\n"
    yield "| gateway | how | limits in seconds | held |\n|---|---|---|---|"
    for report in reports:
        met = [one for one in report.verdicts if not one["skipped"]]
        limits = ", ".join(f"{name} {report.limits[name]:g}" for name in _LIMITS if report.limits[name])
        held = sum(one["held"] for one in met)
        yield f"| {report.gateway} | {report.how} | {limits} | {held} of {len(met)} |"
    yield ""
    yield from _families({name: list(group) for name, group in groupby(reports, key=lambda report: report.gateway)})


_LIMITS = ("first_delta", "idle", "stall", "heartbeat")


def _families(gateways: Mapping[str, Sequence[Report]]) -> Iterator[str]:
    for family in FAMILIES:
        yield f"## {family[0].upper()}{family[1:]}\n"
        yield f"| fault | the provider | has to hold | {' | '.join(gateways)} |"
        yield "|---|---|---|" + "---|" * len(gateways)
        for fault in FAULTS.values():
            if fault.family == family:
                cells = " | ".join(_cell(reports, fault.name) for reports in gateways.values())
                yield f"| `{fault.name}` | {_cut(fault.does)} | {fault.must} | {cells} |"
        yield ""


def _cell(reports: Sequence[Report], name: str) -> str:
    """Say whether a fault held in all runs of one gateway, and if not, with which wire what did not."""
    met = [one for report in reports for one in report.verdicts if one["fault"] == name and not one["skipped"]]
    problems = dict.fromkeys(f"{one['wire']}: {_reason(one)}" for one in met if not one["held"])
    if not met:
        return "not met"
    return f"held, {len(met)} of {len(met)}" if not problems else "**not held** " + "; ".join(problems)


def _reason(verdict: Mapping[str, Any]) -> str:
    """Return the first thing that was wrong, without the words of the gateway, which are long and its own."""
    words = str(verdict["problems"][0]).partition(": ")[2]
    return words.partition(": ")[0].replace("|", "\\|").replace("\n", " ")


def _cut(sentence: str) -> str:
    return sentence.removesuffix(".").replace("|", "\\|")


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


if __name__ == "__main__":
    main()
