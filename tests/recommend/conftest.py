"""The reference case, scored without any request, with changes by each test."""

from __future__ import annotations

import pytest
from ftgate_testing.ladder_suites import evidence_on
from ftgate_testing.reference_case import write, wrong

from pytest_ftgate.suite.loader import load_suite


@pytest.fixture(scope="session")
def wrong_cases():
    return wrong()


@pytest.fixture
def evidence(tmp_path, wrong_cases):
    """Return the evidence on the reference case at a volume, with changes to its suite file."""

    def made(volume=5_000, *changes, **known):
        suite = load_suite(write(tmp_path, volume, *changes), tmp_path)
        return evidence_on(suite, wrong_cases, **known)

    return made
