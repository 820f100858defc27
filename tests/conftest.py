"""What tests of several stages stand on."""

from __future__ import annotations

import pytest
from messages_api import serving


@pytest.fixture
def api():
    with serving() as running:
        yield running
