"""The reference case, scored without any request, with changes by each test."""

from __future__ import annotations

from functools import cache

import pytest
from ftgate_testing.ladder_suites import evidence_on, score_rung
from ftgate_testing.reference_case import write, wrong

from pytest_ftgate.suite.loader import load_suite


@pytest.fixture(scope="session")
def wrong_cases():
    return wrong()


@pytest.fixture(scope="session")
def evidence(tmp_path_factory, wrong_cases):
    """Return the evidence on the reference case at a volume, with changes to its suite file.

    A suite is loaded once, and a variant scored once.
    """

    @cache
    def suite_of(volume, *changes):
        folder = tmp_path_factory.mktemp("reference")
        return load_suite(write(folder, volume, *changes), folder)

    @cache
    def scores_of(name):
        return score_rung(suite_of(5_000), name, wrong_cases[name])

    def made(volume=5_000, *changes, without=(), **known):
        suite = suite_of(volume, *changes)
        scores = {name: scores_of(name) for name in suite.variants if name not in without}
        known = {"scores": scores, **known}
        return evidence_on(suite, wrong_cases, without=suite.variants, **known)

    return made
