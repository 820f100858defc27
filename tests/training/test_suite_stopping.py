"""When a checkpoint ends a training: within 5 % over all of them, and early rather than late."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ftgate_testing.reports import failing_run
from ftgate_testing.tables import every_row

from pytest_ftgate.training.suite import (
    STOP_ALARM,
    doubtful_gates,
    may_exceed,
    planned_checkpoints,
    stop_level,
    stopping_gates,
)


@every_row("planned", [1, 3, 30])
def test_the_levels_of_all_checkpoints_add_up_to_the_promise(planned):
    levels = [stop_level(number, planned, checks=2) for number in range(1, planned + 1)]

    assert 2 * sum(levels) == pytest.approx(STOP_ALARM)
    assert levels == sorted(levels, reverse=True)


def test_a_drop_ends_the_training_only_at_the_level_of_its_checkpoint():
    forgetting = failing_run().verdicts[2]
    drop = {"before": 0.5, "after": 0.4, "low": -0.2, "high": -0.01, "limit": 0.1}
    check = replace(forgetting.checks[0], **drop, p_fail=0.01)
    verdict = replace(forgetting, checks=(check,))

    assert may_exceed(verdict)
    assert stopping_gates([verdict], ["forgetting"], 1, 3) == ["forgetting"]
    # A late checkpoint of many takes more, and a gate that is not named ends nothing.
    assert stopping_gates([verdict], ["forgetting"], 20, 30) == []
    assert stopping_gates([verdict], ["accuracy"], 1, 3) == []
    small = replace(verdict, checks=(replace(check, low=-0.05, p_fail=1e-9),))
    assert stopping_gates([small], ["forgetting"], 1, 3) == []


def test_a_drop_that_may_exceed_its_limit_is_a_doubt_before_it_is_shown():
    forgetting = failing_run().verdicts[2]
    first = replace(forgetting.checks[0], before=0.4, after=0.36, limit=0.1)

    def doubts(**values):
        verdict = replace(forgetting, checks=(replace(first, **values),))
        return doubtful_gates([verdict], ["forgetting"]), may_exceed(verdict)

    assert doubts(low=-0.12, high=0.04) == (["forgetting"], False)
    assert doubts(low=-0.12, high=-0.01) == (["forgetting"], True)
    # Within the limit, or no drop at all.
    assert doubts(low=-0.09, high=0.01) == ([], False)
    assert doubts(low=-0.12, high=0.14, after=0.4) == ([], False)
    assert doubtful_gates([forgetting], ["accuracy"]) == []


@every_row(
    ("every", "strategy", "count"), [(50, "no", 4), ("epoch", "no", 3), ("save", "steps", 7)]
)
def test_the_trainer_says_how_many_checkpoints_there_will_be(every, strategy, count):
    args = SimpleNamespace(save_strategy=strategy)
    state = SimpleNamespace(max_steps=200, save_steps=30, num_train_epochs=3)

    assert planned_checkpoints(every, args, state) == count
