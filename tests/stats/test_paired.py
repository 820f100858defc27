"""The paired tests: published figures, brute force, and what must never change a verdict."""

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
from statsmodels.stats.multitest import multipletests

from pytest_ftgate.stats.bounded import p_mean
from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_counts,
    change_interval,
    holm,
    is_noninferior,
    p_drop,
    p_noninferior,
    p_not_beyond,
    p_within,
    paired_counts,
    turned,
)
from pytest_ftgate.stats.power import pass_probability
from pytest_ftgate.stats.proportions import (
    exact_noninferior_p,
    mcnemar_midp,
    needs_exact_test,
    tango_variance,
    tango_z,
)

MARGINS = st.floats(0.005, 0.5)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NO_P_VALUES = ([1.1], [-0.1], [math.nan], [[0.1]], [0.5, 1.5])


def counts(n, fixed, regressed):
    delta = (fixed - regressed) / n
    return PairedCounts(
        n=n, delta=delta, fixed=fixed, regressed=regressed, effective=n, before=0.5, after=0.5
    )


@st.composite
def tables(draw, least=1, largest=300):
    n = draw(st.integers(least, largest))
    fixed = draw(st.integers(0, n))
    return n, fixed, draw(st.integers(0, n - fixed))


@st.composite
def sheets(draw):
    """Draw the columns of a suite: right or wrong replies, or graded ones."""
    n = draw(st.integers(1, 25))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    repeats = [column(st.integers(1, 9)) for _ in range(2)]
    if draw(st.booleans()):
        right = [column(st.floats(0, 1)) for _ in range(2)]
        scores = [
            [round(share * k) / k for share, k in zip(*both, strict=True)]
            for both in zip(right, repeats, strict=True)
        ]
    else:
        scores = [column(st.floats(0, 1)) for _ in range(2)]
    return {
        "before": scores[0],
        "after": scores[1],
        "before_repeats": repeats[0],
        "after_repeats": repeats[1],
        "weights": column(st.floats(0.1, 5)) if draw(st.booleans()) else None,
        "groups": column(st.sampled_from("abcde")) if draw(st.booleans()) else None,
    }


# --- condensing cases ---------------------------------------------------------------------------


def test_cases_with_one_reply_are_their_discordant_counts():
    found = paired_counts([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1])
    assert found.spread == pytest.approx(np.var([0, -1, -1, 1, 0, 0], ddof=1))
    assert replace(found, spread=0.0) == PairedCounts(
        n=6, delta=-1 / 6, fixed=1, regressed=2, effective=6, before=4 / 6, after=0.5
    )


def test_repeats_follow_the_effective_number_formula():
    b, c, k = (
        np.array([1.0, 0.8, 0.6, 0.5]),
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


@given(sheets(), st.randoms(use_true_random=False))
def test_order_of_cases_changes_nothing(sheet, random):
    order = list(range(len(sheet["before"])))
    random.shuffle(order)
    shuffled = {k: v if v is None else [v[i] for i in order] for k, v in sheet.items()}
    assert paired_counts(**shuffled) == paired_counts(**sheet)


@given(sheets())
def test_effective_number_stays_between_its_limits(sheet):
    found = paired_counts(**sheet)
    most = max(*sheet["before_repeats"], *sheet["after_repeats"]) if found.countable else 1
    assert 1 - 1e-9 <= found.effective <= found.n * most + 1e-9
    assert 0 <= found.fixed + found.regressed <= found.n + 1e-9
    assert 0 <= p_noninferior(found, 0.05) <= 1
    assert 0 <= p_drop(found) <= 1


def test_weights_count_by_their_ratios_and_move_the_difference():
    b, c = [1, 1, 0, 1, 1], [1, 0, 1, 0, 1]
    assert paired_counts(b, c, weights=[0.3] * 5) == paired_counts(b, c)

    assert paired_counts([1, 1, 0], [1, 0, 1], weights=[2, 2, 0]) == paired_counts([1, 1], [1, 0])

    found = paired_counts([1, 1], [1, 0], weights=[1, 3])
    assert found.delta == pytest.approx(-0.75)
    assert (found.before, found.after) == pytest.approx((1, 0.25))


def test_groups_count_by_how_much_they_change_together():
    b = np.ones(200)
    labels = np.arange(200) // 10
    assert paired_counts(b, b, groups=labels).effective == pytest.approx(20)
    fallen = np.where(labels < 4, 0.0, 1.0)
    assert paired_counts(b, fallen, groups=labels).effective == pytest.approx(20, rel=0.06)

    rng = np.random.default_rng(3)
    b = np.ones(1000)
    c = (rng.random(1000) > 0.1).astype(float)
    found = paired_counts(b, c, groups=np.arange(1000) // 5)
    assert 750 < found.effective <= 1000
    assert found.groups == 200


def test_groups_use_the_t_distribution_and_are_wider():
    b, c = np.ones(60), np.r_[np.zeros(3), np.ones(57)]
    found = paired_counts(b, c, groups=np.arange(60) // 4)
    ratio = found.effective / 60
    z = (0.2 - 0.05) * math.sqrt(60 * ratio / tango_variance(0.0, 3.0, 60.0, -0.2))
    assert p_not_beyond(found, 0.2) == pytest.approx(stats.t.cdf(z, 14))
    alone = change_interval(paired_counts(b, c), 0.9)
    grouped = change_interval(found, 0.9)
    assert grouped[0] < alone[0] < alone[1] < grouped[1]


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_rare_changes_in_groups_do_not_pass_unseen(rho):
    rng = np.random.default_rng(5)
    labels, margin, passed = np.arange(200) // 5, 0.03, 0
    for _ in range(200):
        own, shared = rng.random(200) < margin, np.repeat(rng.random(40) < margin, 5)
        together = np.repeat(rng.random(40) < rho, 5)
        after = 1.0 - np.where(together, shared, own)
        passed += p_noninferior(paired_counts(np.ones(200), after, groups=labels), margin) <= 0.05
    assert passed / 200 <= 0.06


@every_row(("repeats", "grades"), [(1, 1), (3, 3), (1, 5)])
@every_row("weights", [None, np.r_[np.full(4, 4.0), np.ones(36)] / 1.3])
def test_many_suites_at_once_are_each_suite_alone(repeats, grades, weights):
    """Scores with more grades than repeats are graded, and so are not counted."""
    rng = np.random.default_rng(4)
    b, c = (rng.binomial(grades, rng.beta(3, 0.5, (50, 40))) / grades for _ in range(2))
    b[0] = c[0] = 1.0
    many = change_counts(b, c, (repeats, repeats), weights=1.0 if weights is None else weights)
    alone = [
        paired_counts(*row, before_repeats=repeats, after_repeats=repeats, weights=weights)
        for row in zip(b, c, strict=True)
    ]
    for name in ("delta", "fixed", "regressed", "effective", "countable", "spread"):
        assert getattr(many, name) == pytest.approx([getattr(one, name) for one in alone])
    assert list(many.allows_exact_test) == [one.allows_exact_test for one in alone]
    assert p_drop(many) == pytest.approx([p_drop(one) for one in alone])
    assert p_not_beyond(many, 0.05) == pytest.approx([p_not_beyond(one, 0.05) for one in alone])
    assert list(is_noninferior(many, 0.1, 0.05)) == [
        p_noninferior(one, 0.1) <= 0.05 for one in alone
    ]


@every_row(
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


def test_sides_of_many_suites_broadcast():
    b, c = np.ones(30), np.ones((4, 2, 30))
    c[1, 1, :3] = 0.0
    assert change_counts(b, c).regressed.tolist() == [[0, 0], [0, 3], [0, 0], [0, 0]]


# --- the PASS test ------------------------------------------------------------------------------


@every_row(("margin", "n"), [(0.01, 299), (0.02, 149), (0.028, 106), (0.03, 99), (0.05, 59)])
def test_no_discordant_pair_passes_only_with_enough_cases(margin, n):
    for cases in (n - 1, n):
        assert p_noninferior(counts(cases, 0, 0), margin) == pytest.approx((1 - margin) ** cases)
    assert (1 - margin) ** n <= 0.05 < (1 - margin) ** (n - 1)


@every_row(
    ("margin", "n", "tango", "exact"),
    [
        (0.01, 1000, 4, 4),
        (0.02, 300, 2, 1),
        (0.03, 200, 2, 1),
        (0.03, 300, 4, 3),
        (0.03, 500, 8, 8),
        (0.05, 100, 1, 1),
        (0.05, 200, 4, 4),
    ],
)
def test_regressed_cases_allowed_without_fixed_ones_are_the_published_ones(margin, n, tango, exact):
    def most(p):
        return next(regressed for regressed in range(20) if p(regressed) > 0.05) - 1

    assert most(lambda regressed: p_noninferior(counts(n, 0, regressed), margin)) == tango
    assert most(lambda regressed: exact_noninferior_p(0, regressed, n, margin)) == exact


@given(tables(), MARGINS)
def test_a_fixed_case_never_worsens_non_inferiority(table, margin):
    n, fixed, regressed = table
    before = p_noninferior(counts(n, fixed, regressed), margin)
    if fixed + regressed < n:
        assert p_noninferior(counts(n, fixed + 1, regressed), margin) <= before + 1e-12
    if regressed:
        assert p_noninferior(counts(n, fixed + 1, regressed - 1), margin) <= before + 1e-12


@given(tables(least=100), MARGINS, st.floats(0, 0.4))
def test_a_larger_margin_never_makes_passing_harder(table, margin, wider):
    pairs = counts(*table)
    # The p-value of the exact test is the largest of many, and may rise a little.
    assume(not needs_exact_test(pairs.n, margin))
    assert p_noninferior(pairs, margin + wider) <= p_noninferior(pairs, margin) + 1e-12


@examples(0.6)
@given(tables(largest=200), st.sampled_from([0.02, 0.05, 0.1, 0.2]), st.sampled_from([0.01, 0.05]))
def test_many_suites_pass_where_the_exact_p_value_of_each_is_small(table, margin, alpha):
    pairs = counts(*table)
    assert is_noninferior(pairs, margin, alpha) == (p_noninferior(pairs, margin) <= alpha)


def worst_miss(n, margin):
    discordances = margin + np.geomspace(1e-4, 0.4 - margin, 150)
    return max(pass_probability(n, discordance, margin, margin) for discordance in discordances)


@every_row(
    ("margin", "n", "least", "most"),
    [
        *((0.03, 200, 0.058, 0.060), (0.05, 100, 0.049, 0.051), (0.03, 147, 0.061, 0.063)),
        # With few cases, or few lost ones at the limit, the exact test decides.
        *((0.03, 88, 0, 0.05), (0.05, 52, 0, 0.05), (0.1, 25, 0, 0.05), (0.02, 99, 0, 0.05)),
        *((0.01, 268, 0, 0.05), (0.02, 133, 0, 0.05), (0.03, 133, 0, 0.05), (0.02, 199, 0, 0.05)),
    ],
)
def test_the_worst_miss_rate_is_the_measured_one(margin, n, least, most):
    assert least <= worst_miss(n, margin) <= most


def test_many_repeats_rule_out_no_drop_by_which_so_few_cases_are_often_lost():
    # Replies to a quarter of 80 cases vary, and one case is lost.
    case = np.arange(80)
    before, after = np.where(case < 60, 1.0, 0.5), np.where(case < 60, case > 0, 0.5)
    few, many = (
        paired_counts(before, after, before_repeats=runs, after_repeats=runs) for runs in (10, 20)
    )

    assert p_noninferior(few, 0.05) < p_noninferior(many, 0.05)
    assert p_noninferior(many, 0.05) == pytest.approx(stats.binom.cdf(1, 80, 0.05))
    assert is_noninferior(turned(many), 0.05, 0.05)


@every_row(
    "uncounted",
    [{"countable": False, "spread": 0.02}, {"groups": 30}, {"effective": 95.0}, {"fixed": 0.5}],
)
def test_the_exact_test_is_used_only_where_the_counts_allow_it(uncounted):
    plain = counts(90, 0, 0)
    assert p_noninferior(plain, 0.04) == exact_noninferior_p(0, 0, 90, 0.04)
    assert p_noninferior(replace(plain, **uncounted), 0.04) != p_noninferior(plain, 0.04)
    assert not replace(plain, **uncounted).allows_exact_test


@every_row(
    ("n", "margin", "exact"),
    [(99, 0.1, True), (100, 0.1, False), (100, 0.03, True), (199, 0.02, True), (200, 0.02, False)],
)
def test_the_score_test_decides_with_enough_cases_of_which_the_limit_loses_four(n, margin, exact):
    score = stats.norm.sf(tango_z(1.0, 2.0, float(n), -margin))
    p = exact_noninferior_p(1, 2, n, margin) if exact else score
    assert p_noninferior(counts(n, 1, 2), margin) == pytest.approx(p)
    assert score != pytest.approx(exact_noninferior_p(1, 2, n, margin))


@every_row(
    ("told", "call"),
    [
        *(("margin", partial(p_noninferior, counts(10, 0, 0), m)) for m in (0, 1, -0.1, math.nan)),
        *(
            ("fit", partial(exact_noninferior_p, fixed, regressed, 10, 0.1))
            for fixed, regressed in ((0.5, 0), (-1, 0), (6, 5))
        ),
        ("whole", lambda: mcnemar_midp(0.5, 1)),
        ("^confidence must lie", lambda: change_interval(counts(2, 1, 0), 1.0)),
        ("^margin must lie", lambda: p_not_beyond(change_counts([[1, 0]], [[1, 1]]), 0.0)),
        *(("^p-values .* numbers from 0 to 1", partial(holm, p)) for p in NO_P_VALUES),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(told, call):
    with pytest.raises(ValueError, match=told):
        call()


# --- the FAIL test ------------------------------------------------------------------------------


@every_row(("regressed", "p"), [(6, 0.0078125), (4, 0.03125), (0, 1.0)])
def test_midp_without_fixed_cases_is_the_published_one(regressed, p):
    assert mcnemar_midp(0, regressed) == pytest.approx(p)


@given(st.integers(0, 400), st.integers(0, 400))
def test_midp_agrees_with_scipy(fixed, regressed):
    total = fixed + regressed
    expected = stats.binom.sf(regressed, total, 0.5) + stats.binom.pmf(regressed, total, 0.5) / 2
    assert mcnemar_midp(fixed, regressed) == pytest.approx(expected if total else 1.0, rel=1e-9)


def test_no_change_and_one_group_show_no_drop():
    assert p_drop(counts(50, 0, 0)) == p_drop(paired_counts([0.5, 0.7], [0.5, 0.7])) == 1
    assert p_drop(paired_counts([1, 1, 0], [1, 1, 0], groups=["a", "b", "c"])) == 1

    found = paired_counts([1, 1, 1], [1, 1, 0], groups=["a"] * 3)
    assert p_noninferior(found, 0.5) == 1
    assert p_drop(found) == 1
    assert change_interval(found, 0.9) == (-1, 1)


def test_drop_of_repeated_replies_uses_the_score_test():
    found = paired_counts([0.9] * 40, [0.5] * 40, before_repeats=10, after_repeats=10)
    ratio = found.effective / found.n
    z = tango_z(found.fixed * ratio, found.regressed * ratio, found.effective, 0.0)
    assert p_drop(found) == pytest.approx(stats.norm.cdf(z))


@given(tables())
def test_passing_every_margin_and_failing_exclude_each_other(table):
    pairs = counts(*table)
    if p_drop(pairs) <= 0.01:
        assert p_noninferior(pairs, 0.005) > 0.05


# --- the score statistic and its interval -------------------------------------------------------


@given(tables(), st.floats(-0.9, 0.9))
def test_score_is_antisymmetric_in_the_two_sides(table, delta):
    # The square of a smaller difference underflows; margins are a hundredth or so.
    assume(delta == 0 or abs(delta) > 1e-100)
    n, fixed, regressed = table
    forward, backward = tango_z(fixed, regressed, n, delta), tango_z(regressed, fixed, n, -delta)
    assert forward == pytest.approx(-backward, rel=1e-6, abs=1e-6)


@given(tables(), st.floats(0.5, 0.999))
def test_interval_holds_the_estimate_and_ends_where_the_score_says(table, confidence):
    pairs = counts(*table)
    low, high = change_interval(pairs, confidence)
    assert -1 <= low <= pairs.delta <= high <= 1
    reach = stats.norm.ppf((1 + confidence) / 2)
    if low > -1:
        assert tango_z(pairs.fixed, pairs.regressed, pairs.n, low) == pytest.approx(reach, abs=1e-4)
    if high < 1:
        assert tango_z(pairs.fixed, pairs.regressed, pairs.n, high) == pytest.approx(
            -reach, abs=1e-4
        )


@every_row("n", [1, 3, 200])
def test_interval_reaches_the_end_of_the_scale_when_all_changed(n):
    assert change_interval(counts(n, 0, n), 0.9)[0] == -1
    assert change_interval(counts(n, n, 0), 0.9)[1] == 1


@given(tables(least=100), MARGINS)
def test_the_interval_passes_or_fails_exactly_when_the_test_does(table, margin):
    pairs = counts(*table)
    assume(not needs_exact_test(pairs.n, margin))
    passing, beyond = p_noninferior(pairs, margin), p_not_beyond(pairs, margin)
    assume(abs(passing - 0.05) > 1e-6)
    assume(abs(beyond - 0.005) > 1e-6)
    assert (change_interval(pairs, 0.9)[0] > -margin) == (passing < 0.05)
    assert (change_interval(pairs, 0.99)[1] < -margin) == (beyond < 0.005)


@every_row(("n", "margin", "level"), [(60, 0.075, 0.027), (252, 0.05, 0.0013)])
def test_a_loss_of_the_margin_alone_is_seldom_said_to_exceed_it_however_small_the_level(
    n, margin, level
):
    lost = np.arange(n + 1)
    chances = stats.binom.pmf(lost, n, margin)
    within = np.array([p_within(counts(float(n), 0.0, float(count)), margin) for count in lost])
    tango = np.array([p_not_beyond(counts(float(n), 0.0, float(count)), margin) for count in lost])

    assert chances[within <= level].sum() < level < chances[tango <= level].sum()


def test_beyond_a_margin_counts_take_the_larger_p_value_and_graded_scores_their_own():
    plain, graded = counts(200.0, 10.0, 40.0), paired_counts([0.9] * 50, [0.5, 0.7] * 25)
    three = np.array([-1.05, -0.05, 0.95])

    assert p_within(plain, 0.05) == p_mean(three, -1.05, [10, 150, 40]) > p_not_beyond(plain, 0.05)
    repeated = replace(plain, effective=400.0)
    assert p_within(repeated, 0.05) == p_mean(three, -1.05, [20, 300, 80])
    assert p_within(graded, 0.05) == p_not_beyond(graded, 0.05)


def test_arrays_and_scalars_give_the_same_statistics():
    g, low, n = np.array([0.0, 3, 7]), np.array([0.0, 5, 2]), np.array([50.0, 60, 70])
    z = [tango_z(*row, -0.03) for row in zip(g, low, n, strict=True)]
    assert list(tango_z(g, low, n, -0.03)) == z
    assert list(mcnemar_midp(g, low)) == [mcnemar_midp(*row) for row in zip(g, low, strict=True)]
    assert all(isinstance(value, float) for value in z)


# --- several tests ------------------------------------------------------------------------------


@pytest.mark.slow
@examples(0.05)
@given(P_VALUES)
def test_values_adjusted_for_several_tests_agree_with_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_no_tests_need_no_adjusting():
    assert holm([]).shape == (0,)


# --- a rise -------------------------------------------------------------------------------------


@given(
    cases=st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.3, 1.0])),
        min_size=12,
        max_size=16,
    ),
    counted=st.booleans(),
    size=st.sampled_from([None, 1, 2]),
    heavy=st.booleans(),
    margin=st.floats(0.05, 0.5),
)
@examples(0.3)
def test_a_rise_is_judged_as_the_drop_of_the_sides_in_each_others_place(
    cases, counted, size, heavy, margin
):
    before, after = np.array(cases).T
    if counted:
        before, after = np.round(before), np.round(after)
    groups = None if size is None else np.arange(len(before)) // size
    weights = 1.0 + np.arange(len(before)) % 3 if heavy else None
    sides = {"groups": groups, "weights": weights}

    there = turned(paired_counts(before, after, **sides))
    back = paired_counts(after, before, **sides)

    assert (there.fixed, there.regressed, there.whole) == (back.fixed, back.regressed, back.whole)
    for p in (p_drop, partial(p_not_beyond, margin=margin), partial(p_noninferior, margin=margin)):
        assert p(there) == pytest.approx(p(back), abs=1e-9)
    assert change_interval(there, 0.95) == pytest.approx(change_interval(back, 0.95), abs=1e-9)
