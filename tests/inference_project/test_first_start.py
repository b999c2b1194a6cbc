"""What the first start stores, and what it has shown by then."""

from __future__ import annotations

import pytest

from access.models import ApiKey, User
from inference_project import first_start


@pytest.mark.django_db
def test_a_password_that_could_not_be_shown_is_not_stored() -> None:
    lines = first_start.run()
    assert any("user admin, password" in line for line in lines)
    # As when nobody reads what is printed.
    lines.close()
    assert not User.objects.exists()
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_first_start_whose_lines_were_shown_is_stored() -> None:
    assert [line for line in first_start.run() if line.startswith("API key: ")]
    assert User.objects.get().username == "admin"
    assert not [line for line in first_start.run() if line.startswith("API key: ")]
