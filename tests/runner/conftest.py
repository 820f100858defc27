"""A provider that counts its requests, and a suite that uses it."""

from __future__ import annotations

import pytest
from ftgate_testing.fake_provider import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()
