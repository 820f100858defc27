"""Group-sequential bounds against multivariate normal chances, e-values against integrals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from pytest_ftgate.stats.sequential import (
    bet_sizes,
    e_drop,
    e_drop_scores,
    e_noninferior,
    e_noninferior_scores,
    log_wealth,
    obrien_fleming_bounds,
)

STEADY = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("alpha", "z"),
    [
        (0.05, [4.23, 2.89, 2.30, 1.96, 1.74]),
        (0.025, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (0.01, [5.64, 3.91, 3.13, 2.68, 2.38]),
    ],
)
def test_five_looks_have_the_published_bounds(alpha, z):
    assert obrien_fleming_bounds(alpha, 5) == pytest.approx(z, abs=0.006)


@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("fractions", [[0.5, 1.0], [0.2, 0.4, 0.6, 0.8, 1.0], [0.3, 0.35, 0.9]])
def test_chance_of_ever_crossing_is_what_was_spent(alpha, fractions):
    bounds, t = obrien_fleming_bounds(alpha, fractions), np.array(fractions)
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    stays = stats.multivariate_normal.cdf(
        bounds, cov=correlation, abseps=1e-7, releps=1e-7, rng=0, maxpts=10_000_000
    )
    spent = 2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(t[-1]))
    assert 1 - stays == pytest.approx(spent, abs=2e-5)


def test_one_look_is_the_ordinary_test():
    assert obrien_fleming_bounds(0.05, 1) == pytest.approx([1.6448536], abs=1e-6)


def test_a_count_of_looks_means_equal_steps():
    assert list(obrien_fleming_bounds(0.05, 4)) == list(
        obrien_fleming_bounds(0.05, [0.25, 0.5, 0.75, 1.0])
    )


@given(st.floats(0.001, 0.2), st.integers(1, 8))
@settings(STEADY, max_examples=25)
def test_bounds_fall_towards_the_ordinary_one(alpha, looks):
    bounds = obrien_fleming_bounds(alpha, looks)
    assert np.all(np.diff(bounds) < 0)
    assert bounds[-1] >= stats.norm.isf(alpha) - 1e-6


@pytest.mark.parametrize("looks", [0, -1, [], [0.5, 0.5], [0.0, 1.0], [0.5, 1.1], [[0.5, 1.0]]])
def test_looks_that_are_no_schedule_are_refused(looks):
    with pytest.raises(ValueError, match="looks"):
        obrien_fleming_bounds(0.05, looks)


@settings(STEADY)
@given(st.integers(0, 60), st.integers(0, 60))
def test_drop_evidence_is_the_integral_over_bets(fixed, regressed):
    value, _ = quad(lambda b: (1 - b) ** fixed * (1 + b) ** regressed, 0, 1, epsabs=0, epsrel=1e-10)
    assert e_drop(fixed, regressed) == pytest.approx(np.log(value), abs=1e-8)


@pytest.mark.parametrize(
    ("fixed", "regressed"), [(900, 100), (1500, 1400), (3000, 10), (30_000, 10_000), (5000, 0)]
)
def test_drop_evidence_stays_finite_however_many_cases_are_fixed(fixed, regressed):
    bet = np.r_[0, np.geomspace(1e-9, 1 - 1e-9, 400_001)]
    logs = fixed * np.log1p(-bet) + regressed * np.log1p(bet)
    expected = np.log(np.trapezoid(np.exp(logs - logs.max()), bet)) + logs.max()
    assert e_drop(fixed, regressed) == pytest.approx(expected, abs=1e-5)


def test_drop_evidence_has_expectation_one_without_a_drop():
    changed = np.arange(41.0)
    chance = stats.binom.pmf(changed, 40, 0.5)
    assert np.sum(chance * np.exp(e_drop(40 - changed, changed))) == pytest.approx(1)


@pytest.mark.parametrize("discordance", [0.03, 0.1, 0.5])
def test_non_inferiority_evidence_has_expectation_one_at_the_margin(discordance):
    n, margin = 30, 0.03
    g, low = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    g, low = g[g + low <= n], low[g + low <= n]
    cells = [(discordance - margin) / 2, (discordance + margin) / 2, 1 - discordance]
    chance = stats.multinomial.pmf(np.column_stack([g, low, n - g - low]), n, cells)
    evidence = np.exp(e_noninferior(g.astype(float), low.astype(float), n, margin))
    assert np.sum(chance * evidence) == pytest.approx(1)


@settings(STEADY)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 30), st.floats(0.005, 0.3))
def test_counts_and_scores_tell_the_same(fixed, regressed, ties, margin):
    d = np.r_[np.ones(fixed), -np.ones(regressed), np.zeros(ties + 1)]
    n = float(d.size)
    assert e_noninferior_scores(d, margin)[-1] == pytest.approx(
        e_noninferior(float(fixed), float(regressed), n, margin)
    )
    assert e_drop_scores(d)[-1] == pytest.approx(e_drop(fixed, regressed), abs=1e-9)


@settings(STEADY)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_order_of_cases_does_not_change_the_evidence(differences, random):
    shuffled = random.sample(differences, len(differences))
    for evidence in (e_drop_scores, lambda d: e_noninferior_scores(d, 0.05)):
        assert evidence(shuffled)[-1] == pytest.approx(evidence(differences)[-1], abs=1e-9)


@settings(STEADY)
@given(st.integers(0, 50), st.integers(0, 50))
def test_a_regressed_case_is_evidence_for_a_drop_and_against_non_inferiority(fixed, regressed):
    assert e_drop(fixed, regressed + 1) > e_drop(fixed, regressed)
    assert e_noninferior(fixed, regressed + 1, 120.0, 0.05) < e_noninferior(
        fixed, regressed, 120.0, 0.05
    )


def test_evidence_starts_at_nothing():
    assert e_drop(0, 0) == pytest.approx(0)
    assert e_noninferior(0, 0, 0, 0.03) == pytest.approx(0)


def test_arrays_and_scalars_give_the_same_evidence():
    g, low, n = np.array([0.0, 3, 900]), np.array([7.0, 3, 10]), np.array([50.0, 60, 1000])
    assert list(e_drop(g, low)) == [e_drop(*row) for row in zip(g, low, strict=True)]
    assert e_noninferior(g, low, n, 0.03) == pytest.approx(
        [e_noninferior(*row, 0.03) for row in zip(g, low, n, strict=True)]
    )


def test_wealth_can_never_go_below_nothing():
    with pytest.raises(ValueError, match="everything"):
        log_wealth([-1.0], [1.5])
    assert np.all(bet_sizes(0.03) * (1 - 0.03) < 1)


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="negative"):
        e_drop(-1, 0)
    with pytest.raises(ValueError, match="fit"):
        e_noninferior(5, 6, 10, 0.03)
