"""Few tasks with many runs: exact permutations, the counts of all pairings, and two claims."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, permutations, product

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import (
    change_interval,
    is_noninferior,
    p_drop,
    p_noninferior,
    p_not_beyond,
    paired_counts,
    turned,
)
from pytest_ftgate.stats.proportions import clopper_pearson, mcnemar_midp
from pytest_ftgate.stats.rates import p_reaches, score_interval
from pytest_ftgate.stats.tasks import (
    TaskPlan,
    TaskRuns,
    p_permuted,
    runs_needed,
    score_of_tasks_like_these,
    score_of_these,
    smallest_shown_drop,
    these_tasks,
)

SEEDS = st.integers(0, 2**32 - 1)


def task_runs(*rows):
    """Return the runs of tasks with these rewards, a row a task, which may differ in length."""
    most = max(map(len, rows))
    padded = [[*map(float, row), *[math.nan] * (most - len(row))] for row in rows]
    return TaskRuns(np.array(padded))


def drawn(rng, rates, runs):
    """Draw right or wrong runs of tasks with these rates."""
    return TaskRuns((rng.random((len(rates), runs)) < np.array(rates)[:, None]).astype(float))


# --- the permutation ------------------------------------------------------------------------------


def permuted(before, after):
    """Return the mid-p-value by every way to divide the runs of each task between both sides."""
    seen = sum(map(sum, after))
    ways = [combinations([*b, *c], len(c)) for b, c in zip(before, after, strict=True)]
    sums = [sum(map(sum, way)) for way in product(*map(list, ways))]
    below, equal = (sum(f(s) for s in sums) for f in (seen.__gt__, seen.__eq__))
    return (below + equal / 2) / len(sums)


@given(SEEDS)
def test_the_drop_has_the_share_of_all_permutations_within_tasks(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, (2, 3))
    before, after = ([rng.integers(0, 2, n).tolist() for n in side] for side in sizes)
    columns = [np.array([*map(sum, side)], float) for side in (before, after)]
    columns += [np.array([*map(len, side)], float) for side in (before, after)]

    assert p_permuted(*columns) == pytest.approx(permuted(before, after))


@every_row(("before", "after"), [(7, 3), (9, 9), (2, 10), (10, 0)])
def test_of_one_task_the_permutation_is_the_hypergeometric_distribution(before, after):
    columns = [np.array([float(number)]) for number in (before, after, 10, 12)]
    reference = stats.hypergeom(22, before + after, 12)

    found = p_permuted(*columns)

    assert found == pytest.approx(reference.cdf(after) - reference.pmf(after) / 2.0)


@given(SEEDS, st.floats(0.02, 0.4))
def test_with_one_run_a_task_counts_are_those_of_cases(seed, margin):
    rng = np.random.default_rng(seed)
    before, after = (rng.integers(0, 2, (60, 1)).astype(float) for _ in range(2))

    pairs = these_tasks(TaskRuns(before), TaskRuns(after))

    cases = paired_counts(before[:, 0], after[:, 0])
    assert replace(pairs, permuted=None) == replace(cases, spread=0.0)
    assert is_noninferior(pairs, margin, 0.05) == is_noninferior(cases, margin, 0.05)
    assert p_noninferior(pairs, margin) == p_noninferior(cases, margin)
    assert p_drop(pairs) == pytest.approx(mcnemar_midp(cases.fixed, cases.regressed))


def test_where_no_run_could_go_otherwise_neither_a_drop_nor_a_rise_is_shown():
    runs = task_runs([1, 1], [0, 0], [1, 1])

    pairs = these_tasks(runs, runs)

    assert (p_drop(pairs), p_drop(turned(pairs))) == (0.5, 0.5)


# --- these tasks ----------------------------------------------------------------------------------


def test_counts_are_those_of_every_way_to_pair_the_runs_on_average():
    before, after = [[1, 1, 0], [1, 0, 0], [1, 1, 1]], [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    ways = [*permutations(range(3))]
    pairs = [(b[i], c[j]) for b, c in zip(before, after, strict=True) for w in ways
             for i, j in enumerate(w)]  # fmt: skip

    found = these_tasks(task_runs(*before), task_runs(*after))

    assert found.fixed == pytest.approx(pairs.count((0, 1)) / len(ways))
    assert found.regressed == pytest.approx(pairs.count((1, 0)) / len(ways))
    assert (found.n, found.effective) == (pytest.approx(9.0), pytest.approx(9.0))
    assert found.delta == pytest.approx((found.fixed - found.regressed) / 9.0)


@given(SEEDS, st.floats(0.05, 0.5))
def test_the_sides_of_a_comparison_are_each_other_s_mirror(seed, margin):
    rng = np.random.default_rng(seed)
    before, after = (drawn(rng, rng.random(5), runs) for runs in (4, 6))

    pairs, mirrored = these_tasks(before, after), turned(these_tasks(after, before))

    for of in (p_drop, lambda one: p_not_beyond(one, margin), lambda one: one.delta):
        assert of(pairs) == pytest.approx(of(mirrored))
    assert change_interval(pairs, 0.95) == pytest.approx(change_interval(mirrored, 0.95))


@given(SEEDS, st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([3, 5, 30]))
def test_the_p_value_passes_where_the_gate_does_and_the_interval_is_near(seed, margin, runs):
    rng = np.random.default_rng(seed)
    pairs = these_tasks(*(drawn(rng, [0.9, 0.8, 1.0, 0.5, 0.3], runs) for _ in range(2)))

    assert (p_noninferior(pairs, margin) <= 0.05) == is_noninferior(pairs, margin, 0.05)
    low, high = change_interval(pairs, 0.9)
    assert low < pairs.delta < high
    if pairs.n >= 100:
        assert (low > -margin) == is_noninferior(pairs, margin, 0.05)


def test_a_baseline_with_more_runs_counts_as_many_as_the_candidate_has():
    before, after = ([[1] * runs] * 4 for runs in (20, 5))

    pairs = these_tasks(task_runs(*before), task_runs(*after))

    assert (pairs.n, pairs.permuted) == (20, 0.5)
    assert p_noninferior(pairs, 0.1) == p_noninferior(paired_counts([1] * 20, [1] * 20), 0.1)


def test_the_first_runs_of_a_larger_baseline_enter_the_permutation():
    candidate = task_runs(*[[1, 0]] * 3)
    baselines = [task_runs(*[first + rest] * 3) for first, rest in (([1, 1], [0]), ([1, 0], [1]))]

    shown = [these_tasks(baseline, candidate) for baseline in baselines]

    assert [pairs.permuted for pairs in shown] == pytest.approx([1 / 16, 0.5])
    assert shown[0].delta == shown[1].delta == pytest.approx(1 / 2 - 2 / 3)


def test_a_drop_in_all_runs_of_some_tasks_fails_and_one_task_like_these_does_not():
    before = task_runs(*[[1] * 10] * 6)
    after = task_runs(*[[0] * 10] * 2, *[[1] * 10] * 4)

    repeats = {"before_repeats": before.runs, "after_repeats": after.runs}
    these = these_tasks(before, after)
    like = paired_counts(before.means, after.means, **repeats)

    assert drop_outcome(these, 0.1, Levels()) is Outcome.FAILED
    assert drop_outcome(like, 0.1, Levels()) is Outcome.INCONCLUSIVE


@given(SEEDS)
def test_unequal_runs_are_compared_each_with_each(seed):
    rng = np.random.default_rng(seed)
    rows = [[rng.integers(0, 2, rng.integers(1, 6)) for _ in range(4)] for _ in range(2)]
    before, after = (task_runs(*side) for side in rows)

    pairs = these_tasks(before, after)

    fewer = [min(len(b), len(c)) for b, c in zip(*rows, strict=True)]
    lost = [np.mean(b) * (1 - np.mean(c)) for b, c in zip(*rows, strict=True)]
    assert pairs.n == pytest.approx(sum(fewer))
    assert pairs.regressed == pytest.approx(np.dot(fewer, lost))
    assert pairs.delta == pytest.approx(np.mean(after.means) - np.mean(before.means))
    if pairs.changes is not None:
        values = pairs.changes
        assert values.total(values.sums) / pairs.n == pytest.approx(pairs.delta)
        assert values.total(values.sizes) == pytest.approx(pairs.n)


def test_unchanged_unequal_runs_add_the_heaviest_run_that_was_not_drawn():
    runs = task_runs([1, 1, 1, 1], [1, 1], [1, 1, 1])
    heaviest, margin = 3.0 / 2.0, 0.2
    lost = heaviest * (1 - margin)
    expected = math.prod((lost / (lost + margin * 3.0 / k)) ** k for k in (4, 2, 3))

    assert p_noninferior(these_tasks(runs, runs), margin) == pytest.approx(expected)


def test_graded_rewards_are_no_counts():
    before = task_runs([0.5, 1], [1, 1], [0.2, 0.3])
    after = task_runs([0.5, 0.5], [1, 1], [0.2, 0.2])

    pairs = these_tasks(before, after)

    assert (pairs.countable, pairs.permuted) == (False, None)
    assert pairs.delta == pytest.approx((-0.25 - 0.05) / 3)
    assert (pairs.n, pairs.fixed, pairs.regressed) == (6, 0, pytest.approx(2.0))
    assert change_interval(pairs, 0.9)[0] < pairs.delta < 0.0 < p_drop(pairs) < 0.7


def test_more_runs_of_an_unchanged_agent_never_make_it_pass_less_often():
    rng, rates, suites = np.random.default_rng(0), [1.0, 1.0, 0.9, 0.4, 0.0], 300
    passed = []
    for runs in (3, 5, 10, 20, 40):
        sides = ([drawn(rng, rates, runs) for _ in range(suites)] for _ in range(2))
        shown = [
            is_noninferior(these_tasks(*both), 0.15, 0.05) for both in zip(*sides, strict=True)
        ]
        passed.append(np.mean(shown))

    errors = [math.sqrt(p * (1 - p) / suites) for p in passed]
    assert all(more >= less - 2 * error for less, more, error in zip(passed, passed[1:], errors))  # noqa: B905
    assert passed[-1] > 0.95


# --- tasks like these -----------------------------------------------------------------------------


@every_row(("tasks", "points"), [(5, 45), (10, 26), (20, 14), (40, 7.2)])
def test_tasks_show_no_smaller_limit_than_one_of_which_they_would_show_nothing(tasks, points):
    before, after = np.ones((2, tasks))
    # The runs of one task differ, so that the test is not exact.
    before[0], after[0] = 0.75, 0.5
    pairs = paired_counts(after, before, before_repeats=20, after_repeats=20)
    smallest = smallest_shown_drop(tasks) - pairs.delta

    assert 100 * smallest_shown_drop(tasks) == pytest.approx(points, abs=0.5)
    assert is_noninferior(pairs, smallest + 1e-6, 0.05)
    assert not is_noninferior(pairs, smallest - 1e-6, 0.05)


# --- what can be shown ----------------------------------------------------------------------------


@every_row(("tasks", "margin"), [(5, 0.1), (12, 0.05), (3, 0.2), (20, 0.2)])
def test_so_many_runs_of_unchanged_tasks_pass_and_one_less_does_not(tasks, margin):
    needed = runs_needed(tasks, margin)
    runs = [TaskRuns(np.ones((tasks, count))) for count in (needed, needed - 1) if count]

    passed = [bool(is_noninferior(these_tasks(one, one), margin, 0.05)) for one in runs]

    assert passed == [True, False][: len(runs)]
    assert smallest_shown_drop(tasks * needed) <= margin


@every_row(("tasks", "runs"), [(5, 3), (5, 10), (10, 5), (20, 10)])
def test_an_unchanged_agent_passes_the_planned_limit_nine_times_in_ten(tasks, runs):
    rng, rates = np.random.default_rng(tasks * runs), np.tile([1.0, 0.9, 0.5, 0.1, 0.0], tasks // 5)
    disagreement = 2.0 * float(np.mean(rates * (1.0 - rates)))
    plan = TaskPlan(tasks=tasks, runs=(runs, runs), disagreement=disagreement)

    limit = plan.limit()

    sides = [[drawn(rng, rates, runs) for _ in range(300)] for _ in range(2)]
    shown = [is_noninferior(these_tasks(*both), limit, 0.05) for both in zip(*sides, strict=True)]
    assert np.mean(shown) > 0.85


@pytest.mark.parametrize("is_graded", [False, True])
def test_a_plan_is_the_finer_the_more_runs_there_are(is_graded):
    plans = [
        TaskPlan(tasks=8, runs=(20, runs), disagreement=0.1, is_graded=is_graded)
        for runs in (5, 10, 20, 200)
    ]

    limits = [plan.limit() for plan in plans]

    assert limits == sorted(limits, reverse=True)
    assert [plan.pairs for plan in plans] == [40, 80, 160, 160]


@pytest.mark.parametrize("is_graded", [False, True])
def test_what_no_run_shows_is_a_limit_of_all(is_graded):
    plan = TaskPlan(tasks=1, runs=(1, 1), disagreement=1.0, is_graded=is_graded)

    assert plan.limit() == 1.0


def test_the_disagreement_is_that_of_two_runs_of_one_task():
    rows = [[1, 1, 0, 0], [1, 0, 0], [1], [1, 1]]
    differ = [np.mean([a != b for a, b in combinations(row, 2)]) for row in rows if len(row) > 1]

    assert task_runs(*rows).disagreement == pytest.approx(np.mean(differ))
    assert task_runs([1], [0], [1]).disagreement == 0.0


# --- rates ----------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 4))
def test_pass_k_is_the_share_of_all_choices_of_k_runs_that_are_right(seed, k):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 2, rng.integers(k, 7)).tolist() for _ in range(3)]

    found = task_runs(*rows).pass_rates(k)

    expected = [np.mean([all(chosen) for chosen in combinations(row, k)]) for row in rows]
    assert found == pytest.approx(expected)


@every_row("k", [1, 5])
def test_the_rate_of_these_tasks_has_the_exact_interval_of_their_blocks(k):
    rng = np.random.default_rng(k)
    runs = drawn(rng, [1.0, 1.0, 0.95, 0.9, 0.8, 0.4], 20)

    score = score_of_these(runs, k)

    assert (score.n, score.rate) == (6 * 20 // k, pytest.approx(np.mean(runs.pass_rates(k))))
    exact = clopper_pearson(score.rate * score.n, float(score.n), 0.95)
    assert score_interval(score, 0.95) == pytest.approx(exact, abs=0.003)


def test_the_rate_of_tasks_like_these_has_tasks_as_units():
    runs = task_runs([1] * 30, [1] * 30, [1, 0] * 15, [1] * 30)

    these, like = score_of_these(runs), score_of_tasks_like_these(runs)

    assert (these.n, like.n) == (120, 4)
    assert these.rate == like.rate == pytest.approx(0.875)
    assert p_reaches(these, 0.7) < 0.01 < p_reaches(like, 0.7)
    assert score_of_tasks_like_these(runs, 2).rate < like.rate


def test_graded_rewards_and_unequal_runs_weigh_by_task():
    score = score_of_these(task_runs([0.5] * 10, [1, 1], [0.25]))

    assert (score.n, score.rate) == (13, pytest.approx(1.75 / 3))
    low, high = score_interval(score, 0.9)
    assert low < score.rate < high


# --- errors ---------------------------------------------------------------------------------------

RUNS = task_runs([1, 1], [0, 1], [1, 1])
WRONG = (
    (lambda: task_runs([1], [1]), "at least 3 tasks"),
    (lambda: TaskRuns(np.ones(3)), "at least 3 tasks"),
    (lambda: task_runs([1], [], [1]), "every task needs a run"),
    (lambda: task_runs([1], [2], [1]), "between 0 and 1"),
    (lambda: RUNS.pass_rates(3), r"pass\^3 needs 3 runs"),
    (lambda: task_runs([0.5], [1], [1]).pass_rates(1), "all right or wrong"),
)


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_what_shows_nothing_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
