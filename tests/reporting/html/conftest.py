"""The browser for tests of pages."""

from __future__ import annotations

import os
import shutil

import pytest
from ftgate_testing.browsers import FLAGS

BROWSERS = ("chromium", "google-chrome", "chromium-browser")


@pytest.fixture(scope="module")
def browser():
    """Return a browser; while it is open, no test of another module can run a loop of asyncio."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    told = f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"
    # On a build server a missing browser is an error; at a desk it is a skip that is seen.
    if found is None and not os.environ.get("CI"):
        pytest.skip(told)
    assert found, told
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield started
        started.close()
