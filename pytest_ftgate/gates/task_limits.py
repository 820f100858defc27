"""What so many runs of these tasks can show: limits that are too tight, and what to buy."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gates.design import Design, suite_repeats
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.stats.tasks import FEWEST_TASKS, runs_needed, smallest_shown_drop
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
