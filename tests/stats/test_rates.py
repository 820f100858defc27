"""One rate against a minimum: exact tests of counts, and the rule of bounded means for the rest."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from pytest_ftgate.stats.bounded import p_mean, unseen_unit
from pytest_ftgate.stats.rates import (
    MeanScore,
    mean_score,
    p_misses,
    p_reaches,
    rate_pass_probability,
    score_interval,
)
from pytest_ftgate.stats.resampling import clustered_se

MINIMUMS = st.floats(0.05, 0.99)


@st.composite
def columns(draw):
    """Draw the scores of a suite, with or without weights and groups."""
    n = draw(st.integers(1, 40))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    return {
        "scores": column(draw(st.sampled_from([st.floats(0, 1), st.sampled_from([0.0, 1.0])]))),
        "weights": column(st.floats(0.1, 5)) if draw(st.booleans()) else None,
        "groups": column(st.sampled_from("abcdefgh")) if draw(st.booleans()) else None,
    }


# --- condensing cases ---------------------------------------------------------------------------


@given(columns(), st.randoms(use_true_random=False))
def test_order_of_cases_changes_nothing(sheet, random):
    order = list(range(len(sheet["scores"])))
    random.shuffle(order)
    shuffled = {k: v if v is None else [v[i] for i in order] for k, v in sheet.items()}
    assert mean_score(**shuffled) == mean_score(**sheet)


def test_weights_count_by_their_ratios_alone():
    assert mean_score([1, 1, 0], weights=[0.3] * 3) == mean_score([1, 1, 0])

    scores = [0.2, 1.0, 0.7]
    first, second = (mean_score(scores, weights=np.array([1, 2, 4]) * k) for k in (1.0, 0.01))
    assert (first.rate, first.spread, first.largest) == pytest.approx(
        (second.rate, second.spread, second.largest)
    )
    assert first.rate == pytest.approx(5 / 7)

    assert mean_score([1, 0, 0.5], weights=[2, 2, 0]) == mean_score([1, 0])


@every_row(
    "sheet",
    [
        {"scores": [1, 0.5]},
        {"scores": [1, 0], "weights": [1, 2]},
        {"scores": [1, 0], "groups": ["a", "b"]},
    ],
)
def test_graded_weighted_and_grouped_cases_are_not_counted(sheet):
    assert mean_score([1, 0]).countable
    assert not mean_score(**sheet).countable


def test_the_spread_of_groups_is_the_clustered_one():
    rng = np.random.default_rng(9)
    scores, groups = rng.random(60), rng.integers(0, 14, 60)
    rate = mean_score(scores, groups=groups)
    assert rate.groups == np.unique(groups).size
    assert math.sqrt(rate.spread / rate.n) == pytest.approx(clustered_se(scores, groups))


def test_a_group_weighs_by_its_cases():
    """A hundred single cases are right, and a hundred cases of one group are wrong."""
    scores = np.r_[np.ones(100), np.zeros(100)]
    groups = np.r_[np.arange(100), np.full(100, 100)]
    rate = mean_score(scores, groups=groups)
    assert rate.rate == 0.5
    # The group of a hundred lies 50 below the mean, each single case half a case above it.
    assert rate.spread == pytest.approx((50**2 + 100 * 0.5**2) / 200 * 101 / 100)
    assert p_reaches(rate, 0.9) > 0.5


# --- counted cases ------------------------------------------------------------------------------


@given(st.integers(1, 400), st.floats(0, 1), MINIMUMS)
def test_counted_cases_have_the_exact_test(n, share, minimum):
    right = round(share * n)
    rate = mean_score([1.0] * right + [0.0] * (n - right))
    reached = stats.binomtest(right, n, minimum, "greater").pvalue
    missed = stats.binomtest(right, n, minimum, "less").pvalue
    assert p_reaches(rate, minimum) == pytest.approx(reached, abs=1e-12)
    assert p_misses(rate, minimum) == pytest.approx(missed, abs=1e-12)


@examples(0.4)
@given(st.integers(1, 300), st.floats(0, 1), st.floats(0.5, 0.99))
def test_counted_cases_have_the_exact_interval(n, share, confidence):
    right = round(share * n)
    found = score_interval(mean_score([1.0] * right + [0.0] * (n - right)), confidence)
    exact = proportion_confint(right, n, 1 - confidence, method="beta")
    assert found == pytest.approx(exact, abs=1e-9)


# --- graded, weighted and grouped cases ---------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 5)), min_size=2, max_size=40), MINIMUMS)
def test_graded_and_weighted_cases_follow_the_rule(rows, minimum):
    scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    rate = mean_score(scores, weights=weights)
    assume(not rate.countable)
    w = weights / weights.mean()

    reached = p_mean(w * (scores - minimum), -minimum * unseen_unit(w, 1.0 - minimum))
    gain = max(0.0, minimum - rate.rate) / (1.0 - min(rate.rate, minimum))
    missed = p_mean(w * (minimum - scores), (minimum - 1.0) * unseen_unit(w, gain))

    assert p_reaches(rate, minimum) == pytest.approx(float(reached), abs=1e-7)
    assert p_misses(rate, minimum) == pytest.approx(float(missed), abs=1e-7)


@given(columns(), MINIMUMS)
def test_a_minimum_is_never_both_reached_and_missed(sheet, minimum):
    rate = mean_score(**sheet)
    assert max(p_reaches(rate, minimum), p_misses(rate, minimum)) >= 0.5 - 1e-9


@given(columns(), st.floats(0.5, 0.99))
def test_interval_ends_are_the_minimums_that_the_tests_just_refuse(sheet, confidence):
    rate, error = mean_score(**sheet), (1 - confidence) / 2
    assume(rate.groups != 1)
    low, high = score_interval(rate, confidence)
    assert 0 <= low <= rate.rate + 1e-12
    assert rate.rate - 1e-12 <= high <= 1
    # Where all scores come to lie on one side, the p-value of few of them has a small step.
    step = 1e-6
    if low > 2 * step:
        assert p_reaches(rate, low - step) <= error + step
        assert p_reaches(rate, low + step) >= error - step
    if high < 1 - 2 * step:
        assert p_misses(rate, high - step) >= error - step
        assert p_misses(rate, high + step) <= error + step


def test_a_group_counts_as_one_value_and_a_single_one_shows_nothing():
    rng = np.random.default_rng(2)
    scores, groups = rng.random(80), np.arange(80) % 16
    sums = np.bincount(groups, scores - 0.3)
    rate = mean_score(scores, groups=groups)
    assert p_reaches(rate, 0.3) == pytest.approx(float(p_mean(sums, -0.3 * 5)))

    rate = mean_score([1, 1, 1, 1], groups=["a"] * 4)
    assert (p_reaches(rate, 0.1), p_misses(rate, 1.0)) == (1, 1)
    assert score_interval(rate, 0.9) == (0, 1)


# --- error rates --------------------------------------------------------------------------------


@every_row("sizes", [[10] * 20, [1] * 100 + [25] * 4])
def test_a_floor_at_the_true_rate_of_grouped_cases_is_rarely_passed(sizes):
    """Each group is right or wrong as a whole."""
    rng, groups = np.random.default_rng(6), np.repeat(np.arange(len(sizes)), sizes)
    passed = 0
    for _ in range(1000):
        right = (rng.random(len(sizes)) < 0.8).astype(float)
        passed += p_reaches(mean_score(right[groups], groups=groups), 0.8) <= 0.05
    assert passed / 1000 <= 0.06


# --- the chance to reach a minimum ---------------------------------------------------------------

GRADED = MeanScore(n=80, rate=0.8, countable=False, spread=0.09)
GROUPED = replace(GRADED, spread=0.2, groups=9)
HEAVY = replace(GRADED, largest=4.0)


@every_row("rate", [GRADED, GROUPED, replace(GROUPED, groups=3), HEAVY])
@every_row(("minimum", "alpha"), [(0.72, 0.05), (0.75, 0.2), (0.6, 0.001)])
def test_the_chance_is_the_share_of_drawn_variants_that_reach_the_minimum(rate, minimum, alpha):
    drawn = np.random.default_rng(4).normal(rate.rate, math.sqrt(rate.spread / rate.n), 2_000)
    reached = [p_reaches(replace(rate, rate=one), minimum) <= alpha for one in drawn]

    chance = rate_pass_probability(rate, minimum, alpha)

    assert alpha != 0.05 or rate_pass_probability(rate, minimum) == chance
    assert chance == pytest.approx(np.mean(reached), abs=0.03)


@every_row("minimum", [0.9, 0.96, 0.97, 0.98, 1.0])
def test_scores_that_do_not_vary_reach_a_minimum_always_or_never(minimum):
    same = MeanScore(n=90, rate=1.0, countable=False)

    is_reached = p_reaches(same, minimum) <= 0.05

    assert rate_pass_probability(same, minimum) == float(is_reached)


# --- what is refused -----------------------------------------------------------------------------


@every_row(
    ("told", "call"),
    [
        *(
            ("case", partial(mean_score, **columns))
            for columns in (
                {"scores": []},
                {"scores": [1.2]},
                {"scores": [math.nan]},
                {"scores": [1, 0], "weights": [0, 0]},
                {"scores": [1, 0], "weights": [1, -1]},
                {"scores": [1, 0], "groups": ["a"]},
            )
        ),
        *(
            ("a minimum lies above 0", partial(call, rate, minimum))
            for call in (p_reaches, p_misses, rate_pass_probability)
            for rate in (mean_score([1, 0]), GRADED)
            for minimum in (0.0, -0.5, 1.5, math.nan)
        ),
        *(("confidence", partial(score_interval, GRADED, share)) for share in (0.0, 1.0)),
    ],
)
def test_what_is_no_score_or_no_share_is_refused(told, call):
    with pytest.raises(ValueError, match=told):
        call()
