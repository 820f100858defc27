"""Bootstrap, homogeneity, calibrated judges, clustered errors and macro means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score, f1_score
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import SquareTable

from pytest_ftgate.stats.paired import p_drop, p_noninferior, paired_counts
from pytest_ftgate.stats.proportions import mcnemar_midp
from pytest_ftgate.stats.resampling import (
    MeanEstimate,
    bootstrap_bounds,
    clustered_se,
    kappa_bounds,
    macro_difference,
    stuart_maxwell,
    two_phase_mean,
)

DIFFERENCES = np.random.default_rng(11).choice([-1.0, 0.0, 1.0], 300, p=[0.08, 0.86, 0.06])


def mean_difference(counts):
    return counts @ DIFFERENCES / counts.sum(axis=1)


def macro_f1(truth, predicted, classes=3):
    hits = np.stack([(truth == k) & (predicted == k) for k in range(classes)], axis=1)
    either = np.stack([(truth == k) * 1.0 + (predicted == k) for k in range(classes)], axis=1)
    return lambda counts: np.mean(2 * (counts @ hits) / np.maximum(counts @ either, 1e-300), axis=1)


# --- bootstrap ------------------------------------------------------------------------------------


def test_bounds_of_a_mean_are_the_normal_ones_and_those_of_scipy():
    found = bootstrap_bounds(mean_difference, 300, rng=np.random.default_rng(0))
    reach = stats.norm.isf(0.05) * DIFFERENCES.std() / np.sqrt(300)
    assert found.estimate == pytest.approx(DIFFERENCES.mean())
    assert found.lower == pytest.approx(found.estimate - reach, abs=0.003)
    assert found.upper == pytest.approx(found.estimate + reach, abs=0.003)

    found = bootstrap_bounds(mean_difference, 300, rng=np.random.default_rng(0))
    expected = stats.bootstrap(
        (DIFFERENCES,), np.mean, confidence_level=0.9, method="percentile", rng=1, batch=1000
    ).confidence_interval
    assert (found.lower, found.upper) == pytest.approx(expected, abs=0.003)


def test_bounds_are_those_of_their_seed_and_of_all_resamples():
    first, second = (
        bootstrap_bounds(mean_difference, 300, rng=np.random.default_rng(7), resamples=500)
        for _ in range(2)
    )
    assert first == second

    rows = []
    bootstrap_bounds(
        lambda w: rows.append(len(w)) or w.sum(axis=1),
        1000,
        rng=np.random.default_rng(0),
        resamples=4500,
    )
    assert sum(rows) == 4500 + 1
    assert max(rows) <= 2000


def test_any_metric_can_be_bounded():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 250)
    before, after = (np.where(rng.random(250) < p, truth, (truth + 1) % 3) for p in (0.9, 0.8))
    one, other = macro_f1(truth, before), macro_f1(truth, after)
    found = bootstrap_bounds(lambda w: other(w) - one(w), 250, rng=rng, resamples=2000)
    expected = f1_score(truth, after, average="macro") - f1_score(truth, before, average="macro")
    assert found.estimate == pytest.approx(expected)
    assert found.lower < found.estimate < found.upper < 0


@every_row("more", [{"n": 0}, {"n": 3, "alpha": 1.0}])
def test_bootstrap_of_nothing_is_refused(more):
    with pytest.raises(ValueError, match="must"):
        bootstrap_bounds(lambda w: w[:, 0], rng=np.random.default_rng(0), **more)


# --- agreement of raters --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_kappa_and_its_bounds_agree_with_scikit_learn_and_scipy(seed):
    draw = np.random.default_rng(seed)
    first = draw.integers(0, 3, 80)
    second = np.where(draw.random(80) < 0.7, first, draw.integers(0, 3, 80))

    bounds = kappa_bounds(first, second, 3)

    def kappa(one, other):
        cells = np.bincount(one * 3 + other, minlength=9).reshape(3, 3) / one.size
        cost = np.subtract.outer(range(3), range(3)) ** 2
        return 1 - np.sum(cost * cells) / np.sum(cost * np.outer(cells.sum(1), cells.sum(0)))

    reference = stats.bootstrap(
        (first, second),
        kappa,
        paired=True,
        vectorized=False,
        n_resamples=2_000,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert bounds.estimate == pytest.approx(cohen_kappa_score(first, second, weights="quadratic"))
    assert bounds.lower == pytest.approx(reference.low, abs=0.03)
    assert bounds.upper == pytest.approx(reference.high, abs=0.03)
    assert kappa_bounds(first, second, 3) == bounds


@every_row(("second", "kappa"), [([2] * 6, 0.0), ([2, 2, 2, 0, 0, 0], 0.0)])
def test_a_rater_with_one_grade_for_everything_agrees_by_chance_alone(second, kappa):
    bounds = kappa_bounds([2] * 6, second, 3)

    assert (bounds.lower, bounds.estimate, bounds.upper) == (kappa,) * 3


def test_the_interval_of_kappa_has_its_coverage():
    draw, held = np.random.default_rng(7), 0
    for _ in range(40):
        first = draw.integers(0, 2, 100)
        second = np.where(draw.random(100) < 0.8, first, 1 - first)
        bounds = kappa_bounds(first, second, 2)
        held += bounds.lower <= 0.6 <= bounds.upper

    assert held >= 33


def test_what_has_no_values_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        kappa_bounds([], [], 2)

    with pytest.raises(ValueError, match=r"^a macro mean needs at least one skill"):
        macro_difference([])

    with pytest.raises(ValueError, match=r"^confidence "):
        MeanEstimate(mean=0.0, se=0.1, df=10).interval(1.0)


# --- changes of a label ---------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=16, max_size=16))
def test_changes_of_a_label_agree_with_statsmodels(cells):
    table = np.reshape(cells, (4, 4))
    found, expected = stuart_maxwell(table), SquareTable(table, shift_zeros=False).homogeneity()
    assert (found.statistic, found.df) == pytest.approx((expected.statistic, expected.df))
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)


def test_labels_that_did_not_change_or_were_not_used_change_nothing():
    found = stuart_maxwell(np.diag([5, 7, 0]))
    assert (found.statistic, found.df, found.p) == (0, 0, 1)

    table = np.array([[20, 10, 5], [3, 30, 15], [0, 5, 40]])
    wider = np.pad(table, ((0, 1), (0, 1)))
    first, second = stuart_maxwell(table), stuart_maxwell(wider)
    assert (second.statistic, second.df) == pytest.approx((first.statistic, first.df))


@every_row("table", [[[1, 2]], [1, 2], [[1, -1], [0, 1]]])
def test_a_table_that_is_not_square_is_refused(table):
    with pytest.raises(ValueError, match=r"^a table of changes must be square"):
        stuart_maxwell(table)


# --- judges, groups, skills -----------------------------------------------------------------------


def test_two_phase_mean_follows_its_formula():
    rng = np.random.default_rng(4)
    grades = rng.normal(size=400)
    at = rng.permutation(400)[:120]
    labels = grades[at] + rng.normal(0.1, 0.3, 120)
    found = two_phase_mean(grades, labels, at)
    error = labels - grades[at]
    variance = labels.var(ddof=1) / 400 + (1 / 120 - 1 / 400) * error.var(ddof=1)
    assert found.mean == pytest.approx(grades.mean() + error.mean())
    assert (found.se, found.df) == pytest.approx((np.sqrt(variance), 119))


def test_labels_of_every_case_leave_the_judge_out_and_two_are_enough():
    grades, labels = np.array([0.1, 0.5, 0.9, 0.4]), np.array([0.0, 1.0, 1.0, 0.0])
    found = two_phase_mean(grades, labels, np.arange(4))
    assert found.mean == pytest.approx(labels.mean())
    assert found.se == pytest.approx(labels.std(ddof=1) / 2)

    found = two_phase_mean([0.0, 1.0, 1.0], [0.0, 0.5], [0, 1])
    assert (found.mean, found.df) == (pytest.approx(2 / 3 - 0.25), 1)


def test_calibrated_interval_covers_as_often_as_it_says():
    rng, covered = np.random.default_rng(8), 0
    for _ in range(1000):
        truth = rng.choice([-1.0, 0.0, 1.0], 500, p=[0.1, 0.82, 0.08])
        grades = truth + rng.normal(0.2, 0.3, 500)
        at = rng.permutation(500)[:100]
        low, high = two_phase_mean(grades, truth[at], at).interval(0.9)
        covered += low <= -0.02 <= high
    assert covered / 1000 == pytest.approx(0.9, abs=0.03)


def test_calibrated_tests_are_t_tests_and_a_mean_without_error_is_certain():
    x = np.random.default_rng(1).normal(-0.01, 0.1, 40)
    found = MeanEstimate(mean=x.mean(), se=x.std(ddof=1) / np.sqrt(40), df=39)
    above = stats.ttest_1samp(x, -0.03, alternative="greater")
    assert found.p_above(-0.03) == pytest.approx(above.pvalue)
    for threshold in (0.0, 0.02):
        below = stats.ttest_1samp(x, threshold, alternative="less")
        assert found.p_below(threshold) == pytest.approx(below.pvalue)
    assert found.interval(0.9) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(0.9))

    found = MeanEstimate(mean=0.0, se=0.0, df=10)
    assert (found.p_above(-0.03), found.p_above(0.0), found.p_below(0.0)) == (0, 1, 1)


@every_row("at", [[0, 0], [0, 9], [0, 3], [-1, 0], [0]])
def test_labelled_positions_must_be_cases(at):
    with pytest.raises(
        ValueError, match=r"^labelled positions must be distinct|^labels and positions must match"
    ):
        two_phase_mean([0.1, 0.2, 0.3], [1.0] * len(at), at)


@every_row("labels", [[0.0], [[0.0, 1.0]], [0.0, 1.0, 1.0]])
def test_labels_must_match_their_positions(labels):
    with pytest.raises(ValueError, match=r"^labels and positions must match"):
        two_phase_mean([0.1, 0.2, 0.3], labels, [0, 1])


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), min_size=8, max_size=40))
def test_clustered_error_agrees_with_statsmodels(rows):
    values, groups = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    count, n = np.unique(groups).size, len(rows)
    assume(count > 1)
    fit = OLS(values, np.ones(n)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    expected = np.sqrt(np.asarray(fit.cov_params())[0, 0] * count / (count - 1))
    assert clustered_se(values, groups) == pytest.approx(expected, abs=1e-9)


def skill(n, fixed, regressed):
    after = np.ones(n)
    before = np.ones(n)
    before[:fixed] = 0
    after[fixed : fixed + regressed] = 0
    return paired_counts(before, after)


def test_skills_of_equal_size_or_fitting_weights_are_pooled():
    macro = macro_difference([skill(100, 2, 5), skill(100, 1, 0), skill(100, 3, 4)])
    assert (macro.n, macro.fixed, macro.regressed, macro.effective) == (300, 6, 9, 300)
    assert p_drop(macro) == mcnemar_midp(6, 9)

    macro = macro_difference([skill(50, 0, 5), skill(500, 0, 0)], [50, 500])
    assert macro.countable
    assert (macro.fixed, macro.regressed, macro.effective) == (0, 5, 550)
    assert p_drop(macro) == mcnemar_midp(0, 5)


@every_row(
    ("changes", "expected"),
    [
        # The pooled variance of a case over the variance of the mean of three skills.
        ([(2, 25), (0, 0), (3, 4)], 152.7),
        # At most the size at which all skills would vary alike; 9 / (1 / 40 + 1 / 100 + 1 / 80).
        ([(20, 25), (30, 30), (23, 24)], 9 / 0.0475),
        ([(0, 0), (0, 0), (0, 0)], 9 / 0.0475),
    ],
)
def test_repeated_skills_count_as_many_cases_as_give_their_mean_its_variance(changes, expected):
    sizes = (40.0, 100.0, 80.0)
    skills = [
        replace(skill(100, *change), effective=size)
        for change, size in zip(changes, sizes, strict=True)
    ]
    shares = np.array(changes) / 100
    lost, changed = shares @ [1, -1], shares.sum(axis=1)
    variance = np.sum((changed - lost**2) / sizes) / 9
    if variance and expected < 9 / 0.0475:
        assert (changed.mean() - lost.mean() ** 2) / variance == pytest.approx(expected, abs=0.1)
        expected = (changed.mean() - lost.mean() ** 2) / variance

    assert macro_difference(skills).effective == pytest.approx(expected)


def test_the_heaviest_case_and_the_fewest_groups_are_those_of_any_skill():
    small, large = (replace(skill(n, 0, 1), largest=largest) for n, largest in ((50, 1), (150, 4)))
    # A case of the small skill weighs 2, one of the large skill 2 / 3.
    assert macro_difference([small, large]).largest == pytest.approx(4 * 2 / 3)

    grouped = paired_counts([1] * 6, [1, 0, 1, 1, 1, 1], groups=list("aabbcc"))
    assert macro_difference([grouped, skill(6, 0, 1)]).groups == 3

    macro = macro_difference([skill(10, 0, 0), skill(1000, 10, 10)])
    assert macro.largest == pytest.approx(1010 / 2 / 10)
    assert p_noninferior(macro, 0.03) > 0.05


def test_cases_without_a_group_are_groups_of_their_own_beside_others():
    grouped = paired_counts(np.ones(40), np.ones(40), groups=np.arange(40) // 4)
    losses = macro_difference([grouped, skill(40, 0, 6)]).whole
    assert losses.sizes == ((4, 10), (1, 40))
    assert losses.lost == pytest.approx(6 / 80)
    # Weighted cases are not counted, and neither are the groups of which they are.
    assert macro_difference([grouped, skill(80, 0, 6)]).whole is None


def test_skills_count_alike_whatever_their_size_and_by_their_weights():
    macro = macro_difference([skill(50, 0, 5), skill(500, 0, 0)])
    assert macro.delta == pytest.approx(-0.05)
    assert macro.before - macro.after == pytest.approx(0.05)
    assert (macro.n, macro.fixed, macro.regressed) == (550, 0, 5)

    one, other = skill(100, 2, 5), skill(100, 30, 0)
    assert macro_difference([one, other], [1, 0]).delta == one.delta

    graded = paired_counts([0.5] * 40, [0.4] * 40)
    macro = macro_difference([graded, skill(40, 0, 0)])
    assert not macro.countable
    assert (macro.n, macro.delta) == (80, pytest.approx(-0.05))


def test_cases_of_small_skills_weigh_more_as_if_the_suite_weighed_them():
    """Each case of the skill with 50 cases weighs ten times one of the skill with 500."""
    macro = macro_difference([skill(50, 0, 5), skill(500, 0, 0)])
    assert not macro.countable
    assert (macro.effective, macro.largest) == (550, pytest.approx(550 / 2 / 50))
    # The variance of the mean of two skills, of which one varies.
    assert macro.spread / macro.n == pytest.approx(0.1 * 0.9 / 49 / 4)
    z = (0.1 - 0.05) / np.sqrt((macro.spread + 0.05 * (5.5 - 0.05)) / 550)
    assert p_noninferior(macro, 0.1) == pytest.approx(stats.norm.sf(z))


def test_weighted_skills_are_a_mean_of_weighted_scores():
    skills = [skill(100, 2, 5), skill(100, 1, 0)]
    macro = macro_difference(skills, [3, 1])
    assert not macro.countable
    assert macro.delta == pytest.approx(0.75 * -0.03 + 0.25 * 0.01)
    assert macro.largest == pytest.approx(1.5)
    expected = 0.75**2 * skills[0].spread / 100 + 0.25**2 * skills[1].spread / 100
    assert macro.spread / macro.n == pytest.approx(expected)
    assert macro_difference(skills, [30, 10]) == macro


@every_row("weights", [[1.0], [0.0, 0.0], [1.0, -1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match=r"^a macro mean needs at least one skill"):
        macro_difference([skill(10, 0, 0), skill(10, 0, 0)], weights)


def test_order_of_skills_changes_nothing():
    skills = [skill(100, 2, 5), skill(70, 1, 0), skill(40, 3, 4)]
    first, second = macro_difference(skills), macro_difference(skills[::-1])
    assert (first.fixed, first.regressed) == (second.fixed, second.regressed)
    for name in ("delta", "spread", "largest", "effective"):
        assert getattr(first, name) == pytest.approx(getattr(second, name))
