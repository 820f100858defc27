"""What tests of several stages stand on."""

from __future__ import annotations

import pytest
from messages_api import serving
from neighbours import asleep


@pytest.fixture
def api():
    with serving() as running:
        yield running


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Run pytest as one who has no plugins but ours; the others are installed all the same."""
    monkeypatch.setenv("PYTEST_ADDOPTS", asleep())
    return pytester
