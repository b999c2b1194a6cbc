"""What it costs to start: a vendor's library is imported by who needs it, not by the gateway."""

from __future__ import annotations

import subprocess
import sys

from tests.gateway import ROOT

# `openai` and aiohttp carry every request; `requests`, where it is installed, is imported by Django REST framework.
VENDORS = (
    *("google.auth", "google.oauth2", "google.genai", "msal", "anthropic", "cohere", "mistralai", "huggingface_hub"),
    *("azure", "ibm_watsonx_ai", "boto3", "botocore", "httpx", "pandas", "numpy"),
)
PACKAGES = tuple(f"{vendor}." for vendor in VENDORS)
MOST_CPU_SECONDS = 2.0
ALL_SERVICES = "from endpoints.providers import load, names; [load(name) for name in names()]"


def started(more: str = "") -> tuple[float, list[str]]:
    """Import the gateway in a new process; return its CPU seconds and the modules that it has then."""
    code = f"import sys, time, inference_project.asgi\n{more}\nprint(time.process_time(), *sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    seconds, *modules = ended.stdout.split()
    return float(seconds), modules


def of_vendors(modules: list[str]) -> list[str]:
    return [name for name in modules if f"{name}.".startswith(PACKAGES)]


def test_the_gateway_is_imported_without_a_library_of_a_vendor() -> None:
    _, modules = started()
    assert "aiohttp" in modules
    assert of_vendors(modules) == []


def test_the_gateway_is_imported_in_two_seconds_of_cpu() -> None:
    """The best of five counts: where a machine is busy, even CPU time is longer."""
    runs = (started()[0] for _ in range(5))
    assert any(seconds < MOST_CPU_SECONDS for seconds in runs)


def test_what_services_declare_needs_no_library_of_a_vendor() -> None:
    _, modules = started(ALL_SERVICES)
    assert "endpoints.providers.googlevertexai" in modules
    assert of_vendors(modules) == []
