"""An advice for the tests of reports: the reference case, advised without any request."""

from __future__ import annotations

import pytest
from ftgate_testing.ladder_suites import evidence_on
from ftgate_testing.reference_case import write, wrong

from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.suite.loader import load_suite


@pytest.fixture(scope="session")
def advice(tmp_path_factory):
    """Return the advice at 5,000 requests a day."""
    folder = tmp_path_factory.mktemp("ladder")
    made = advise(evidence_on(load_suite(write(folder, 5_000), folder), wrong()))
    assert made is not None
    return made
