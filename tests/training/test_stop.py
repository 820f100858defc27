"""When a checkpoint ends a training, and what it would take."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
from ftgate_testing.reports import failing_run
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.paired import p_within, paired_counts
from pytest_ftgate.training.stop import (
    STOP_ALARM,
    StopTest,
    doubtful_gates,
    drops,
    may_exceed,
    needed_change,
    planned_checkpoints,
    stop_level,
    stop_tests,
)

FORGETTING = failing_run().verdicts[2]
ON = ["forgetting"]


def verdict_of(*checks, slices=()):
    """Return the verdict of a forgetting gate with these values of its checks."""
    first = replace(FORGETTING.checks[0], before=0.5, after=0.4, limit=0.1, missing=0)
    found = tuple(replace(first, **values) for values in checks)
    return replace(FORGETTING, checks=found, slices=tuple(slices))


@every_row("planned", [1, 3, 30])
def test_the_levels_of_all_checkpoints_add_up_to_the_promise(planned):
    levels = [stop_level(number, planned, tests=2) for number in range(1, planned + 1)]

    assert 2 * sum(levels) == pytest.approx(STOP_ALARM)
    assert levels == sorted(levels, reverse=True)


def test_a_training_ends_by_what_lost_more_than_half_of_its_limit_at_the_level_of_all_tests():
    part = replace(FORGETTING.slices[0], margin=0.1, p_half=0.02)
    untested = replace(part, p_half=None)
    verdict = verdict_of({"p_half": 0.03, "p_fail": 0.0}, slices=[part, untested])

    tests = stop_tests([verdict], ON, "half_limit")

    assert [(test.part, test.p) for test in tests] == [(verdict.checks[0], 0.03), (part, 0.02)]
    assert stop_tests([verdict], ["accuracy"], "half_limit") == ()
    # Without some replies a part is not judged, and without a p-value nothing is.
    gap = verdict_of({"p_half": 0.03, "missing": 1}, {"p_half": None}, slices=[part])
    assert [test.p for test in stop_tests([gap], ON, "half_limit")] == [0.03]


def test_by_any_drop_a_training_ends_with_a_shown_drop_that_may_exceed_its_limit():
    drop = {"low": -0.2, "high": -0.01, "p_fail": 0.01, "p_half": 0.5}
    verdict = verdict_of(drop, {**drop, "low": -0.05}, {**drop, "p_fail": None})

    assert may_exceed(verdict)
    assert [test.p for test in stop_tests([verdict], ON, "any_drop")] == [0.01, 1.0, 1.0]


def test_a_drop_that_may_exceed_its_limit_is_a_doubt_before_it_is_shown():
    def doubts(**values):
        verdict = verdict_of({"before": 0.4, "after": 0.36, **values})
        return doubtful_gates([verdict], ON), may_exceed(verdict)

    assert doubts(low=-0.12, high=0.04) == (ON, False)
    assert doubts(low=-0.12, high=-0.01) == (ON, True)
    # Within the limit, or no drop at all.
    assert doubts(low=-0.09, high=0.01) == ([], False)
    assert doubts(low=-0.12, high=0.14, after=0.4) == ([], False)
    assert doubtful_gates([FORGETTING], ["accuracy"]) == []


# What it would take -----------------------------------------------------------------------------


def pairs_with(regressed, n=252, fixed=12):
    before, after = np.ones(n), np.ones(n)
    before[:fixed] = 0.0
    after[n - regressed :] = 0.0
    return paired_counts(before, after)


def check_of(pairs):
    return Check(
        kind=CheckKind.BASE, outcome=Outcome.INCONCLUSIVE, limit=0.1, n=int(pairs.n),
        effective=pairs.effective, fixed=pairs.fixed, regressed=pairs.regressed,
        before=pairs.before, after=pairs.after, pairs=pairs,
    )  # fmt: skip


@every_row(("number", "planned"), [(1, 3), (3, 3), (12, 12)])
def test_the_change_that_a_stop_needs_is_the_first_one_that_ends_the_training(number, planned):
    level = stop_level(number, planned)

    change = needed_change(check_of(pairs_with(regressed=15)), level)

    enough = 12 + ceil(-change * 252)
    assert p_within(pairs_with(enough), 0.05) <= level < p_within(pairs_with(enough - 1), 0.05)


RIGHT, KEPT = np.ones(60), (np.arange(60) % 5 > 0).astype(float)


@every_row("scores, more", [
    ((RIGHT, KEPT), {}),
    ((RIGHT, KEPT), {"groups": np.arange(60) // 2}),
    ((RIGHT, KEPT), {"weights": np.where(np.arange(60) < 6, 5.0, 1.0)}),
    ((RIGHT, 0.7 + 0.3 * KEPT), {}),
    ((RIGHT, 0.7 + 0.3 * KEPT), {"groups": np.arange(60) // 2}),
])  # fmt: skip
def test_a_training_has_dropped_as_far_as_a_stop_needs_just_when_it_ends(scores, more):
    pairs = paired_counts(*scores, **more)
    check, p = check_of(pairs), p_within(pairs, 0.05)

    # At the level of its own p-value, the change that a stop needs is the one that is seen.
    assert needed_change(check, p) == pytest.approx(pairs.delta, abs=1e-5)
    assert needed_change(check, p / 1.1) < pairs.delta < needed_change(check, p * 1.1)


def test_a_change_beside_the_tested_one_needs_as_much_more_of_a_drop():
    check = check_of(pairs_with(regressed=15))

    moved = needed_change(replace(check, after=check.after - 0.01), 0.05)

    assert moved == pytest.approx(needed_change(check, 0.05) - 0.01)
    # Without the scores, no change is known.
    assert needed_change(replace(check, pairs=None), 0.05) is None


def test_few_cases_may_need_more_than_they_have():
    few = replace(check_of(pairs_with(0, n=4, fixed=0)), limit=0.9)
    verdict = verdict_of({})

    assert needed_change(few, 0.001) is None
    assert [*drops([StopTest(verdict, few, 0.5)], 0.001)] == []


def test_what_a_stop_needs_is_told_of_checks_that_have_dropped():
    fell, rose = (check_of(pairs_with(regressed)) for regressed in (15, 5))
    verdict = verdict_of({})
    tests = [StopTest(verdict, part, 0.5) for part in (fell, rose, FORGETTING.slices[0])]

    assert [(of, check) for of, check, _ in drops(tests, 0.01)] == [(verdict, fell)]


@every_row("every, strategy, count", [
    (50, "no", 4),
    ("epoch", "no", 3),
    ("save", "steps", 7),
    ("evaluate", "steps", 5),
    ("evaluate", "epoch", 3),
])  # fmt: skip
def test_the_trainer_says_how_many_checkpoints_there_will_be(every, strategy, count):
    args = SimpleNamespace(save_strategy=strategy, eval_strategy=strategy)
    state = SimpleNamespace(max_steps=200, save_steps=30, eval_steps=40, num_train_epochs=3)

    assert planned_checkpoints(every, args, state) == count
