"""The cases that a next step asks for settle the check about 9 times in 10."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples

from pytest_ftgate.gates.checks import DropRule, check_drop, drop_outcome, pair_samples
from pytest_ftgate.gates.design import TYPICAL_DISCORDANCE, Levels
from pytest_ftgate.gates.verdict import Outcome

LIMIT, RUNS = 0.05, 150


@pytest.mark.parametrize(("regressed", "fixed"), [(3, 0), (5, 3), (6, 6)])
def test_the_named_cases_settle_nine_in_ten_runs_that_behave_like_the_seen_ones(regressed, fixed):
    before, after = np.ones(100), np.ones(100)
    after[:regressed] = 0.0
    before[regressed : regressed + fixed] = 0.0
    check = check_drop(
        case_samples(before, "b"),
        case_samples(after, "a"),
        DropRule(against="b", margin=LIMIT, levels=Levels()),
    )
    assert check.outcome is Outcome.INCONCLUSIVE
    # The step plans for half of the seen drop, and the disagreement shrunk to the typical one.
    n, drop = 100 + check.needed, (regressed - fixed) / 200
    disagreement = (regressed + fixed + 10 * TYPICAL_DISCORDANCE) / 110
    shares = [(disagreement + drop) / 2, (disagreement - drop) / 2, 1 - disagreement]

    passed = 0
    for lost, won, _ in np.random.default_rng(22).multinomial(n, shares, RUNS):
        after, before = np.ones(n), np.ones(n)
        after[:lost], before[lost : lost + won] = 0.0, 0.0
        pairs = pair_samples(case_samples(before, "b"), case_samples(after, "a"))
        passed += drop_outcome(pairs, LIMIT, Levels()) is Outcome.PASSED

    assert passed / RUNS == pytest.approx(0.9, abs=0.07)
