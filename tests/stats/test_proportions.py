"""Bounds on one share, exact chances of counts and roots, against scipy and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from pytest_ftgate.stats.proportions import (
    binomial_cdf,
    binomial_pmf,
    binomial_sf,
    critical_z,
    exact_noninferior_p,
    find_root,
    fisher_p,
    lower_bound,
    max_regressed,
    tango_z,
    trinomial_region,
    upper_bound,
)


@every_row(("n", "p"), [(1, 0.5), (20, 0.1), (5000, 0.97), (7, 0.0), (7, 1.0)])
def test_binomial_chances_agree_with_scipy(n, p):
    k = np.arange(-2, n + 3, dtype=float)
    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-12)
    assert binomial_sf(k, n, p) == pytest.approx(stats.binom.sf(k, n, p), abs=1e-12)
    inside = k[2:-2]
    assert binomial_pmf(inside, n, p) == pytest.approx(stats.binom.pmf(inside, n, p), abs=1e-11)


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_fishers_test_agrees_with_scipy(n, drawn_share, marked_share, hit_share):
    drawn, marked = round(drawn_share * n), round(marked_share * n)
    low, high = max(0, drawn + marked - n), min(drawn, marked)
    hits = low + round(hit_share * (high - low))
    table = [[hits, drawn - hits], [marked - hits, n - drawn - marked + hits]]

    expected = stats.fisher_exact(table, alternative="greater").pvalue

    assert fisher_p(hits, drawn, marked, n) == pytest.approx(expected, rel=1e-7, abs=1e-12)
    assert fisher_p(hits, drawn, marked, n) <= 1.0


@every_row("counts", [(0, 0, 0, 0), (0, 5, 0, 9), (0, 0, 4, 9), (5, 5, 5, 5)])
def test_where_nothing_is_drawn_or_marked_fishers_p_is_one(counts):
    assert fisher_p(*counts) == pytest.approx(1.0)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.001, 0.2))
def test_one_sided_bounds_invert_the_exact_test(n, share, alpha):
    x = round(share * n)
    low, high = lower_bound(x, n, alpha), upper_bound(x, n, alpha)
    assert low <= x / n <= high
    if x > 0:
        assert binomial_sf(x - 1, n, low) == pytest.approx(alpha)
    if x < n:
        assert binomial_cdf(x, n, high) == pytest.approx(alpha)


@given(st.integers(2, 200), st.floats(0, 1))
def test_a_fraction_of_a_success_lies_between_its_neighbours(n, share):
    x = share * (n - 1)
    for bound in (lower_bound, upper_bound):
        assert bound(np.floor(x), n, 0.05) <= bound(x, n, 0.05) <= bound(np.floor(x) + 1, n, 0.05)


def test_exact_bounds_err_on_the_safe_side_at_any_share_and_of_graded_scores():
    scores = np.random.default_rng(1).beta(4, 1, size=(4000, 60))
    assert np.mean(lower_bound(scores.sum(axis=1), 60, 0.05) > 0.8) < 0.05

    n, counts = 80, np.arange(81.0)
    bounds = lower_bound(counts, n, 0.05)
    for share in np.linspace(0.01, 0.99, 99):
        assert np.sum(binomial_pmf(counts, n, share)[bounds > share]) <= 0.05


def test_arrays_and_scalars_give_the_same_bounds():
    x, n = np.array([0.0, 3.0, 10.0]), 10
    for function in (lower_bound, upper_bound):
        assert list(function(x, n, 0.05)) == [function(float(k), n, 0.05) for k in x]
        assert isinstance(function(3, n, 0.05), float)


def test_rounding_just_past_all_successes_is_forgiven():
    assert upper_bound(10 + 1e-12, 10, 0.05) == 1.0


@every_row(
    ("successes", "n", "alpha"), [(-1, 10, 0.05), (11, 10, 0.05), (0, 0, 0.05), (5, 10, 0.0)]
)
def test_impossible_counts_are_refused(successes, n, alpha):
    with pytest.raises(ValueError, match="must"):
        lower_bound(successes, n, alpha)


@examples(0.5)
@given(st.integers(1, 12), st.floats(0.02, 0.5), st.floats(-3, 3))
def test_max_regressed_is_where_the_score_test_turns(n, margin, critical):
    fixed = np.arange(n + 1.0)
    for gain, limit in zip(fixed, max_regressed(fixed, n, margin, critical), strict=True):
        regressed = np.arange(n - gain + 1)
        held = tango_z(np.full_like(regressed, gain), regressed, n, -margin) >= critical
        assert np.count_nonzero(held) == limit + 1
        assert np.all(held[: int(limit) + 1])


def test_trinomial_region_agrees_with_enumeration():
    n, discordance, drop = 9, 0.4, 0.1
    limits = np.array([3.0, 4, 5, 6, 5, 4, 3, 2, 1, -1])
    outcomes = [
        stats.multinomial.pmf([g, low, n - g - low], n, [0.15, 0.25, 0.6])
        for g in range(n + 1)
        for low in range(int(limits[g]) + 1)
        if g + low <= n
    ]
    found = trinomial_region(limits, np.arange(n + 1.0), n, np.array([discordance]), drop)
    assert found[0] == pytest.approx(sum(outcomes))


# --- the exact unconditional test ---------------------------------------------------------------


def all_outcomes(n):
    fixed, regressed = np.meshgrid(np.arange(n + 1.0), np.arange(n + 1.0))
    fits = fixed + regressed <= n
    return fixed[fits], regressed[fits]


@examples(0.25)
@given(st.integers(1, 12), st.floats(0.02, 0.6), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_critical_score_splits_the_outcomes_by_their_exact_p_value(n, margin, alpha):
    critical = critical_z(n, margin, alpha)
    for fixed, regressed in zip(*all_outcomes(n), strict=True):
        shown = exact_noninferior_p(fixed, regressed, n, margin) <= alpha
        assert (tango_z(fixed, regressed, n, -margin) >= critical - 1e-9) == shown


@every_row(("n", "margin"), [(92, 0.18), (94, 0.24), (98, 0.17), (120, 0.03), (133, 0.02)])
def test_the_critical_score_of_many_cases_lies_between_two_outcomes(n, margin):
    """Their outcomes are too many to put all of them in order."""
    fixed, regressed = all_outcomes(n)
    scores, critical = tango_z(fixed, regressed, float(n), -margin), critical_z(n, margin, 0.05)
    least = np.argmin(np.where(scores >= critical - 1e-9, scores, np.inf))
    most = np.argmax(np.where(scores < critical - 1e-9, scores, -np.inf))

    shown, open_ = (
        exact_noninferior_p(fixed[one], regressed[one], n, margin) for one in (least, most)
    )

    assert shown <= 0.05 < open_


def test_without_an_outcome_that_shows_it_the_critical_score_is_infinite():
    # Four better cases of four have a chance of .49^4 = .058 where two points are lost, five .028.
    assert critical_z(4, 0.02, 0.05) == np.inf
    assert critical_z(5, 0.02, 0.05) <= tango_z(5, 0, 5, -0.02)


@pytest.mark.slow
@every_row(
    ("fixed", "regressed", "n", "margin"),
    [
        *((34, 29, 84, 0.1), (11, 7, 96, 0.1), (2, 1, 60, 0.05), (0, 0, 1, 0.3), (1, 0, 1, 0.02)),
        *((0, 1, 1, 0.3), (12, 0, 12, 0.6), (0, 12, 12, 0.1), (3, 9, 12, 0.02), (2, 1, 7, 0.5)),
    ],
)
def test_the_exact_p_value_is_the_highest_of_all_its_peaks(fixed, regressed, n, margin):
    """The chance of a result at least as good has several peaks of almost equal height."""
    others = all_outcomes(n)
    scores = tango_z(*others, n, -margin)
    region = np.stack(others)[:, scores >= tango_z(fixed, regressed, n, -margin) - 1e-9]
    cells = np.vstack([region, n - region.sum(axis=0)]).T
    highest = max(
        stats.multinomial.pmf(cells, n, [(psi - margin) / 2, (psi + margin) / 2, 1 - psi]).sum()
        for psi in np.linspace(margin, 1, 1501)
    )
    found = exact_noninferior_p(fixed, regressed, n, margin)
    assert highest - 1e-6 <= found <= highest + 1e-4


@every_row(("n", "margin", "alpha"), [(10, 0.0, 0.05), (10, 0.1, 1.0)])
def test_a_critical_score_needs_a_margin_and_a_level(n, margin, alpha):
    with pytest.raises(ValueError, match="between 0 and 1"):
        critical_z(n, margin, alpha)


# --- roots --------------------------------------------------------------------------------------


@every_row(
    ("function", "low", "high"),
    [
        (math.cos, 0.0, 3.0),
        (lambda x: x**3 - 2.0 * x - 5.0, 2.0, 3.0),
        (lambda x: x**3 - 0.001, -1.0, 4.0),
        (lambda x: math.exp(x) - 1e-9, -60.0, 1.0),
        (lambda x: math.copysign(1.0, x - 0.3), 0.0, 1.0),
    ],
)
def test_a_root_is_that_of_brent(function, low, high):
    root = find_root(function, low, high, xtol=1e-12)

    assert root == pytest.approx(brentq(function, low, high, xtol=1e-12), abs=2e-12)
    assert find_root(function, high, low, xtol=1e-12) == pytest.approx(root, abs=2e-12)


@given(root=st.floats(-1, 1), steepness=st.floats(0.01, 50), bend=st.floats(0, 5))
def test_the_root_of_any_rising_curve_is_found(root, steepness, bend):
    def curve(x):
        return math.tanh(steepness * (x - root)) + bend * (x - root) ** 3

    assert find_root(curve, -2.0, 2.0, xtol=1e-9) == pytest.approx(root, abs=2e-9)


def test_an_end_may_be_the_root_and_without_a_change_of_sign_there_is_none():
    assert find_root(lambda x: x, 0.0, 1.0, xtol=1e-9) == 0.0
    assert find_root(lambda x: x - 1.0, 0.0, 1.0, xtol=1e-9) == 1.0

    with pytest.raises(ValueError, match="no root between 1 and 2: the signs there are the same"):
        find_root(lambda x: x, 1, 2, xtol=1e-9)


def test_few_points_of_a_smooth_curve_are_needed():
    points = []

    def curve(x):
        points.append(x)
        return math.exp(x) - 2.0

    find_root(curve, -5.0, 5.0, xtol=1e-12)

    assert len(points) < 15
