"""The row of an endpoint, and how it is looked up."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from endpoints.models import Endpoint, is_inference_id


@pytest.mark.parametrize("text", ["a", "7", "a-b_c.d", "0" * 1000])
def test_an_id_may_be_so(text: str) -> None:
    assert is_inference_id(text)


@pytest.mark.parametrize("text", ["", "_all", "A", "a-", ".a", "a b", "a\n", "é", "１"])
def test_an_id_may_not_be_so(text: str) -> None:
    assert not is_inference_id(text)


@pytest.mark.parametrize("text", ["", "_all", "\x00", "é", "a" * 501, "A"])
def test_what_cannot_be_an_id_asks_no_database(
    db: None, django_assert_num_queries: DjangoAssertNumQueries, text: str
) -> None:
    """PostgreSQL would refuse a NUL with an error of its own."""
    with django_assert_num_queries(0):
        assert Endpoint.objects.named(text) is None


def test_an_endpoint_is_found_by_its_id(db: None) -> None:
    stored = Endpoint.objects.create(inference_id="a", task_type="completion", service="echo")
    assert Endpoint.objects.named("a") == stored
    assert Endpoint.objects.named("b") is None
    assert str(stored) == "a"
