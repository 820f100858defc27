"""The reference case, scored without any request, with changes by each test."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.ladder_suites import QUIET, TODAY, score_rung
from ftgate_testing.reference_case import write, wrong

from pytest_ftgate.recommend.advice import Evidence
from pytest_ftgate.suite.loader import load_suite


@pytest.fixture(scope="session")
def wrong_cases():
    return wrong()


@pytest.fixture
def evidence(tmp_path, wrong_cases):
    """Return the evidence on the reference case at a volume, with changes to its suite file."""

    def made(volume=5_000, *changes, without=(), **known):
        suite = load_suite(write(tmp_path, volume, *changes), tmp_path)
        scores = {
            name: score_rung(suite, name, wrong_cases[name])
            for name in suite.variants
            if name not in without
        }
        known_evidence = Evidence(
            suite=suite, scores=scores, verdicts=(), today=TODAY, git=QUIET,
            training_rows={"lora": 800, "hosted": 800}, examples=800,
        )  # fmt: skip
        return replace(known_evidence, **known)

    return made
