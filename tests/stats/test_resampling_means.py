"""The interval of a skewed mean, against the statistic that it inverts and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy import optimize, stats

from pytest_ftgate.stats.resampling import mean_interval, ratio_interval


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


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_a_ratio_at_the_upper_end_is_about_as_rare_as_the_interval_says(correlation):
    rng = np.random.default_rng(3)

    def high():
        below, above = rng.normal(size=(2, 30))
        above = correlation * below + np.sqrt(1 - correlation**2) * above
        return ratio_interval(np.exp(above), np.exp(below), 0.95)[1]

    assert np.mean([high() <= 1.0 for _ in range(500)]) < 0.075


@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_a_mean_at_the_upper_end_is_about_as_rare_as_the_interval_says(sigma):
    rng, mean = np.random.default_rng(2), np.exp(sigma**2 / 2)

    ends = [mean_interval(np.exp(rng.normal(0.0, sigma, 30)), 0.95) for _ in range(1000)]

    # Student's t passes 5 and 21 % of such means.
    assert np.mean([high <= mean for _, high in ends]) < 0.08
    assert np.mean([low > mean for low, _ in ends]) < 0.035


@every_row(
    ("values", "groups", "confidence"),
    [([1.0, 2.0], None, 0.95), ([1.0, 2.0, 3.0], ["a", "a", "b"], 0.95), ([1, 2, 3], None, 1.0)],
)
def test_an_interval_of_too_few_values_is_refused(values, groups, confidence):
    with pytest.raises(ValueError, match=r"three|^confidence must lie"):
        mean_interval(values, confidence, groups)


@every_row("varies", [True, False])
def test_copies_of_cases_in_groups_bound_a_ratio_as_the_cases_do(varies):
    above, below = lognormal(3, 25), lognormal(4, 25) if varies else np.full(25, 2.0)
    copies = [np.repeat(side, 3) for side in (above, below)]

    grouped = ratio_interval(*copies, 0.95, groups=np.repeat(np.arange(25), 3))

    assert grouped == pytest.approx(ratio_interval(above, below, 0.95))
    assert np.diff(grouped) > np.diff(ratio_interval(*copies, 0.95))
