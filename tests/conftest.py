"""What tests of several stages stand on."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from pathlib import Path

import ftgate_testing.imported  # noqa: F401 - before any test does
import pytest
from ftgate_testing.foreign_plugins import only_ours
from ftgate_testing.messages_api import serving
from hypothesis import settings

from pytest_ftgate.runner.provenance import TARGETS
from pytest_ftgate.suite import prices

# Images of Python often set it. The tests start hundreds of processes, and without bytecode each
# of them would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A background job of a shell without job control ignores Ctrl-C, and all its children inherit that.
# Tests interrupt runs, and look at the handler that a run has: for them it is the default one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each test has caches of its own, and each write to one waits for the disk, but not for memory.
_MEMORY, _ROOM = Path("/dev/shm"), 4 * 2**30
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# Keys in the environment of each test, with --canary.
pytest_plugins = ["ftgate_testing.canary"]

# Run by name: with servers and libraries that are too large for each push (.ci/nightly), and with
# plugins that have an environment of their own, so that they are not loaded here (.ci/run).
collect_ignore = ["nightly", "journeys/neighbours"]

# The same examples on each push, so that only a change turns it red. New ones each night.
settings.register_profile("push", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile("push")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark heavy tests as slow too, since -m on the command line replaces that of addopts."""
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker("slow")


def pytest_collection_finish():
    """Keep what is imported out of garbage collection, which takes a tenth of the time of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch):
    """Judge as on a desk: on a build server reports would go to its own page as well."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", *TARGETS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api():
    with serving() as running:
        yield running


@pytest.fixture
def no_price_list(monkeypatch):
    """Take the public list of prices away, as where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices.has_list.cache_clear()
    yield
    prices.has_list.cache_clear()


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Run pytest as one who has no plugins but ours."""
    only_ours(monkeypatch)
    return pytester
