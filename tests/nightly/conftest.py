"""Real servers and trainers: large, so they are installed and run by .ci/nightly alone."""

from __future__ import annotations

import pytest
from platformdirs import user_cache_path

#: Found before pytester moves the home folder away.
CACHE = user_cache_path()


@pytest.fixture(autouse=True)
def _downloaded_weights(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE))
