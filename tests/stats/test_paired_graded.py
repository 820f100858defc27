"""The paired tests of graded scores and of unequal weights, against their rule written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.bounded import p_mean, unseen_unit
from pytest_ftgate.stats.paired import (
    change_counts,
    change_interval,
    is_noninferior,
    p_drop,
    p_noninferior,
    p_not_beyond,
    paired_counts,
)
from pytest_ftgate.stats.resampling import clustered_se

MARGINS = st.floats(0.005, 0.5)
ALARM = 0.01 / 3


def decide(d, w, m):
    """Return whether changes *d* of cases of weight *w* pass the limit *m*, and whether they fail.

    This is the rule of docs/statistics.md, word for word.
    """
    w = w / w.mean()
    delta = (d * w).mean()
    passes = p_mean(w * (d + m), (m - 1) * unseen_unit(w, m)) <= 0.05
    gained = unseen_unit(w, max(0.0, -delta) / (1.0 + max(0.0, -delta)))
    fails = not passes and p_mean(-w * d, -gained) <= ALARM and delta <= 1e-9 - m
    return bool(passes), bool(fails)


def decided(pairs, m):
    passes = bool(is_noninferior(pairs, m, 0.05))
    fails = not passes and p_drop(pairs) <= ALARM and pairs.delta <= 1e-9 - m
    return passes, fails


def fields(rng, shape, drop):
    """Draw the scores of replies with five fields, before and after."""
    before = rng.random((*shape, 5)) < 0.9
    flips = rng.random((*shape, 5)) < 0.05
    after = np.where(flips, rng.random((*shape, 5)) < 0.9, before)
    after &= rng.random((*shape, 5)) >= drop / 0.9
    return before.mean(axis=-1), after.mean(axis=-1)


def similarity(rng, shape, drop):
    before = np.clip(rng.normal(0.8, 0.1, shape), 0, 1)
    return before, np.clip(before + rng.normal(-drop, 0.06, shape), 0, 1)


def rare_gains(rng, shape, drop):
    """Draw scores with no change in the mean: rare large gains balance many small losses."""
    gained = rng.random(shape) < 0.01
    before = np.where(gained, 0.005, 0.5)
    return before, np.where(gained, 0.995, 0.49) - drop


def heavy(rng, shape, drop, weights):
    """Draw right or wrong cases whose losses all lie in the heaviest cases."""
    before = (rng.random(shape) < 0.95).astype(float)
    after = np.where(rng.random(shape) < 0.05, 1 - before, before)
    heaviest = weights == weights.max()
    lost = drop / (weights[heaviest].sum() / weights.sum())
    before[..., heaviest] = 1.0
    after[..., heaviest] = rng.random((*shape[:-1], heaviest.sum())) >= lost
    return before, after


def weights_of(n, heavy_count, weight):
    weights = np.ones(n)
    weights[:heavy_count] = weight
    return weights / weights.mean()


@st.composite
def sheets(draw, *, grouped=False):
    """Draw the columns of a graded suite, of a weighted one, or of one that is both."""
    n = draw(st.integers(2, 40))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    score = draw(st.sampled_from([st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0])]))
    return {
        "before": column(score),
        "after": column(score),
        "weights": column(st.floats(0.1, 5)) if draw(st.booleans()) else None,
        "groups": column(st.integers(0, 12)) if grouped and draw(st.booleans()) else None,
    }


def graded_pairs(sheet):
    pairs = paired_counts(**sheet)
    assume(not pairs.countable)
    return pairs


# --- what is graded or weighted -----------------------------------------------------------------


def test_scores_are_counted_only_if_right_or_wrong_and_of_equal_weight():
    assert paired_counts([1, 0], [1, 1]).countable
    assert paired_counts([0.8, 0.2], [1, 0.4], before_repeats=5, after_repeats=5).countable
    assert not paired_counts([0.8, 0.2], [1, 0.4]).countable
    assert not paired_counts([1, 0], [1, 1], weights=[1, 2]).countable


def test_graded_cases_count_by_what_got_better_and_worse_and_weights_move_the_difference():
    found = paired_counts([0.5, 0.5, 0.5, 0.9, 0], [0.6, 0.4, 0.1, 0.9, 0.2])
    assert (found.fixed, found.regressed, found.effective) == (2, 2, 5)

    d, w = np.array([0, -1, 1, 0, -1.0]), np.array([1, 1, 2, 2, 4]) / 2
    found = paired_counts([1, 1, 0, 1, 1], [1, 0, 1, 1, 0], weights=w)
    assert found.delta == pytest.approx(np.mean(w * d))
    assert found.spread == pytest.approx(np.sum((w * (d - found.delta)) ** 2) / 4)
    assert (found.changes.sizes.max(), found.effective) == (2, 5)
    assert (found.fixed, found.regressed) == (1, 2)


# --- the rule -----------------------------------------------------------------------------------


@every_row("n", [20, 60, 200])
@every_row("margin", [0.03, 0.1])
@every_row("drop", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("draw", [fields, similarity, rare_gains, heavy])
def test_suites_are_decided_by_the_rule(draw, drop, margin, n):
    weights = weights_of(n, n // 10, 5) if draw is heavy else np.ones(n)
    known = {"weights": weights} if draw is heavy else {}
    before, after = draw(np.random.default_rng(n), (15, n), drop * margin, **known)
    for one, other in zip(before, after, strict=True):
        pairs = paired_counts(one, other, **known)
        if not pairs.countable:
            assert decided(pairs, margin) == decide(other - one, weights, margin)


def test_counted_and_graded_suites_can_be_mixed():
    before = np.ones((2, 120))
    after = before.copy()
    after[0, :2] = 0.0
    after[1, :2] = 0.5
    many = change_counts(before, after)
    assert list(many.countable) == [True, False]
    for which in range(2):
        alone = paired_counts(before[which], after[which])
        assert p_drop(many)[which] == pytest.approx(p_drop(alone))
        assert p_not_beyond(many, 0.1)[which] == pytest.approx(p_not_beyond(alone, 0.1))


# --- copies -------------------------------------------------------------------------------------


@given(sheets(), MARGINS)
def test_copies_of_the_cases_in_groups_show_what_the_cases_show(sheet, margin):
    pairs = graded_pairs(sheet)
    n = len(sheet["before"])
    tiled = {key: value if value is None else np.tile(value, 5) for key, value in sheet.items()}
    copies = paired_counts(**tiled | {"groups": np.tile(np.arange(n), 5)})
    assert copies.groups == n
    assert copies.delta == pytest.approx(pairs.delta)
    assert copies.spread / copies.n == pytest.approx(pairs.spread / pairs.n)
    for p_value in (p_noninferior, p_not_beyond):
        assert p_value(copies, margin) == pytest.approx(p_value(pairs, margin), abs=1e-7)
    assert p_drop(copies) == pytest.approx(p_drop(pairs), abs=1e-7)


# --- what must hold of every graded or weighted suite -------------------------------------------


@given(sheets(grouped=True), MARGINS, st.floats(0, 0.4))
def test_a_larger_margin_never_makes_passing_harder(sheet, margin, wider):
    pairs = graded_pairs(sheet)
    assert p_noninferior(pairs, margin + wider) <= p_noninferior(pairs, margin) + 1e-12
    assert p_not_beyond(pairs, margin + wider) >= p_not_beyond(pairs, margin) - 1e-12


@given(sheets(grouped=True), MARGINS)
def test_passing_every_margin_and_failing_exclude_each_other(sheet, margin):
    pairs = graded_pairs(sheet)
    if p_drop(pairs) < 0.5:
        assert pairs.delta < 0
        assert p_noninferior(pairs, min(margin, -pairs.delta)) > 0.05
    assert max(p_noninferior(pairs, margin), p_not_beyond(pairs, margin)) >= 0.5 - 1e-9


@given(sheets(grouped=True), st.floats(0.5, 0.99))
def test_interval_ends_are_the_differences_that_the_tests_just_refuse(sheet, confidence):
    pairs, error = graded_pairs(sheet), (1 - confidence) / 2
    assume(pairs.groups != 1)
    low, high = change_interval(pairs, confidence)
    assert -1 <= low <= pairs.delta + 1e-12
    assert pairs.delta - 1e-12 <= high <= 1
    # Where all changes come to lie on one side, the p-value of few of them has a small step.
    step = 1e-5
    if -1 + step < low < -2 * step:
        assert p_noninferior(pairs, -low + step) <= error + 1e-4
        assert p_noninferior(pairs, -low - step) >= error - 1e-4
    if -1 + step < high < -2 * step:
        assert p_not_beyond(pairs, -high + step) >= error - 1e-4
        assert p_not_beyond(pairs, -high - step) <= error + 1e-4


# --- error rates --------------------------------------------------------------------------------


def share_passing(before, after, margin, weights=1.0):
    counts = change_counts(before, after, weights=weights)
    return float(np.mean(is_noninferior(counts, margin, 0.05)))


@every_row("draw", [fields, similarity])
@every_row(
    ("n", "drop", "least", "most"), [(200, 0.0, 0.94, 1), (50, 0.05, 0, 0.03), (200, 0.05, 0, 0.03)]
)
def test_an_unchanged_variant_passes_and_a_drop_as_large_as_the_margin_hardly_ever(
    draw, n, drop, least, most
):
    sides = draw(np.random.default_rng(2), (1000, n), drop)
    assert least <= share_passing(*sides, 0.05) <= most


@every_row(
    ("n", "heavy_count", "weight", "margin"),
    [(200, 5, 10, 0.05), (100, 10, 5, 0.05), (200, 10, 5, 0.03), (100, 5, 10, 0.1)],
)
def test_losses_in_the_heaviest_cases_do_not_pass_unseen(n, heavy_count, weight, margin):
    """With an effective number of cases by Kish, 19 to 25 % of these drops pass."""
    weights = weights_of(n, heavy_count, weight)
    sides = heavy(np.random.default_rng(3), (2000, n), margin, weights)
    assert share_passing(*sides, margin, weights) <= 0.03


@every_row("n", [50, 100, 200])
def test_rare_large_gains_and_many_small_losses_are_no_drop(n):
    """A plain t test calls 8 to 28 % of these unchanged variants worse."""
    before, after = rare_gains(np.random.default_rng(4), (2000, n), 0.0)
    d = after - before
    lowest = stats.t.ppf(0.01, n - 1) * d.std(axis=1, ddof=1) / math.sqrt(n)
    assert np.mean(p_drop(change_counts(before, after)) <= 0.01) <= 0.01
    assert np.mean(d.mean(axis=1) <= lowest) > 0.05


# --- groups of graded cases -----------------------------------------------------------------------


def test_the_spread_of_groups_is_the_clustered_one():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 9, 60)
    before, after = rng.random((2, 60))

    pairs = paired_counts(before, after, groups=labels)

    assert pairs.spread / pairs.n == pytest.approx(clustered_se(after - before, labels) ** 2)
    assert (pairs.groups, pairs.effective, pairs.whole) == (9, 60, None)


@every_row(("weights", "largest"), [(None, 4.0), ([3.0] * 4 + [1.0] * 36, 10.0)])
def test_losses_of_graded_cases_may_come_in_whole_groups(weights, largest):
    before, after = np.random.default_rng(6).random((2, 40))

    pairs = paired_counts(before, after, groups=np.arange(40) // 4, weights=weights)

    assert pairs.changes.sizes.max() == pytest.approx(largest)


def test_two_groups_bound_the_change_of_graded_cases_and_one_does_not():
    before = np.full(40, 0.5)
    after = before + np.random.default_rng(7).normal(0, 1e-3, 40)
    two, one = (paired_counts(before, after, groups=np.arange(40) % n) for n in (2, 1))

    assert -1 < change_interval(two, 0.5)[0] < change_interval(two, 0.5)[1] < 1
    assert change_interval(one, 0.5) == (-1, 1)
