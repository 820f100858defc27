"""The paired tests: published figures, brute force, and what must never change a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_counts,
    p_drop,
    p_noninferior,
    paired_counts,
    tango_interval,
)
from pytest_ftgate.stats.proportions import exact_noninferior_p, mcnemar_midp, tango_z

STEADY = settings(deadline=None, derandomize=True)

MARGINS = st.floats(0.005, 0.5)


def counts(n, fixed, regressed, **more):
    return PairedCounts(
        n=n, fixed=fixed, regressed=regressed, effective=n, before=0.5, after=0.5, **more
    )


@st.composite
def tables(draw, largest=300):
    n = draw(st.integers(1, largest))
    fixed = draw(st.integers(0, n))
    return n, fixed, draw(st.integers(0, n - fixed))


@st.composite
def sheets(draw):
    n = draw(st.integers(1, 25))
    score = st.floats(0, 1)
    column = st.lists(score, min_size=n, max_size=n)
    repeats = st.lists(st.integers(1, 9), min_size=n, max_size=n)
    weights = st.lists(st.floats(0.1, 5), min_size=n, max_size=n)
    groups = st.lists(st.sampled_from("abcde"), min_size=n, max_size=n)
    return {
        "before": draw(column),
        "after": draw(column),
        "before_repeats": draw(st.none() | repeats),
        "after_repeats": draw(st.none() | repeats),
        "weights": draw(st.none() | weights),
        "groups": draw(st.none() | groups),
    }


# --- condensing cases ---------------------------------------------------------------------------


def test_cases_with_one_reply_are_their_discordant_counts():
    found = paired_counts([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1])
    assert found == PairedCounts(n=6, fixed=1, regressed=2, effective=6, before=4 / 6, after=0.5)


def test_repeats_follow_the_effective_number_formula():
    b, c, k = (
        np.array([1.0, 0.8, 0.6, 0.2]),
        np.array([0.8, 0.8, 0.4, 0.6]),
        np.array([5, 5, 10, 2]),
    )
    found = paired_counts(b, c, before_repeats=k, after_repeats=5)
    n, d = 4, c - b
    g, low = np.sum((1 - b) * c), np.sum(b * (1 - c))
    v1 = (g + low) / n - d.mean() ** 2
    shrunk = (n * d.var() + 4 * v1) / (n + 4)
    cap = n / np.sum((1 / k + 1 / 5) / 2)
    assert found.fixed == pytest.approx(g)
    assert found.regressed == pytest.approx(low)
    assert found.effective == pytest.approx(min(n * v1 / shrunk, n * cap))
    assert found.delta == pytest.approx(d.mean())


def test_repeats_that_always_agree_tell_no_more_than_one():
    once = paired_counts([1, 1, 0, 1] * 20, [1, 0, 1, 1] * 20)
    often = paired_counts([1, 1, 0, 1] * 20, [1, 0, 1, 1] * 20, before_repeats=10, after_repeats=10)
    assert often == once


@settings(STEADY)
@given(sheets(), st.randoms(use_true_random=False))
def test_order_of_cases_changes_nothing(sheet, random):
    order = list(range(len(sheet["before"])))
    random.shuffle(order)
    shuffled = {k: v if v is None else [v[i] for i in order] for k, v in sheet.items()}
    assert paired_counts(**shuffled) == paired_counts(**sheet)


@settings(STEADY)
@given(sheets())
def test_effective_number_stays_between_its_limits(sheet):
    found = paired_counts(**sheet)
    repeats = [sheet[k] or [1] * int(found.n) for k in ("before_repeats", "after_repeats")]
    assert 1 - 1e-9 <= found.effective <= found.n * max(map(max, repeats)) + 1e-9
    assert 0 <= found.fixed + found.regressed <= found.n + 1e-9
    assert 0 <= p_noninferior(found, 0.05) <= 1
    assert 0 <= p_drop(found) <= 1


@settings(STEADY)
@given(sheets(), st.floats(0.01, 100))
def test_only_the_ratios_of_weights_count(sheet, factor):
    assume(sheet["weights"])
    scaled = sheet | {"weights": [w * factor for w in sheet["weights"]]}
    first, second = paired_counts(**sheet), paired_counts(**scaled)
    assert second.effective == pytest.approx(first.effective)
    assert second.fixed == pytest.approx(first.fixed)


def test_equal_weights_are_no_weights():
    b, c = [1, 1, 0, 1, 1], [1, 0, 1, 0, 1]
    assert paired_counts(b, c, weights=[0.3] * 5) == paired_counts(b, c)


def test_a_case_of_weight_zero_is_left_out():
    assert paired_counts([1, 1, 0], [1, 0, 1], weights=[2, 2, 0]) == paired_counts([1, 1], [1, 0])


def test_unequal_weights_cost_effective_cases():
    b, c = np.ones(100), np.r_[np.zeros(10), np.ones(90)]
    weights = np.tile([1.0, 3.0], 50)
    kish = weights.sum() ** 2 / (weights**2).sum()
    assert paired_counts(b, c, weights=weights).effective <= kish + 1e-9
    assert paired_counts(b, b, weights=weights).effective == pytest.approx(kish)


def test_weighted_cases_move_the_difference():
    found = paired_counts([1, 1], [1, 0], weights=[1, 3])
    assert found.delta == pytest.approx(-0.75)
    assert (found.before, found.after) == pytest.approx((1, 0.25))


def test_identical_cases_of_a_group_count_as_one():
    b = np.ones(200)
    labels = np.arange(200) // 10
    assert paired_counts(b, b, groups=labels).effective == pytest.approx(20)
    fallen = np.where(labels < 4, 0.0, 1.0)
    assert paired_counts(b, fallen, groups=labels).effective == pytest.approx(20, rel=0.06)


def test_groups_that_change_independently_cost_little():
    rng = np.random.default_rng(3)
    b = np.ones(1000)
    c = (rng.random(1000) > 0.1).astype(float)
    found = paired_counts(b, c, groups=np.arange(1000) // 5)
    assert 750 < found.effective <= 1000
    assert found.groups == 200


def test_groups_use_the_t_distribution_and_are_wider():
    b, c = np.ones(60), np.r_[np.zeros(3), np.ones(57)]
    found = paired_counts(b, c, groups=np.arange(60) // 4)
    z = tango_z(*found.effective_counts, -0.2)
    assert p_noninferior(found, 0.2) == pytest.approx(stats.t.sf(z, 14))
    alone = tango_interval(paired_counts(b, c), 0.9)
    grouped = tango_interval(found, 0.9)
    assert grouped[0] < alone[0] < alone[1] < grouped[1]


def test_one_group_shows_nothing():
    found = paired_counts([1, 1, 1], [1, 1, 0], groups=["a"] * 3)
    assert p_noninferior(found, 0.5) == 1
    assert p_drop(found) == 1
    assert tango_interval(found, 0.9) == (-1, 1)


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_rare_changes_in_groups_do_not_pass_unseen(rho):
    rng = np.random.default_rng(5)
    labels, margin, passed = np.arange(200) // 5, 0.03, 0
    for _ in range(400):
        own, shared = rng.random(200) < margin, np.repeat(rng.random(40) < margin, 5)
        together = np.repeat(rng.random(40) < rho, 5)
        after = 1.0 - np.where(together, shared, own)
        passed += p_noninferior(paired_counts(np.ones(200), after, groups=labels), margin) <= 0.05
    assert passed / 400 <= 0.06


@pytest.mark.parametrize(
    "bad",
    [
        {"before": [], "after": []},
        {"before": [1, 0], "after": [1]},
        {"before": [1.2], "after": [1]},
        {"before": [math.nan], "after": [1]},
        {"before": [1], "after": [1], "before_repeats": 0},
        {"before": [1, 1], "after": [1, 1], "after_repeats": [1, 2, 3]},
        {"before": [1], "after": [1], "weights": [0]},
        {"before": [1], "after": [1], "weights": [-1]},
        {"before": [1, 1], "after": [1, 1], "groups": ["a"]},
    ],
)
def test_columns_that_are_no_sheet_are_refused(bad):
    with pytest.raises(ValueError, match="case"):
        paired_counts(**bad)


@pytest.mark.parametrize("repeats", [1, 3])
def test_many_suites_at_once_are_each_suite_alone(repeats):
    rng = np.random.default_rng(4)
    b, c = (rng.binomial(repeats, rng.beta(3, 0.5, (50, 40))) / repeats for _ in range(2))
    b[0] = c[0] = 1.0
    many = change_counts(b, c, 1 / repeats)
    alone = [
        paired_counts(*row, before_repeats=repeats, after_repeats=repeats)
        for row in zip(b, c, strict=True)
    ]
    assert many.fixed == pytest.approx([one.fixed for one in alone])
    assert many.regressed == pytest.approx([one.regressed for one in alone])
    assert many.effective == pytest.approx([one.effective for one in alone])
    assert list(many.allows_exact_test) == [one.allows_exact_test for one in alone]
    assert p_drop(many) == pytest.approx([p_drop(one) for one in alone])
    assert p_noninferior(many, 0.05) == pytest.approx([p_noninferior(one, 0.05) for one in alone])


def test_sides_of_many_suites_broadcast():
    b, c = np.ones(30), np.ones((4, 2, 30))
    c[1, 1, :3] = 0.0
    assert change_counts(b, c).regressed.tolist() == [[0, 0], [0, 3], [0, 0], [0, 0]]


# --- the PASS test ------------------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "n"), [(0.01, 268), (0.03, 88), (0.05, 52)])
def test_no_discordant_pair_passes_only_with_enough_cases(margin, n):
    assert (
        p_noninferior(counts(n, 0, 0), margin) <= 0.05 < p_noninferior(counts(n - 1, 0, 0), margin)
    )


@pytest.mark.parametrize(("margin", "n"), [(0.01, 299), (0.02, 149), (0.03, 99), (0.05, 59)])
def test_no_discordant_pair_passes_the_exact_test_only_with_enough_cases(margin, n):
    assert exact_noninferior_p(0, 0, n, margin) == pytest.approx((1 - margin) ** n)
    assert exact_noninferior_p(0, 0, n, margin) <= 0.05 < exact_noninferior_p(0, 0, n - 1, margin)


@pytest.mark.parametrize(
    ("margin", "n", "tango", "exact"),
    [
        (0.01, 300, 0, 0),
        (0.01, 500, 1, 1),
        (0.01, 1000, 4, 4),
        (0.02, 150, 0, 0),
        (0.02, 300, 2, 1),
        (0.02, 500, 4, 4),
        (0.03, 100, 0, 0),
        (0.03, 200, 2, 1),
        (0.03, 300, 4, 3),
        (0.03, 500, 8, 8),
        (0.05, 100, 1, 1),
        (0.05, 200, 4, 4),
    ],
)
def test_regressed_cases_allowed_without_fixed_ones_are_the_published_ones(margin, n, tango, exact):
    def most(exactly):
        passing = (p_noninferior(counts(n, 0, k), margin, exact=exactly) <= 0.05 for k in range(20))
        return list(passing).index(False) - 1

    assert (most(exactly=False), most(exactly=True)) == (tango, exact)


@settings(STEADY)
@given(tables(), MARGINS)
def test_a_fixed_case_never_worsens_non_inferiority(table, margin):
    n, fixed, regressed = table
    before = p_noninferior(counts(n, fixed, regressed), margin)
    if fixed + regressed < n:
        assert p_noninferior(counts(n, fixed + 1, regressed), margin) <= before + 1e-12
    if regressed:
        assert p_noninferior(counts(n, fixed + 1, regressed - 1), margin) <= before + 1e-12


@settings(STEADY)
@given(tables(), MARGINS, st.floats(0, 0.4))
def test_a_larger_margin_never_makes_passing_harder(table, margin, wider):
    pairs = counts(*table)
    assert p_noninferior(pairs, margin + wider) <= p_noninferior(pairs, margin) + 1e-12


@settings(STEADY, max_examples=60)
@given(tables(largest=12), st.floats(0.02, 0.6))
def test_exact_p_agrees_with_brute_force(table, margin):
    n, fixed, regressed = table
    observed = tango_z(fixed, regressed, n, -margin) - 1e-9
    g, low = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    fits = g + low <= n
    g, low = g[fits], low[fits]
    region = tango_z(g, low, n, -margin) >= observed
    cells = np.column_stack([g, low, n - g - low])[region]
    largest = max(
        stats.multinomial.pmf(cells, n, [(psi - margin) / 2, (psi + margin) / 2, 1 - psi]).sum()
        for psi in np.linspace(margin, 1, 151)
    )
    found = exact_noninferior_p(fixed, regressed, n, margin)
    assert found >= largest - 2e-3
    assert found <= largest + 2e-2


@pytest.mark.parametrize(
    ("margin", "n", "size"), [(0.01, 50, 0.048), (0.03, 200, 0.059), (0.05, 100, 0.050)]
)
def test_worst_miss_rate_of_the_score_test_is_the_measured_one(margin, n, size):
    from pytest_ftgate.stats.power import pass_probability

    rates = [
        pass_probability(n, psi, margin, margin)
        for psi in margin + np.geomspace(1e-4, 0.4 - margin, 150)
    ]
    assert max(rates) == pytest.approx(size, abs=0.001)


@pytest.mark.parametrize(("margin", "n"), [(0.01, 268), (0.02, 134), (0.03, 88)])
def test_worst_miss_is_where_no_change_just_passes_and_the_exact_test_caps_it(margin, n):
    """All drop and no fixed: nothing changes in (1 - m)^n of the runs, up to 6.8% of them."""
    assert p_noninferior(counts(n, 0, 0), margin) <= 0.05
    assert 0.05 < (1 - margin) ** n < 0.0695
    assert p_noninferior(counts(n, 0, 0), margin, exact=True) > 0.05


def test_exact_test_is_used_only_where_the_counts_allow_it():
    plain = counts(200, 0, 2)
    assert p_noninferior(plain, 0.03) <= 0.05 < p_noninferior(plain, 0.03, exact=True)
    graded = counts(200, 0, 2, binary=False)
    assert p_noninferior(graded, 0.03, exact=True) == p_noninferior(graded, 0.03)


@pytest.mark.parametrize("margin", [0, 1, -0.1, math.nan])
def test_margin_outside_zero_to_one_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        p_noninferior(counts(10, 0, 0), margin)


@pytest.mark.parametrize(("fixed", "regressed"), [(0.5, 0), (-1, 0), (6, 5)])
def test_exact_test_refuses_counts_that_cannot_be(fixed, regressed):
    with pytest.raises(ValueError, match="fit"):
        exact_noninferior_p(fixed, regressed, 10, 0.1)


# --- the FAIL test ------------------------------------------------------------------------------


@pytest.mark.parametrize(("regressed", "p"), [(6, 0.0078125), (4, 0.03125), (0, 1.0)])
def test_midp_without_fixed_cases_is_the_published_one(regressed, p):
    assert mcnemar_midp(0, regressed) == pytest.approx(p)


@settings(STEADY)
@given(st.integers(0, 400), st.integers(0, 400))
def test_midp_agrees_with_scipy(fixed, regressed):
    total = fixed + regressed
    expected = stats.binom.sf(regressed, total, 0.5) + stats.binom.pmf(regressed, total, 0.5) / 2
    assert mcnemar_midp(fixed, regressed) == pytest.approx(expected if total else 1.0, rel=1e-9)


@settings(STEADY)
@given(st.integers(0, 100), st.integers(0, 100))
def test_midp_of_both_directions_adds_up_to_one(fixed, regressed):
    assume(fixed + regressed > 0)
    assert mcnemar_midp(fixed, regressed) + mcnemar_midp(regressed, fixed) == pytest.approx(1)


def test_midp_refuses_fractional_counts():
    with pytest.raises(ValueError, match="whole"):
        mcnemar_midp(0.5, 1)


def test_no_change_is_no_drop():
    assert p_drop(counts(50, 0, 0)) == 1
    assert p_drop(paired_counts([1, 1, 0], [1, 1, 0], groups=["a", "b", "c"])) == 1


def test_drop_of_graded_scores_uses_the_score_test():
    found = paired_counts([0.9] * 40, [0.5] * 40, before_repeats=10, after_repeats=10)
    assert p_drop(found) == pytest.approx(stats.norm.cdf(tango_z(*found.effective_counts, 0.0)))


@settings(STEADY)
@given(tables())
def test_passing_every_margin_and_failing_exclude_each_other(table):
    pairs = counts(*table)
    if p_drop(pairs) <= 0.01:
        assert p_noninferior(pairs, 0.005) > 0.05


# --- the score statistic and its interval -------------------------------------------------------


@settings(STEADY)
@given(tables(), st.floats(-0.9, 0.9))
def test_score_is_antisymmetric_in_the_two_sides(table, delta):
    # The square of a smaller difference underflows; margins are a hundredth or so.
    assume(delta == 0 or abs(delta) > 1e-100)
    n, fixed, regressed = table
    forward, backward = tango_z(fixed, regressed, n, delta), tango_z(regressed, fixed, n, -delta)
    assert forward == pytest.approx(-backward, rel=1e-6, abs=1e-6)


@settings(STEADY)
@given(tables(), st.floats(0.5, 0.999))
def test_interval_holds_the_estimate_and_ends_where_the_score_says(table, confidence):
    pairs = counts(*table)
    low, high = tango_interval(pairs, confidence)
    assert -1 <= low <= pairs.delta <= high <= 1
    reach = stats.norm.ppf((1 + confidence) / 2)
    if low > -1:
        assert tango_z(pairs.fixed, pairs.regressed, pairs.n, low) == pytest.approx(reach, abs=1e-4)
    if high < 1:
        assert tango_z(pairs.fixed, pairs.regressed, pairs.n, high) == pytest.approx(
            -reach, abs=1e-4
        )


@pytest.mark.parametrize("n", [1, 3, 200])
def test_interval_reaches_the_end_of_the_scale_when_all_changed(n):
    assert tango_interval(counts(n, 0, n), 0.9)[0] == -1
    assert tango_interval(counts(n, n, 0), 0.9)[1] == 1


@settings(STEADY)
@given(tables())
def test_interval_passes_exactly_when_the_test_does(table):
    pairs = counts(*table)
    p = p_noninferior(pairs, 0.05)
    assume(abs(p - 0.05) > 1e-6)
    assert (tango_interval(pairs, 0.9)[0] > -0.05) == (p < 0.05)


def test_arrays_and_scalars_give_the_same_statistics():
    g, low, n = np.array([0.0, 3, 7]), np.array([0.0, 5, 2]), np.array([50.0, 60, 70])
    z = [tango_z(*row, -0.03) for row in zip(g, low, n, strict=True)]
    assert list(tango_z(g, low, n, -0.03)) == z
    assert list(mcnemar_midp(g, low)) == [mcnemar_midp(*row) for row in zip(g, low, strict=True)]
    assert all(isinstance(value, float) for value in z)


@settings(STEADY)
@given(tables(), MARGINS)
def test_score_at_the_margin_is_finite(table, margin):
    n, fixed, regressed = table
    assert np.isfinite(tango_z(fixed, regressed, n, -margin))
