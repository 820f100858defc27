"""benchmarks/agents_aa.py: its shares are those of runs in a folder of the leaderboard's shape."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from itertools import chain, product
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TASKS, RUNS = 24, 3


@pytest.fixture
def aa(monkeypatch):
    # Its processes import it by its name.
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("agents_aa")


def submission(folder: Path, solved: Callable[[int, int], bool | None], models=("m",)) -> None:
    """Write a submission with a folder for each run; *solved* says it of a task and a run."""
    for run in range(RUNS):
        trials = [
            {
                "task_id": f"task-{task:02}",
                "trial_name": f"task-{task:02}.1-of-1.run-{run}",
                "is_resolved": solved(task, run),
                "failure_mode": "unset",
            }
            for task in range(TASKS)
        ]
        place = folder / f"run-{run}"
        place.mkdir(parents=True)
        (place / "results.json").write_text(json.dumps({"results": trials}), "utf-8")
        metadata = {"agent_name": "toy", "model_name": models[run % len(models)]}
        (place / "run_metadata.json").write_text(json.dumps(metadata), "utf-8")


@pytest.fixture
def leaderboard(tmp_path) -> Path:
    board = tmp_path / "results" / "terminal-bench-core@0.1.1"
    submission(board / "20250101_sure_model", lambda task, _: task % 2 == 0)
    # Of the last three runs each loses a task more than the one before.
    submission(board / "20250102_falling_model", lambda task, run: task >= run)
    submission(board / "20250103_mixed", lambda *_: True, models=("m", "n"))
    return tmp_path


def test_the_table_has_the_shares_of_each_agent(aa, leaderboard, capsys) -> None:
    aa.main([str(leaderboard)])

    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    found = {(row[0], row[3]): row[4:7] for row in rows if row[:1] and row[0].endswith("model")}
    # Of six pairs, in both directions, three drop: two by one of 24 tasks, and one by two.
    assert found == {
        ("sure model", "1"): ["6", "0.0", "0.0"],
        ("falling model", "1"): ["6", "50.0", "16.7"],
    }
    assert printed.startswith("2 agents, 48 tasks, 144 runs, 0 missing;")
    assert "agree on 12 of 12 verdicts" in printed
    assert "mixed is left out: holds 2 agents" in printed


def test_the_statistics_have_the_verdicts_of_compare_without_missing_runs(aa) -> None:
    rng = aa.np.random.default_rng(1)
    before = {f"t{n}": [float(n > 4), float(n > 6)] for n in range(TASKS)}
    after = {**aa.made_worse(rng, before), "t9": [None, 1.0], "t10": [None, None]}

    sides = aa.graded(before, after)

    assert len(sides[0]) == TASKS - 1
    for claim, limit in product(("these_tasks", "tasks_like_these"), (0.05, 0.1, 0.4)):
        found = aa.judged(*sides, claim, limit)
        assert found is aa.compared(*sides, claim, limit), (claim, limit)


def test_a_drop_is_that_of_the_means_over_the_tasks_of_both_sides(aa) -> None:
    before = {"a": [1.0, 1.0], "b": [1.0, None], "c": [0.0, 1.0], "d": [None, None]}
    after = {"a": [0.0, 1.0], "b": [1.0, 0.0], "c": [None, 0.0], "d": [0.0, 0.0]}

    assert aa.drop_of(before, after) == pytest.approx((0.5 + 0.5 + 0.5) / 3)


def test_the_pairs_are_all_that_share_no_run_in_both_directions(aa) -> None:
    pairs = [*aa.splits(5, 2)]

    assert len({*pairs}) == len(pairs) == 30
    assert all({*before}.isdisjoint(after) and (after, before) in pairs for before, after in pairs)
    assert [*aa.splits(3, 2)] == []


def test_a_planted_drop_takes_successes_alone(aa) -> None:
    side = {f"t{n}": [1.0, 0.0, None] for n in range(400)}

    worse = aa.made_worse(aa.np.random.default_rng(1), side)

    runs = [*zip(chain(*side.values()), chain(*worse.values()), strict=True)]
    assert all(now is None if was is None else now <= was for was, now in runs)
    assert aa.drop_of(side, worse) == pytest.approx(aa.PLANTED, abs=0.03)


def test_a_folder_without_submissions_is_an_error(aa, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit):
        aa.main([str(tmp_path)])

    assert "holds no results/*/*" in capsys.readouterr().err
