"""Mistakes between settings are said at the start."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.core.checks import run_checks
from pytest_django import Settings


def found(include_deployment_checks: bool = True) -> set[str]:
    messages = run_checks(include_deployment_checks=include_deployment_checks)
    return {str(message.id) for message in messages if str(message.id).startswith("access.")}


def test_the_settings_as_they_are_have_no_fault() -> None:
    assert found() == set()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AUTHENTICATION_BACKENDS", ["django.contrib.auth.backends.ModelBackend"], "access.E001"),
        ("API_KEY_PEPPER", b"short", "access.E002"),
        ("TRUSTED_PROXIES", (ip_network("0.0.0.0/0"),), "access.W001"),
    ],
)
def test_a_wrong_setting_is_named(settings: Settings, name: str, value: object, problem: str) -> None:
    setattr(settings, name, value)
    assert found() == {problem}
