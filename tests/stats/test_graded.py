"""The z test of a figure that is no mean over cases; losses of whole groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.graded import (
    GroupLosses,
    PlannedScore,
    group_losses,
    largest_unit,
    z_score,
)
from pytest_ftgate.stats.paired import change_interval, p_noninferior, paired_counts

SIZES = st.integers(2, 5000)
SPREADS = st.floats(0, 4)
LARGEST = st.floats(1, 30)
DISTANCES = st.floats(1e-4, 1)
LEVELS = st.floats(1e-4, 0.4)
#: The sizes of groups, each with the number of groups.
GROUPS = st.dictionaries(st.integers(1, 60), st.integers(1, 40), min_size=1, max_size=5).map(
    lambda counts: tuple(sorted(counts.items(), reverse=True))
)


def expected_z(distance, n, spread, largest):
    """Return the statistic of statistics.md 0a.1: what was seen, plus what is supposed."""
    unseen = min(max(0.0, distance), largest / 2)
    return distance / math.sqrt((spread + unseen * (largest - unseen)) / n)


@given(DISTANCES, SIZES, SPREADS, LARGEST)
def test_the_statistic_adds_the_unseen_losses_to_the_variance(distance, n, spread, largest):
    z = expected_z(distance, n, spread, largest)
    assert z_score(distance, n, spread, largest) == pytest.approx(z)
    assert z_score(-distance, n, spread, largest) == pytest.approx(-z)


def test_without_any_change_the_statistic_is_that_of_losses_nobody_saw():
    # All of 200 cases stay the same: a share of 5 % lost would show none with variance .05 * .95.
    assert z_score(0.05, 200, 0.0, 1.0) == pytest.approx(0.05 / math.sqrt(0.05 * 0.95 / 200))


@every_row("spread", [0.0, 0.1])
def test_a_mean_at_the_hypothesis_says_nothing(spread):
    assert z_score(0.0, 100, spread, 1.0) == 0.0


def test_arrays_and_scalars_give_the_same_statistics():
    distances, spreads = np.array([-0.2, 0.0, 0.03, 0.9]), np.array([0.1, 0.0, 0.0, 0.2])
    many = z_score(distances, 50.0, spreads, 1.5)
    rows = zip(distances, spreads, strict=True)
    assert list(many) == [z_score(float(d), 50.0, float(s), 1.5) for d, s in rows]
    assert isinstance(z_score(0.1, 50.0, 0.1, 1.5), float)


# --- sizes --------------------------------------------------------------------------------------


@given(SIZES, SPREADS, LARGEST, LEVELS)
def test_the_least_distance_is_where_the_statistic_reaches_the_quantile(n, spread, largest, alpha):
    quantile = float(stats.norm.isf(alpha))
    plan = PlannedScore(n=n, spread=spread, largest=largest, quantile=quantile)
    distance = plan.distance(0.5)
    assert z_score(distance, n, spread, largest) == pytest.approx(quantile)
    assert z_score(distance * 0.999, n, spread, largest) < quantile


@given(DISTANCES, SPREADS, LARGEST, st.floats(0.5, 0.99), LEVELS)
def test_the_cases_needed_are_the_fewest_with_the_power(distance, spread, largest, power, alpha):
    def chance_of_showing(n):
        """Return the chance that a mean drawn at *distance* shows, found on a grid of means."""
        error = math.sqrt(spread / n)
        steps = stats.norm.ppf(np.linspace(5e-5, 1 - 5e-5, 10_000)) if error else np.zeros(1)
        means = distance + error * steps
        return np.mean(z_score(means, n, spread, largest) >= stats.norm.isf(alpha))

    level = float(stats.norm.isf(alpha))
    plan = PlannedScore(n=1.0, spread=spread, largest=largest, quantile=level)
    n = plan.cases(distance, power)
    assert chance_of_showing(n) >= power - 2e-4
    assert n == 1 or chance_of_showing(n - 1) <= power + 2e-4


@every_row("distance", [0.0, -0.1])
def test_no_number_of_cases_shows_a_distance_of_nothing(distance):
    with pytest.raises(ValueError, match="no number of cases"):
        PlannedScore(n=50.0, spread=0.1, largest=1.0, quantile=1.6).cases(distance, 0.9)


# --- groups ----------------------------------------------------------------------------------


def test_the_largest_unit_grows_with_the_number_of_cases_that_share_a_group():
    labels = np.r_[np.zeros(20, int), np.arange(1, 81)]
    # A case is in a group of (20 * 20 + 80) / 100 cases on average.
    assert largest_unit(labels) == pytest.approx(math.sqrt(20 * 4.8))
    assert largest_unit(np.tile(labels, 3)) == pytest.approx(3 * math.sqrt(20 * 4.8))

    labels = np.r_[np.zeros(30, int), np.arange(1, 971)]
    assert largest_unit(labels) == pytest.approx(30 / 2.7)


@every_row("size", [1, 4, 20])
def test_groups_of_one_size_gain_whole(size):
    assert largest_unit(np.arange(10 * size) // size) == pytest.approx(size)


# --- what whole groups of related cases can rule out ----------------------------------------------

#: 40 groups of 25 cases, of which single cases change and no group breaks.
LABELS = np.repeat(np.arange(40), 25)
BEFORE, AFTER = np.ones(1000), np.ones(1000)
BEFORE[::25] = 0.0
AFTER[7::25] = 0.0


@every_row(("lost", "drop"), [(0, 0.05), (1, 0.1), (3, 0.2)])
def test_equal_groups_are_counted_by_the_binomial_distribution(lost, drop):
    found = GroupLosses(((25, 40),), lost / 40).p_value(drop)

    assert found == pytest.approx(stats.binom.cdf(lost, 40, drop))


@given(GROUPS, st.floats(0.01, 0.6), st.integers(0, 2**32 - 1))
def test_no_place_of_the_loss_keeps_all_groups_more_often(sizes, drop, seed):
    each = np.repeat(*np.array(sizes).T)
    weights = np.random.default_rng(seed).exponential(size=each.size)
    chances = np.minimum(weights * drop * each.sum() / (weights @ each), 1.0)
    borne = float(chances @ each) / each.sum()

    assert np.prod(1.0 - chances) <= GroupLosses(sizes, 0.0).p_value(borne) + 1e-9


@given(GROUPS, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_smallest_drop_is_just_ruled_out_if_no_group_is_lost(sizes, alpha):
    losses = GroupLosses(sizes, 0.0)
    smallest = losses.smallest_drop(alpha)

    assert losses.p_value(smallest) == pytest.approx(alpha)
    assert losses.times_needed(smallest, alpha) == pytest.approx(1)


def test_groups_are_lost_if_more_than_half_regressed():
    changes = np.array([-1, -1, 0, 1, 1, 1, -1, 1, 0, -1, 0])
    found = group_losses(changes, np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]))

    # One group of three is lost and another one fixed; one of two lost half.
    assert found == GroupLosses(((3, 3), (2, 1)), 0.0)


def test_whole_groups_are_kept_only_as_surely_as_their_number_shows():
    found = paired_counts(BEFORE, AFTER, groups=LABELS)

    assert p_noninferior(found, 0.05) == pytest.approx(0.95**40)
    assert p_noninferior(found, 0.10) == pytest.approx(0.90**40)

    low, high = change_interval(found, 0.9)

    assert p_noninferior(found, -low) == pytest.approx(0.05)
    assert low == pytest.approx(0.05 ** (1 / 40) - 1.0)
    assert high < 0.03


def test_a_gain_enlarges_the_loss_that_must_have_stayed_unseen():
    before = np.zeros(1000)
    after = np.where(LABELS % 2 == 0, 1.0, 0.0)
    low, _ = change_interval(paired_counts(before, after, groups=LABELS), 0.9)

    assert 0.3 < low < 0.45
