"""The z test of one mean: its statistic, the distance that it shows, and the cases it needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.graded import largest_unit, least_distance, needed_for_distance, z_score

SIZES = st.integers(2, 5000)
SPREADS = st.floats(0, 4)
LARGEST = st.floats(1, 30)
DISTANCES = st.floats(1e-4, 1)
LEVELS = st.floats(1e-4, 0.4)


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


@given(DISTANCES, DISTANCES, SIZES, SPREADS, LARGEST)
def test_a_larger_distance_never_lowers_the_statistic(one, other, n, spread, largest):
    near, far = sorted((one, other))
    assert z_score(near, n, spread, largest) <= z_score(far, n, spread, largest) * (1 + 1e-12)


@given(DISTANCES, SIZES, SPREADS, LARGEST, st.floats(1, 3))
def test_heavier_cases_and_wider_changes_show_less(distance, n, spread, largest, factor):
    z = z_score(distance, n, spread, largest) * (1 + 1e-12)
    assert z_score(distance, n, spread, largest * factor) <= z
    assert z_score(distance, n, spread * factor, largest) <= z


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


@given(DISTANCES, SPREADS, LARGEST, LEVELS)
def test_with_even_odds_the_cases_needed_are_those_whose_least_distance_it_is(
    distance, spread, largest, alpha
):
    n = needed_for_distance(distance, spread, largest, 0.5, alpha)
    quantile = float(stats.norm.isf(alpha))
    assert least_distance(n, spread, largest, quantile) <= distance * (1 + 1e-6)
    if n > 1:
        assert least_distance(n - 1, spread, largest, quantile) > distance * (1 - 1e-6)


def test_the_cases_needed_find_a_drawn_drop_as_often_as_they_say():
    rng, distance, sd = np.random.default_rng(6), 0.04, 0.2
    n = needed_for_distance(distance, sd**2, 1.0, 0.9, 0.05)
    changes = rng.normal(distance, sd, (4000, n))
    z = z_score(changes.mean(axis=1), n, changes.var(axis=1, ddof=1), 1.0)
    assert np.mean(z >= stats.norm.isf(0.05)) == pytest.approx(0.9, abs=0.02)


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


@given(st.lists(st.tuples(st.floats(0.1, 5), st.integers(0, 6)), min_size=1, max_size=30))
def test_the_largest_unit_lies_between_the_heaviest_case_and_the_heaviest_group(rows):
    weights = np.array([weight for weight, _ in rows])
    labels = np.unique([label for _, label in rows], return_inverse=True)[1]
    weights *= weights.size / weights.sum()
    found = largest_unit(weights, labels)
    heaviest = np.bincount(labels, weights).max()
    assert weights.max() * (1 - 1e-12) <= found <= heaviest * (1 + 1e-12)


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=30), st.integers(1, 6))
def test_copies_of_each_case_in_its_group_are_lost_together(weights, copies):
    cases = np.array(weights) * len(weights) / np.sum(weights)
    labels = np.tile(np.arange(cases.size), copies)
    found = largest_unit(np.tile(cases, copies), labels)
    assert found == pytest.approx(copies * largest_unit(cases, None))
