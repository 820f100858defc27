"""Homogeneity, calibrated judges, skewed means and retention."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import SquareTable

from pytest_ftgate.stats.bounded import BoundedValues, p_mean
from pytest_ftgate.stats.resampling import (
    BoundedRatio,
    MeanEstimate,
    SkillSample,
    kappa_bounds,
    mean_interval,
    ratio_interval,
    ratio_of_ratios_interval,
    retention_ratio,
    stuart_maxwell,
    two_phase_mean,
)

# --- agreement of raters --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_kappa_and_its_bounds_agree_with_scikit_learn_and_scipy(monkeypatch, seed):
    draw = np.random.default_rng(seed)
    first = draw.integers(0, 3, 80)
    second = np.where(draw.random(80) < 0.7, first, draw.integers(0, 3, 80))

    bounds = kappa_bounds(first, second, 3)

    def kappa(one, other):
        cells = np.bincount(one * 3 + other, minlength=9).reshape(3, 3) / one.size
        cost = np.subtract.outer(range(3), range(3)) ** 2
        return 1 - np.sum(cost * cells) / np.sum(cost * np.outer(cells.sum(1), cells.sum(0)))

    reference = stats.bootstrap(
        (first, second),
        kappa,
        paired=True,
        vectorized=False,
        n_resamples=2_000,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert bounds.estimate == pytest.approx(cohen_kappa_score(first, second, weights="quadratic"))
    assert bounds.lower == pytest.approx(reference.low, abs=0.03)
    assert bounds.upper == pytest.approx(reference.high, abs=0.03)
    # Draws come in batches where there are many ratings.
    monkeypatch.setattr("pytest_ftgate.stats.resampling._BATCH_CELLS", 100_000)
    assert kappa_bounds(first, second, 3) == bounds


def test_the_draws_of_many_ratings_take_little_memory():
    ratings = np.arange(3_000) % 3
    tracemalloc.start()

    kappa_bounds(ratings, np.roll(ratings, 1), 3)

    # All draws at once would take 4,000 x 3,000 numbers of eight bytes.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


@every_row(("second", "kappa"), [([2] * 6, 0.0), ([2, 2, 2, 0, 0, 0], 0.0)])
def test_a_rater_with_one_grade_for_everything_agrees_by_chance_alone(second, kappa):
    bounds = kappa_bounds([2] * 6, second, 3)

    assert (bounds.lower, bounds.estimate, bounds.upper) == (kappa,) * 3


# --- changes of a label ---------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=16, max_size=16))
def test_changes_of_a_label_agree_with_statsmodels(cells):
    table = np.reshape(cells, (4, 4))
    found, expected = stuart_maxwell(table), SquareTable(table, shift_zeros=False).homogeneity()
    assert found == pytest.approx((expected.statistic, expected.df, expected.pvalue), abs=1e-9)


def test_labels_that_did_not_change_or_were_not_used_change_nothing():
    assert stuart_maxwell(np.diag([5, 7, 0])) == (0, 0, 1)

    table = np.array([[20, 10, 5], [3, 30, 15], [0, 5, 40]])
    wider = np.pad(table, ((0, 1), (0, 1)))
    assert stuart_maxwell(wider) == pytest.approx(stuart_maxwell(table))


# --- judges, groups, skills -----------------------------------------------------------------------


def test_two_phase_mean_follows_its_formula():
    rng = np.random.default_rng(4)
    grades = rng.normal(size=400)
    at = rng.permutation(400)[:120]
    labels = grades[at] + rng.normal(0.1, 0.3, 120)
    found = two_phase_mean(grades, labels, at)
    error = labels - grades[at]
    variance = labels.var(ddof=1) / 400 + (1 / 120 - 1 / 400) * error.var(ddof=1)
    assert found.mean == pytest.approx(grades.mean() + error.mean())
    assert (found.se, found.df) == pytest.approx((np.sqrt(variance), 119))


def test_labels_of_every_case_leave_the_judge_out_and_two_are_enough():
    grades, labels = np.array([0.1, 0.5, 0.9, 0.4]), np.array([0.0, 1.0, 1.0, 0.0])
    found = two_phase_mean(grades, labels, np.arange(4))
    assert found.mean == pytest.approx(labels.mean())
    assert found.se == pytest.approx(labels.std(ddof=1) / 2)

    found = two_phase_mean([0.0, 1.0, 1.0], [0.0, 0.5], [0, 1])
    assert (found.mean, found.df) == (pytest.approx(2 / 3 - 0.25), 1)


def test_calibrated_tests_are_t_tests_and_a_mean_without_error_is_certain():
    x = np.random.default_rng(1).normal(-0.01, 0.1, 40)
    found = MeanEstimate(mean=x.mean(), se=x.std(ddof=1) / np.sqrt(40), df=39)
    above = stats.ttest_1samp(x, -0.03, alternative="greater")
    assert found.p_above(-0.03) == pytest.approx(above.pvalue)
    for threshold in (0.0, 0.02):
        below = stats.ttest_1samp(x, threshold, alternative="less")
        assert found.p_below(threshold) == pytest.approx(below.pvalue)
    assert found.interval(0.9) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(0.9))

    found = MeanEstimate(mean=0.0, se=0.0, df=10)
    assert (found.p_above(-0.03), found.p_above(0.0), found.p_below(0.0)) == (0, 1, 1)


# --- skewed means ---------------------------------------------------------------------------------


def johnson(values, mean):
    """Return Johnson's modified t statistic for a true *mean* (1978, JASA 73:536-544)."""
    n, variance = len(values), np.var(values, ddof=1)
    third = stats.skew(values, bias=False) * variance**1.5
    distance = np.mean(values) - mean
    shift = third / (6 * variance * n) + third / (3 * variance**2) * distance**2
    return (distance + shift) / np.sqrt(variance / n)


def hall(values, mean):
    """Return Hall's cubic of the t statistic (1992, JRSS B 54:221-228)."""
    n = len(values)
    a = stats.skew(values, bias=False) / np.sqrt(n)
    t = (np.mean(values) - mean) / stats.sem(values)
    return t + a / 3 * t**2 + a**2 / 27 * t**3 + a / 6


def lognormal(seed, n, sigma=1.0):
    return np.exp(np.random.default_rng(seed).normal(0.0, sigma, n))


@every_row("sign", [1, -1])
@every_row("seed", range(3))
def test_the_ends_are_where_johnsons_statistic_reaches_the_quantile(seed, sign):
    values = sign * lognormal(seed, 200, 0.5)

    low, high = mean_interval(values, 0.95)

    quantile = stats.t(199).ppf(0.975)
    assert johnson(values, low) == pytest.approx(quantile)
    assert johnson(values, high) == pytest.approx(-quantile)
    assert low < np.mean(values) < high


def test_values_without_skewness_have_students_interval():
    values = np.concatenate([lognormal(0, 50), -lognormal(0, 50)])

    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)

    assert mean_interval(values, 0.9) == pytest.approx(tuple(expected))


def test_the_upper_end_of_few_very_skewed_values_is_that_of_halls_cubic():
    values = lognormal(5, 30, 1.5)
    mean, error, quantile = np.mean(values), stats.sem(values), stats.t(29).ppf(0.975)
    lowest = optimize.minimize_scalar(
        lambda m: johnson(values, m), bounds=(mean, mean + 20 * error), method="bounded"
    )

    _, high = mean_interval(values, 0.95)

    # Johnson's parabola never reaches the quantile.
    assert lowest.fun > -quantile
    assert hall(values, high) == pytest.approx(-quantile)


def test_the_upper_end_of_fewer_skewed_values_is_the_inflection_of_halls_cubic():
    values = lognormal(7, 30)
    # The slope of the cubic, (1 + a t / 3) squared, is 0 at t = -3 / a.
    inflection = -3 * np.sqrt(30) / stats.skew(values, bias=False)

    _, high = mean_interval(values, 0.95)

    assert high - np.mean(values) == pytest.approx(-inflection * stats.sem(values))
    assert hall(values, high) < stats.t(29).ppf(0.025)


def test_a_group_counts_as_its_sum_and_a_constant_below_a_ratio_as_a_factor():
    values, groups = lognormal(1, 120), np.arange(120) % 40
    sums = np.bincount(groups, values) / 3

    assert mean_interval(values, 0.95, groups) == pytest.approx(mean_interval(sums, 0.95))

    values = lognormal(3, 60)

    expected = mean_interval(values, 0.95)

    assert ratio_interval(values, np.full(60, 2.0), 0.95) == pytest.approx(
        tuple(end / 2 for end in expected)
    )


def test_the_ends_of_a_ratio_are_where_the_difference_reaches_the_quantile():
    above, below = lognormal(3, 200, 0.5), lognormal(4, 200, 0.5)

    low, high = ratio_interval(above, below, 0.95)

    quantile = stats.t(199).ppf(0.975)
    assert johnson(above - low * below, 0.0) == pytest.approx(quantile)
    assert johnson(above - high * below, 0.0) == pytest.approx(-quantile)


def test_equal_values_and_ratios_have_no_spread_and_three_values_an_interval():
    below = lognormal(3, 60)

    assert ratio_interval(2.0 * below, below, 0.95) == (2.0, 2.0)
    assert ratio_interval(np.zeros(60), below, 0.95) == (0.0, 0.0)

    assert mean_interval([0.25] * 30, 0.95) == (0.25, 0.25)

    low, high = mean_interval([1.0, 2.0, 4.0], 0.9)
    assert low < 7 / 3 < high


def test_values_that_do_not_bound_a_ratio_leave_its_end_open():
    mostly_free = np.append(np.zeros(39), 1.0)

    assert ratio_interval(lognormal(3, 40), mostly_free, 0.95)[1] == np.inf
    assert ratio_interval(mostly_free, lognormal(3, 40), 0.95)[0] == 0.0


@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_a_mean_at_the_upper_end_is_about_as_rare_as_the_interval_says(sigma):
    rng, mean = np.random.default_rng(2), np.exp(sigma**2 / 2)

    ends = [mean_interval(np.exp(rng.normal(0.0, sigma, 30)), 0.95) for _ in range(1000)]

    # Student's t passes 5 and 21 % of such means.
    assert np.mean([high <= mean for _, high in ends]) < 0.08
    assert np.mean([low > mean for low, _ in ends]) < 0.035


@every_row("varies", [True, False])
def test_copies_of_cases_in_groups_bound_a_ratio_as_the_cases_do(varies):
    above, below = lognormal(3, 25), lognormal(4, 25) if varies else np.full(25, 2.0)
    copies = [np.repeat(side, 3) for side in (above, below)]

    grouped = ratio_interval(*copies, 0.95, groups=np.repeat(np.arange(25), 3))

    assert grouped == pytest.approx(ratio_interval(above, below, 0.95))
    assert np.diff(grouped) > np.diff(ratio_interval(*copies, 0.95))


# --- means and ratios of costs that have a most ---------------------------------------------------


@every_row("groups", [None, 20])
def test_a_mean_with_a_most_is_bounded_as_any_bounded_mean_is(groups):
    values, weights = lognormal(1, 60, 0.5), np.tile([0.5, 1.0, 1.5], 20)
    labels = None if groups is None else np.arange(60) % groups
    units = np.arange(60) if labels is None else labels

    ratio = BoundedRatio.of_cases((values, np.ones(60)), 7 * weights, units, 9.0, (1.0, 1.0))

    bounded = BoundedValues.of_cases(values, weights, labels, (0.0, 9.0))
    assert ratio.value == pytest.approx(np.average(values, weights=weights))
    assert ratio.interval(0.9) == pytest.approx(bounded.interval(0.9), rel=1e-6)
    assert ratio.p_at_least(1.5) == pytest.approx(float(bounded.p_at_least(1.5)))
    assert ratio.p_at_most(1.0) == pytest.approx(float(bounded.p_at_most(1.0)))


def test_the_ends_of_a_bounded_ratio_are_where_its_tests_reach_their_level():
    above, below = lognormal(3, 80, 0.5), lognormal(4, 80, 0.5)
    ratio = BoundedRatio(above, below, 1.0, 9.0, (0.0, 8.0))

    low, high = ratio.interval(0.95)

    # One case more may have cost 9 after nothing before, or nothing after 8 before.
    assert float(p_mean(high * below - above, -9.0)) == pytest.approx(0.025)
    assert float(p_mean(above - low * below, -8.0 * low)) == pytest.approx(0.025)


@every_row(("value", "low", "high"), [
    (0.0, 0.0, 2.0 - 2.0 * 0.025 ** (1 / 40)),
    # One case more at 0 below: (value / low)^-40, on the side of nothing the most itself.
    (2.0, 2.0 * 0.025 ** (1 / 40), 2.0),
])  # fmt: skip
def test_equal_values_at_a_bound_have_closed_ends(value, low, high):
    ratio = BoundedRatio(np.full(40, value), np.ones(40), 1.0, 2.0, (1.0, 1.0))

    assert ratio.interval(0.95) == pytest.approx((low, high), abs=1e-6)


@every_row("most", [0.3, 0.7, 1.1])
@every_row("n", [7, 30, 60, 100])
@every_row("weights", [[1.0], [2.0, 3.0, 1.0]])
@every_row("size", [1, 7])
def test_a_mean_of_values_that_are_all_the_most_is_bounded_by_it(most, n, weights, size):
    # Such a mean often rounds to just above them, and so does the sum of a group.
    values, cases = np.full(n, most), np.arange(n) // size
    ratio = BoundedRatio.of_cases(
        (values, np.ones(n)), np.resize(weights, n), cases, most, (1.0, 1.0)
    )

    low, high = ratio.interval(0.95)

    assert low < ratio.value <= most
    assert high == pytest.approx(most, rel=1e-12)


@every_row(("limit", "more"), [(1.2, True), (0.93, True), (1.0, False)])
def test_values_are_counted_as_often_as_it_takes_to_show_on_which_side_they_are(limit, more):
    values = np.tile([0.8, 1.2], 20)
    ratio = BoundedRatio(values, np.ones(40), 1.0, 9.0, (1.0, 1.0))

    times = ratio.needed_times(limit, 0.025, 100.0)

    assert ratio.needed_times(8.0, 0.025, 100.0) == 1.0
    assert (times is not None) is more
    if times is not None:
        p = ratio.p_at_least if limit > 1.0 else ratio.p_at_most
        copies = [np.tile(values, count) for count in (int(times), int(times) + 1)]
        few, enough = (BoundedRatio(one, np.ones(one.size), 1.0, 9.0, (1.0, 1.0)) for one in copies)
        assert p(limit, times) == pytest.approx(0.025)
        tests = (BoundedRatio.p_at_least, BoundedRatio.p_at_most)[limit < 1.0]
        assert tests(few, limit) > 0.025 > tests(enough, limit)


# --- what is left of what was there ---------------------------------------------------------------


def sample(both, fixed, regressed, neither, weight=1.0):
    before = [1.0] * both + [0.0] * fixed + [1.0] * regressed + [0.0] * neither
    after = [1.0] * (both + fixed) + [0.0] * (regressed + neither)
    return SkillSample(np.array(before), np.array(after), float(len(before)), weight)


def test_the_interval_of_what_is_left_is_the_published_one():
    # Cavo et al. (2012), complete response before and after consolidation therapy, as printed by
    # the R package contingencytables: MOVER Wilson score, 0.8667 (0.7592 to 0.9866).
    found = retention_ratio([sample(59, 6, 16, 80)], 0.95)

    assert found == pytest.approx((0.8667, 0.7592, 0.9866), abs=5e-5)


def test_a_skill_lost_entirely_has_an_upper_bound():
    share, low, high = retention_ratio([sample(0, 0, 30, 30)], 0.95)

    assert (share, low) == (0, 0)
    assert 0.1 < high < 0.2


def test_what_was_hardly_or_never_there_bounds_nothing():
    assert retention_ratio([sample(0, 3, 0, 30)], 0.95) is None

    _, low, _ = retention_ratio([sample(1, 0, 0, 9)], 0.95)

    assert low == 0


def test_skills_are_put_together_by_their_weights_and_bound_it_closer():
    whole, regressed = sample(30, 0, 0, 30), sample(0, 0, 30, 30)

    assert retention_ratio([whole, regressed], 0.95)[0] == 0.5
    assert retention_ratio([whole._replace(weight=3.0), regressed], 0.95)[0] == 0.75

    one = sample(20, 2, 8, 30)
    (_, low, high), (_, close_low, close_high) = (retention_ratio([one] * n, 0.95) for n in (1, 10))

    assert low < close_low < close_high < high


@pytest.mark.parametrize(
    ("skills", "cases", "kept"), [(1, 67, 0.7), (18, 14, 0.9), (18, 14, 0.3), (18, 67, 0.8)]
)
def test_the_interval_of_what_is_left_holds_the_truth_as_often_as_it_says(skills, cases, kept):
    rng = np.random.default_rng(7)
    rates = np.linspace(0.2, 0.6, skills)[:, None]
    truth = float(np.mean(rates * kept + (1 - rates) * 0.02) / np.mean(rates))
    held = 0
    for _ in range(150):
        before = rng.random((skills, cases)) < rates
        after = rng.random((skills, cases)) < np.where(before, kept, 0.02)
        parts = [SkillSample(b * 1.0, a * 1.0, cases) for b, a in zip(before, after, strict=True)]
        _, low, high = retention_ratio(parts, 0.95)
        held += low <= truth <= high

    assert 0.90 <= held / 150 <= 0.99


# --- what is refused -----------------------------------------------------------------------------


@every_row(
    ("told", "call"),
    [
        ("^confidence ", partial(MeanEstimate(mean=0.0, se=0.1, df=10).interval, 1.0)),
        ("three", partial(mean_interval, [1.0, 2.0], 0.95)),
        ("three", partial(mean_interval, [1.0, 2.0, 3.0], 0.95, ["a", "a", "b"])),
        ("^confidence must lie", partial(mean_interval, [1, 2, 3], 1.0)),
    ],
)
def test_what_has_no_value_is_refused(told, call):
    with pytest.raises(ValueError, match=told):
        call()


def test_a_ratio_of_ratios_lies_in_its_interval_as_often_as_said():
    rng, held, draws = np.random.default_rng(3), 0, 400
    for _ in range(draws):
        sides = [(rng.lognormal(0.0, 0.6, 60), rng.random(60) < 0.7) for _ in range(2)]
        low, high = ratio_of_ratios_interval(*sides, 0.95)
        held += low <= 1.0 <= high
    assert 0.93 <= held / draws <= 0.98
