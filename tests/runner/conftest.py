"""A provider that counts its requests, and a suite that uses it."""

from __future__ import annotations

import pytest
from house import House


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()
