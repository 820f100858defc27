"""An advice for the tests of reports: the reference case, advised without any request."""

from __future__ import annotations

import pytest
from ftgate_testing.ladder_suites import QUIET, TODAY, score_rung
from ftgate_testing.reference_case import write, wrong

from pytest_ftgate.recommend.advice import Evidence
from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.suite.loader import load_suite


@pytest.fixture(scope="session")
def advice(tmp_path_factory):
    """Return the advice at 5,000 requests a day."""
    folder = tmp_path_factory.mktemp("ladder")
    suite, wrong_cases = load_suite(write(folder, 5_000), folder), wrong()
    scores = {name: score_rung(suite, name, wrong_cases[name]) for name in suite.variants}
    made = advise(
        Evidence(
            suite=suite, scores=scores, verdicts=(), today=TODAY, git=QUIET,
            training_rows={"lora": 800, "hosted": 800}, examples=800,
        )
    )  # fmt: skip
    assert made is not None
    return made
