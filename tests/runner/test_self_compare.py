"""One agent against itself: the gate and plain thresholds on halves of its runs."""

from __future__ import annotations

import json

import pytest

from pytest_ftgate import ConfigurationError, self_compare
from pytest_ftgate.gates import selftest


@pytest.fixture(autouse=True)
def few_splits(monkeypatch):
    monkeypatch.setattr(selftest, "MOST_SPLITS", 8)


def runs(*rewards):
    """Return rows of tasks with these rewards, the tasks in their order."""
    return [
        {"id": f"task-{task}", "score": reward, "reply": f"run {number}"}
        for task, several in enumerate(rewards)
        for number, reward in enumerate(several)
    ]


def test_the_claim_is_that_of_all_runs_and_the_limit_that_of_half_of_them():
    rows = runs(*[[1, 0, 1, 1]] * 10)

    chosen = self_compare(rows).comparison
    others = self_compare(rows, claim="tasks_like_these").comparison

    assert chosen.claims_these
    assert not others.claims_these
    assert (chosen.runs, chosen.half) == (4, 2)


def test_an_odd_run_is_left_out_and_so_is_a_task_with_one():
    result = self_compare(runs([1, 0, 1], [1, 0, 1], [1, 0, 1], [1]))

    assert (result.comparison.tasks, result.comparison.half, result.left_out) == (3, 1, 1)
    assert (result.comparison.splits, result.comparison.possible) == (8, 6**3)
    assert "8 splits were drawn" in str(result)
    assert "1 task with one run or none left out" in str(result)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (runs([1], [0], [1]), "and 0 cases have that"),
        (runs([1, 0], [0], [1]), "and 1 case has that"),
    ],
)
def test_results_without_repeats_are_refused_with_a_remedy(rows, said):
    with pytest.raises(ConfigurationError, match=said) as refused:
        self_compare(rows)

    assert "run each case again" in str(refused.value)


def test_no_line_is_wider_than_the_screen(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / f"{'long-' * 20}name.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in runs(*[[1, 0, 1, 0]] * 4)))

    assert max(map(len, self_compare(file).lines())) <= 80
