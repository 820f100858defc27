"""What so many runs of these tasks can show: limits that are too tight, and what to buy."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gates.design import Design, suite_repeats
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import Samples, align
from pytest_ftgate.gates.tasks import task_runs
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.stats.tasks import (
    FEWEST_TASKS,
    TaskPlan,
    runs_needed,
    smallest_shown_drop,
)
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite


def task_problems(suite: Suite, gate: RateGate, design: Design) -> Iterator[tuple[Note, ...]]:
    """Yield why no replies could pass *gate*, whose verdict is about these tasks alone."""
    tasks = len(gate.evaluated_cases(suite.cases))
    if tasks < FEWEST_TASKS:
        yield (note(NoteKind.FEW_TASKS, n=tasks, needed=FEWEST_TASKS),)
        return
    if not any(map(replies_vary, suite.variants.values())):
        yield (note(NoteKind.COPIED_RUNS, key=gate.drop_key),)
        return
    runs, smallest = min(suite_repeats(suite)), smallest_shown_drop(design.n, design.miss)
    possible = ceil(smallest * 100) / 100
    for key, limit, told in (
        (gate.drop_key, gate.max_drop, possible),
        ("min", 1.0 - gate.min if gate.min else None, 1.0 - possible),
    ):
        if limit is not None and limit < smallest:
            needed = runs_needed(tasks, limit, design.miss) if limit > 0.0 else 0
            declared = limit if key != "min" else 1.0 - limit
            counts = {"tasks": tasks, "runs": runs, "needed": needed}
            yield (
                note(NoteKind.RUNS_NEVER_SHOW, key=key, limit=declared, possible=told, **counts),
            )


#: The numbers of runs of each task that a note prices.
_RUNS = (10, 20, 40, 80, 160)


def task_notes(before: Samples | None, after: Samples, check: Check) -> Iterator[Note]:
    """Yield that *check* is about these tasks alone, and what more runs or tasks would show.

    The latter if it is inconclusive: the smallest limits that an unchanged agent passes 9 times in
    10, as its runs vary here.
    """
    yield note(NoteKind.ONLY_THESE, n=check.tasks)
    if before is None or check.outcome is not Outcome.INCONCLUSIVE:
        return
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    if answered.sum() < FEWEST_TASKS:
        return
    sides = [task_runs(side.select(answered)) for side in (before, after)]
    disagreement = sum(side.disagreement for side in sides) / 2.0
    if disagreement <= 0.0:
        return
    is_graded = not all(side.is_counted for side in sides)

    def shown(tasks: int, runs: int) -> int:
        plan = TaskPlan(
            tasks=tasks, runs=(runs, runs), disagreement=disagreement, is_graded=is_graded,
            miss=check.miss,
        )  # fmt: skip
        return ceil(100 * plan.limit())

    tasks, runs = check.tasks, round(check.n / check.tasks)
    more = next((number for number in _RUNS if number > 1.5 * runs), 2 * runs)
    yield note(
        NoteKind.RUNS_SHOW, tasks=tasks, runs=runs, shown=shown(tasks, runs), more=more,
        with_runs=shown(tasks, more), twice=2 * tasks, half=more // 2,
        with_tasks=shown(2 * tasks, more // 2),
    )  # fmt: skip
