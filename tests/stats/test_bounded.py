"""The bounded mean: its p-value is that of random weighings with one worst unit added."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.bounded import BoundedValues, PlannedMean, p_mean, unseen_unit

SEEDS = st.integers(0, 2**32 - 1)
#: Values of one suite: scores on both sides, heavy cases, and rare gains beside many small losses.
KINDS = {
    "scores": lambda rng, n: rng.uniform(-0.8, 1.0, n),
    "thirds": lambda rng, n: rng.choice([-1.0, 0.0, 0.05, 1.0], n),
    "heavy": lambda rng, n: rng.uniform(-0.8, 1.0, n) * rng.choice([1.0, 8.0], n),
    "rare": lambda rng, n: np.where(rng.random(n) < 0.05, 3.0, -0.05),
}


def weighed(rng, values, worst, counts):
    """Return the share of random weighings with a sum of 0 or less, and its standard error."""
    sums = rng.exponential(size=20_000) * worst
    for value, count in zip(values, counts, strict=True):
        sums += rng.gamma(count, size=20_000) * value
    share = float(np.mean(sums <= 0.0))
    return share, math.sqrt(max(share * (1.0 - share), 1e-3) / 20_000)


@pytest.mark.parametrize("kind", KINDS)
@every_row("n", [3, 12, 60])
@every_row("seed", range(4))
def test_the_p_value_is_the_share_of_random_weighings_without_a_gain(kind, n, seed):
    rng = np.random.default_rng(seed)
    values, counts = KINDS[kind](rng, n), rng.uniform(0.3, 4.0, n)
    worst = min(-1.0, float(values.min()))

    share, error = weighed(rng, values, worst, counts)

    assert float(p_mean(values, worst, counts)) == pytest.approx(share, abs=5.0 * error + 0.004)


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0.01, 0.6))
def test_for_two_values_it_is_the_exact_binomial_test(n, share, limit):
    lost = round(share * n)
    values = np.r_[np.full(n - lost, limit), np.full(lost, limit - 1.0)]

    # The tail by the saddle point is within 1 % of the exact one, near it and far from it.
    exact = stats.binom.cdf(lost, n, limit)
    assert float(p_mean(values, limit - 1.0)) == pytest.approx(exact, rel=0.02, abs=0.005)


@given(st.integers(1, 500), st.floats(0.001, 0.9))
def test_without_a_loss_it_is_the_rule_of_three(n, limit):
    assert float(p_mean(np.full(n, limit), limit - 1.0)) == pytest.approx((1.0 - limit) ** n)


@every_row("values", [[-0.2, 0.0], [0.0, 0.0], [-1.0]])
def test_without_a_gain_nothing_is_shown(values):
    assert float(p_mean(values, -1.0)) == 1.0


@every_row(("values", "p"), [([0.5, 0.0], 0.0), ([0.0, 0.0], 1.0), ([[0.2], [0.0]], [0.0, 1.0])])
def test_where_no_unit_can_lack_anything_one_gain_shows_a_gain(values, p):
    assert p_mean(values, 0.0).tolist() == p


@given(SEEDS)
def test_equal_values_may_come_with_their_count_and_suites_side_by_side(seed):
    rng = np.random.default_rng(seed)
    values, counts = rng.uniform(-1, 1, 9), rng.integers(0, 4, 9)
    suites = rng.uniform(-1, 1, (3, 2, 40)) + 0.1

    counted, listed = p_mean(values, -1.2, counts), p_mean(np.repeat(values, counts), -1.2)
    assert float(counted) == pytest.approx(float(listed), abs=1e-6)

    found = p_mean(suites, -1.2)
    assert found.shape == (3, 2)
    assert found[2, 1] == pytest.approx(float(p_mean(suites[2, 1], -1.2)), abs=1e-7)


def test_the_steps_to_the_saddle_point_do_not_stop_at_the_end_of_their_range():
    # A first step of Newton leads next to the worst value, from where the steps would be tiny.
    values = np.repeat([-1.0, 0.0, 1.0, 5.0], [1, 176, 14, 9])
    share, error = weighed(np.random.default_rng(0), values[np.r_[0, 177:200]], -5.0, np.ones(24))

    assert float(p_mean(values, -5.0)) == pytest.approx(share, abs=5.0 * error)
    assert float(p_mean(values, -5.0)) < 0.001


def test_losses_that_are_next_to_nothing_beside_a_gain_hide_none_of_it():
    # The saddle point lies beyond all steps to it.
    assert float(p_mean([1.0, -1e-40], -1e-40)) < 1e-20


# --- values of cases and of groups ----------------------------------------------------------------


def test_a_group_is_one_value_with_the_weight_of_its_cases():
    weights, labels = np.array([1.0, 2.0, 0.5, 0.5]), np.array([0, 1, 0, 1])

    found = BoundedValues.of_cases(
        np.array([0.5, -1.0, 0.0, 1.0]), weights, labels, (-1.0, 1.0), 0.0
    )

    assert (found.sums.tolist(), found.sizes.tolist()) == ([0.5, -1.5], [1.5, 2.5])
    below = p_mean([0.5 + 0.9, -1.5 + 1.5], -found.unseen_loss(-0.6))
    above = p_mean([0.45 - 0.5, 0.75 + 1.5], -found.unseen_gain(0.3, -0.25))
    assert found.p_at_most(-0.6) == pytest.approx(below, rel=1e-12)
    assert found.p_at_least(0.3) == pytest.approx(above, rel=1e-12)


WEIGHTS = st.lists(st.floats(0.2, 8.0), min_size=2, max_size=40)


@given(WEIGHTS, st.floats(0.01, 0.6))
def test_no_place_of_a_loss_keeps_all_units_more_often_than_the_rule_lets_pass(weights, share):
    sizes = np.array(weights)
    unit = unseen_unit(sizes, share)
    p = float(p_mean(share * sizes, (share - 1.0) * unit))
    rng = np.random.default_rng(len(weights))

    for _ in range(20):
        chances = np.minimum(rng.exponential(size=sizes.size) * sizes ** rng.choice([0, 1, 3]), 1.0)
        borne = float(chances @ sizes) / sizes.sum()
        # As much as the share is lost, or more.
        if borne >= share:
            assert np.prod(1.0 - chances * share / borne) <= p * 1.0001 + 1e-12


@every_row(
    ("sizes", "share", "unit"),
    [([2.0] * 30, 0.1, 2.0), ([10.0] * 5 + [1.0] * 195, 0.0, 10.0), ([9.0, 1.0], 1.0, 9.0),
     ([10.0] * 5 + [1.0] * 195, 0.05, 9.11), ([10.0] * 5 + [1.0] * 195, 0.1, 7.935),
     ([50.0] + [2.0] * 225, 0.1, 50 / 2.7), ([20.0, *[1.0] * 80], 0.5, math.sqrt(20 * 4.8))],
)  # fmt: skip
def test_the_unit_that_is_added_is_as_heavy_as_the_loss_can_hide(sizes, share, unit):
    assert unseen_unit(np.array(sizes), share) == pytest.approx(unit, rel=1e-3)


def test_where_no_unit_gains_or_loses_both_tests_are_as_exact_as_their_worst_place():
    sizes = np.array([10.0] * 5 + [1.0] * 195)
    # Five heavy units bear all of the share; each is kept with the same chance.
    share = 0.1
    kept = ((50.0 - share * 245.0) / 50.0) ** 5

    same = BoundedValues(np.zeros(200), sizes, -1.0, 1.0, 0.0)
    lower = BoundedValues(-share / (1.0 - share) * sizes, sizes, -1.0, 1.0, 0.0)

    assert float(same.p_at_most(-share)) == pytest.approx(kept)
    assert float(lower.p_at_least(0.0)) == pytest.approx(kept)


def test_values_whose_place_is_unknown_add_the_heaviest_unit_on_both_sides():
    found = BoundedValues(np.zeros(2), np.array([1.0, 3.0]), -1.0, 1.0)

    assert (found.unseen_loss(-0.1), float(found.unseen_gain(0.1, 0.0))) == (2.7, 2.7)


@given(SEEDS, st.floats(0.5, 0.99))
def test_the_ends_of_the_interval_are_the_means_that_the_tests_just_reject(seed, confidence):
    rng = np.random.default_rng(seed)
    found = BoundedValues.of_cases(rng.uniform(-1, 1, 30), np.ones(30), None, (-1.0, 1.0), 0.0)

    low, high = found.interval(confidence)

    assert float(found.p_at_most(low)) == pytest.approx((1 - confidence) / 2, abs=1e-6)
    assert float(found.p_at_least(high)) == pytest.approx((1 - confidence) / 2, abs=1e-6)


def test_values_at_one_bound_are_not_bounded_on_that_side():
    ones = BoundedValues.of_cases(np.ones(40), np.ones(40), None, (0.0, 1.0), 1.0)

    assert ones.interval(0.9) == (pytest.approx(0.05 ** (1 / 40)), 1.0)
    with pytest.raises(ValueError, match="confidence"):
        ones.interval(1.0)


@given(SEEDS, st.floats(-0.9, 0.9))
def test_values_with_counts_are_as_many_units(seed, mean):
    rng = np.random.default_rng(seed)
    values, sizes, counts = rng.uniform(-1, 1, 8), rng.uniform(0.5, 2, 8), rng.integers(1, 5, 8)
    some = BoundedValues(values * sizes, sizes, -1.0, 1.0, counts=counts.astype(float))
    units, each = np.repeat(values * sizes, counts), np.repeat(sizes, counts)
    every = BoundedValues(units, each, -1.0, 1.0)

    for of in (some.p_at_most, some.p_at_least, some.turned().p_at_most):
        same = getattr(every.turned() if of.__self__ is not some else every, of.__name__)
        assert float(of(mean)) == pytest.approx(float(same(mean)), abs=1e-9)
    assert some.interval(0.9) == pytest.approx(every.interval(0.9), abs=1e-6)
    for spread in (0.0, 0.1):
        plans = [one.plan(spread) for one in (some, every)]
        assert plans[0].n == pytest.approx(plans[1].n)
        assert plans[0].distance(0.9) == pytest.approx(plans[1].distance(0.9))


# --- plans ----------------------------------------------------------------------------------------


def plan_of(sizes, spread=0.02, mean=0.0):
    weights = np.array(sizes) * len(sizes) / sum(sizes)
    values = BoundedValues.of_cases(np.zeros(weights.size), weights, None, (-1.0, 1.0), 0.0)
    return PlannedMean(values=values, spread=spread, mean=mean)


@every_row("sizes", [[1.0] * 150, [5.0] * 10 + [1.0] * 50])
@every_row("mean", [0.0, -0.02, None])
@every_row("power", [0.5, 0.9])
def test_a_plan_gives_the_distance_the_chance_and_the_cases_of_one_another(sizes, mean, power):
    plan = plan_of(sizes, mean=mean)

    distance = plan.distance(power)

    assert plan.chance(distance + 1e-9) >= power > plan.chance(distance - 1e-6)
    assert plan.cases(distance + 1e-9, power) == pytest.approx(plan.n, abs=1)


def test_a_plan_without_spread_is_the_test_of_values_that_do_not_vary():
    plan = plan_of([1.0] * 100, 0.0)
    least = 1.0 - 0.05**0.01

    assert plan.distance(0.9) == pytest.approx(least)
    assert [plan.chance(least + step) for step in (-1e-9, 1e-9)] == [0.0, 1.0]


def test_a_plan_says_where_no_distance_and_no_number_of_cases_would_do():
    assert plan_of([1.0] * 2, mean=None).distance(0.9) == math.inf
    with pytest.raises(ValueError, match="no number of cases"):
        plan_of([1.0] * 20).cases(0.0, 0.9)


@every_row(("n", "drop"), [(100, 0.0), (100, 0.02), (300, 0.0)])
def test_the_chance_is_close_to_that_of_drawn_variants(n, drop):
    rng, limit = np.random.default_rng(n), 0.05
    changes = np.clip(rng.normal(-drop, 0.15, (4_000, n)), -1.0, 1.0)
    passed = np.mean(p_mean(changes + limit, limit - 1.0) <= 0.05)

    plan = plan_of([1.0] * n, 0.15**2, -drop)

    assert plan.chance(limit - drop) == pytest.approx(passed, abs=0.06)
