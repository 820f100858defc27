"""The z test of one mean: its statistic and the cases it needs; losses of whole groups."""

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
    group_losses,
    largest_unit,
    least_distance,
    needed_for_distance,
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
    distance = least_distance(n, spread, largest, quantile)
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

    n = needed_for_distance(distance, spread, largest, power, alpha)
    assert chance_of_showing(n) >= power - 2e-4
    assert n == 1 or chance_of_showing(n - 1) <= power + 2e-4


@every_row("distance", [0.0, -0.1])
def test_no_number_of_cases_shows_a_distance_of_nothing(distance):
    with pytest.raises(ValueError, match="no number of cases"):
        needed_for_distance(distance, 0.1, 1.0, 0.9, 0.05)


# --- weights and groups -------------------------------------------------------------------------


def test_the_largest_unit_is_the_heaviest_case_or_by_how_many_cases_are_in_a_group():
    assert largest_unit(np.array([0.5, 0.5, 2.0]), None) == 2.0

    labels = np.r_[np.zeros(20, int), np.arange(1, 81)]
    # A case is in a group of (20 * 20 + 80) / 100 cases on average.
    assert largest_unit(np.ones(100), labels) == pytest.approx(math.sqrt(20 * 4.8))


@every_row("size", [1, 4, 20])
def test_groups_of_one_size_are_lost_whole(size):
    labels = np.arange(10 * size) // size
    assert largest_unit(np.ones(10 * size), labels) == pytest.approx(size)


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=30), st.integers(1, 6))
def test_copies_of_each_case_in_its_group_are_lost_together(weights, copies):
    cases = np.array(weights) * len(weights) / np.sum(weights)
    labels = np.tile(np.arange(cases.size), copies)
    found = largest_unit(np.tile(cases, copies), labels)
    assert found == pytest.approx(copies * largest_unit(cases, None))


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
